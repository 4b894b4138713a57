"""Draw the pictures of the gallery: ``python docs/gallery.py`` writes ``docs/_static/gallery_*.jpg``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from PIL import Image

import multist as mt

mpl.use("agg")
mt.settings.progress = False
STATIC = Path(__file__).parent / "_static"


def solved() -> Any:
    """The built-in tissue with everything that the plots draw."""
    adata = mt.datasets.layered_tissue(format="anndata")
    mt.pp.normalize_histology(adata)
    mt.tl.multist_domains(adata, range(4, 10))
    mt.tl.border_sharpness(adata)
    mt.tl.pseudotime(adata, root="auto")
    pairs = pd.concat([adata.uns["interactions"], adata.uns["decoy_interactions"]])
    mt.tl.interactions(adata, pairs[["source", "target"]])
    rng = np.random.default_rng(0)
    strokes = adata.obs["domain"].where((adata.obs["depth"] * 40 % 10 < 0.5) & (rng.random(adata.n_obs) < 0.5))
    adata.obs["annotation"] = strokes.cat.remove_unused_categories()
    return adata


def keep(name: str, figure: Any) -> None:
    """Save a figure in less than 150 kB: photographs need JPEG for that."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, bbox_inches="tight", pad_inches=0.03, facecolor="white")
    target = STATIC / f"gallery_{name}.jpg"
    for quality in (88, 80, 70, 60):
        Image.open(buffer).convert("RGB").save(target, quality=quality, subsampling=0, optimize=True)
        if target.stat().st_size < 150_000:
            return
    raise RuntimeError(f"{target.name} is larger than 150 kB")


def main() -> None:
    adata = solved()
    gene = str(adata.uns["interactions"]["source"].iloc[0])
    mt.tl.cluster_domains(adata, labels_key="annotation", key_added="guided")
    asked = mt.tl.suggest_labels(adata, 5, key="guided")
    small: dict[str, Any] = {"return_fig": True}
    keep("domains", mt.pl.domains(adata, truth_key="domain", title=["found", "true"], img_alpha=0.6, **small))
    keep("gene", mt.pl.domains(adata, gene, outline="multist_domain", vmax="p99", **small))
    keep("weight", mt.pl.domains(adata, "multist_image_weight", **small))
    keep(
        "strokes",
        mt.pl.domains(
            adata,
            "guided_domain",
            title="to look at next",
            labels_key="annotation",
            rings=asked,
            img_alpha=0.5,
            **small,
        ),
    )
    keep(
        "groups",
        mt.pl.domains(
            adata, "domain", title="two domains", groups=["lesion", "band"], legend_loc="on data", bw=True, **small
        ),
    )
    keep("histology", mt.pl.histology(adata, **small))
    keep("n_domains", mt.pl.n_domains(adata, **small))
    keep("modality_weights", mt.pl.modality_weights(adata, **small))
    keep("attention", mt.pl.attention(adata, adata.obs["multist_confidence"].idxmin(), **small))
    keep("borders", mt.pl.borders(adata, **small))
    keep("pseudotime", mt.pl.pseudotime(adata, **small))


if __name__ == "__main__":
    main()
