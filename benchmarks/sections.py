"""Labelled sections of a folder, with the truth kept apart from what a method sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from scipy.optimize import linear_sum_assignment

# first part of a section's name -> column of obs that holds its known domains
TRUTH = {
    "dlpfc": "layer_guess",
    "her2st": "label",
    "breast_block_a_s1": "label_id",
    "starmap_by3": "layer",
    "starmap_mpfc": "layer",
    "merfish_hypothalamus": "label_id",
    "osmfish": "Region",
    "cortex12": "layer",
    "olfactory_bulb": "label",
    "breast_hires": "label_id",
    "ductal": "region",
    "layered_tissue": "domain",
}
# what a method may see: nothing that anybody annotated
KEPT = {
    "obs": ("in_tissue", "array_row", "array_col", "sum_umi"),
    "obsm": ("spatial", "X_pca", "X_feat"),
    "uns": ("spatial",),
}


class Section(NamedTuple):
    """One section as a method sees it, and what it does not see."""

    name: str
    adata: AnnData
    truth: pd.Series
    n_domains: int

    @property
    def xy(self) -> np.ndarray:
        return np.asarray(self.adata.obsm["spatial"], dtype=np.float64)[:, :2]

    @property
    def has_image(self) -> bool:
        return any(entry.get("images") for entry in self.adata.uns.get("spatial", {}).values())

    @property
    def shows_tissue(self) -> bool:
        """Whether there is more than Space Ranger's small image, in which a spot is a few pixels wide."""
        return any("hires" in entry.get("images", {}) for entry in self.adata.uns.get("spatial", {}).values())


def section_names(folder: Path, only: Sequence[str] | None = None) -> list[str]:
    """Names of the files whose truth column is known by name; ``dlpfc/151673`` is ``dlpfc/151673.h5ad``.

    ``only`` are sections, or folders of sections; left out, all.
    """
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in sorted(folder.rglob("*.h5ad"))]
    known = [name for name in names if name.split("/")[0] in TRUTH]
    return [name for name in known if not only or any(belongs(name, each) for each in only)]


def belongs(name: str, only: str) -> bool:
    """Whether a section is the one that was named, or lies in the folder that was."""
    return name == only or name.startswith(f"{only.rstrip('/')}/")


def load_section(folder: Path, name: str) -> Section | None:
    """Read a section and take its annotation away; None if it has none."""
    adata = read_h5ad(folder / f"{name}.h5ad")
    key = TRUTH[name.split("/")[0]]
    if key not in adata.obs:
        return None
    truth = adata.obs[key].astype(object)
    truth[truth.astype(str) == "nan"] = np.nan
    seen = AnnData(
        X=adata.X,
        obs=adata.obs[[column for column in KEPT["obs"] if column in adata.obs]].copy(),
        var=adata.var[[]].copy(),
        obsm={field: adata.obsm[field] for field in KEPT["obsm"] if field in adata.obsm},
        uns={field: adata.uns[field] for field in KEPT["uns"] if field in adata.uns},
    )
    return Section(name, seen, truth, int(truth.nunique()))


def recall(truth: pd.Series, labels: np.ndarray) -> dict[str, float]:
    """Share of each known domain that its partner holds; partners overlap most in all (Hungarian method)."""
    known = truth.notna().to_numpy()
    overlap = pd.crosstab(truth[known].astype(str).to_numpy(), np.asarray(labels).astype(str)[known])
    rows, columns = linear_sum_assignment(-overlap.to_numpy())
    found = dict.fromkeys(overlap.index, 0.0)
    for row, column in zip(rows, columns, strict=True):
        found[overlap.index[row]] = float(overlap.iat[row, column] / overlap.iloc[row].sum())
    return found
