"""The sections of the tutorials: public ones if ``MULTIST_DATA`` names the folder that holds them, made ones otherwise.

Each is an AnnData whose ``obs["region"]`` holds what is known of the tissue.
"""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from multist.datasets import layered_tissue

FOLDER = Path(os.environ.get("MULTIST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def cortex() -> ad.AnnData:
    """Counts of section 151673 of the human cortex (Maynard et al. 2021), with its layers."""
    return _public("dlpfc/151673.h5ad", "layer_guess") or _made()


def next_cortex() -> ad.AnnData:
    """The section of the same donor beside it, 151674."""
    return _public("dlpfc/151674.h5ad", "layer_guess") or _made(section=1)


def cortex_with_strokes() -> ad.AnnData:
    """Components of section 151669, in which a person drew strokes (``obs["scribble"]``)."""
    return _public("cortex12/151669.h5ad", "layer") or _made()


def carcinoma() -> ad.AnnData:
    """Components and image of a ductal carcinoma with the two regions of a pathologist."""
    return _public("ductal/bcdc_ffpe.h5ad", "region") or _made(with_image=True)


def inside(adata: ad.AnnData) -> str:
    """The innermost region: white matter, or the loose stroma of the made tissue."""
    return next(name for name in ("WM", "stroma") if name in adata.obs["region"].cat.categories)


def strokes(adata: ad.AnnData, n_spots: int) -> pd.Series:
    """A stroke of ``n_spots`` neighbouring spots in each region, out of what a person drew where somebody did."""
    drawn = adata.obs["scribble" if "scribble" in adata.obs else "region"].astype(object)
    xy = pd.DataFrame(adata.obsm["spatial"], index=adata.obs_names)
    stroke = pd.Series(index=adata.obs_names, dtype=object)
    for name, places in xy.groupby(drawn):
        middle = places.sub(places.median()).pow(2).sum(axis=1).idxmin()
        stroke[places.sub(places.loc[middle]).pow(2).sum(axis=1).nsmallest(n_spots).index] = name
    return stroke.astype("category")


def _public(name: str, known: str) -> ad.AnnData | None:
    if not (FOLDER / name).exists():
        return None
    adata = ad.read_h5ad(FOLDER / name)
    for pictures in adata.uns["spatial"].values():
        pictures["images"] = {key: _eight_bits(image) for key, image in pictures["images"].items()}
    if "gene_name" in adata.var:
        adata.var_names = adata.var["gene_name"].astype(str).to_numpy()
        adata.var_names_make_unique()
    region = adata.obs[known].astype(object)
    adata.obs["region"] = region.where(~region.isin(["nan", "NA"])).astype("category")
    return adata


def _eight_bits(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else np.round(255 * image).astype(np.uint8)


def _made(section: int = 0, *, with_image: bool = False) -> ad.AnnData:
    tissue = layered_tissue(format="anndata", n_sections=section + 1, with_image=with_image)
    adata = tissue[tissue.obs["section"] == f"section{section + 1}"].copy()
    region = adata.obs["domain"].astype(str)
    if not with_image:  # which alone tells one stroma from the other
        region = region.str.replace(r"stroma_.*", "stroma", regex=True)
    adata.obs["region"] = region.astype("category")
    return adata
