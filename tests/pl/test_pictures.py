"""The main plots look as they did when a person last looked at them.

``MULTIST_BASELINE=1 pytest tests/pl/test_pictures.py`` draws the stored pictures again; look at them before they are
committed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.testing.compare import compare_images
from scipy.spatial.distance import cdist

import multist as mt

BASELINE = Path(__file__).parent / "baseline"
DRAWN_BY = "3.11"
"""Release of matplotlib; others set letters and margins elsewhere."""
TOLERANCE = 6
"""Root mean square of 255: letters may move by a pixel.

Without its two rings a map is 7 away, with half spots 25, in other colours 42.
"""
PLOTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "domains": ((), {"truth_key": "truth", "rings": ["s40", "s100"], "labels_key": "annotation"}),
    "histology": ((), {"spots": 4}),
    "modality_weights": ((), {}),
    "attention": ((["s100"],), {}),
    "borders": ((), {}),
    "pseudotime": ((), {"genes": ["gene0", "gene1"]}),
}


@pytest.fixture(scope="module")
def section() -> ad.AnnData:
    """Three bands on a hexagonal lattice over an image of stripes; nothing in it is computed by the package."""
    row, column = np.divmod(np.arange(240), 16)
    xy = 200.0 * np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2]) + 300
    band = row // 5
    adata = ad.AnnData(np.column_stack([row + 0.5, 15.5 - row]).astype(np.float32), obsm={"spatial": xy})
    adata.obs_names, adata.var_names = [f"s{i}" for i in range(240)], ["gene0", "gene1"]
    adata.obs["multist_domain"] = pd.Categorical(band.astype(str))
    adata.obs["truth"] = pd.Categorical(np.array(["white matter", "deep", "upper"])[(row + 1) // 6])
    adata.obs["annotation"] = pd.Categorical(np.where(column == 4, band.astype(str), None))
    adata.obs["multist_image_weight"], adata.obs["multist_pseudotime"] = 0.3 + column / 32, row / 14
    adata.obs["multist_confidence"] = 1.0
    keys = sp.csr_matrix((cdist(xy, xy) < 210).astype(np.float32))
    adata.obsp["spatial_connectivities"] = keys - sp.identity(240, format="csr", dtype=np.float32)
    for name, slope in (("multist_attention", 0.02),):
        weight = sp.csr_matrix(keys.multiply(1 + slope * np.arange(240)[None, :] / 16))
        adata.obsp[name] = sp.csr_matrix(sp.diags(1 / np.asarray(weight.sum(axis=1)).ravel()) @ weight)
    names = ["source", "target", "ligand_domain", "receptor_domain", "enrichment", "border_pvalue", "border_fdr"]
    pairs = [
        ("A", "B", "0", "1", 0.5, 1e-4, 1e-3),
        ("A", "B", "2", "1", 0.1, 0.4, 0.9),
        ("C", "D", "1", "2", 0.3, 1e-3, 0.01),
    ]
    borders = pd.DataFrame({"domain_1": ["0", "1"], "domain_2": ["1", "2"], "length": [1600.0, 800.0], "unit": "um"})
    sharp = {"domain_1": ["0", "1"], "domain_2": ["1", "2"], "expression": [0.9, 0.8], "expression_pvalue": [0.01, 0.3]}
    sharp |= {"histology": [0.7, 0.95], "histology_pvalue": [0.2, 0.01], "n_spots": [40, 40]}
    sharp |= {"expression_null": [0.7, 0.7], "histology_null": [0.8, 0.8]}
    adata.uns["multist"] = {
        "interactions": {
            "pairs": pd.DataFrame(pairs, columns=names),
            "borders": borders,
            "params": {"cluster_key": "multist_domain"},
        },
        "border_sharpness": pd.DataFrame(sharp),
    }
    y, x = np.indices((300, 400))
    stripes = (np.sin(x / 9) > 0.3)[..., None]
    image = np.where(stripes, [110, 70, 140], np.stack([220 - y / 8, 150 + 0 * y, 200 + 0 * y], axis=-1)).astype(
        np.uint8
    )
    factors = {"tissue_hires_scalef": 0.1, "spot_diameter_fullres": 110.0}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": factors}}
    return adata


@pytest.mark.slow
@pytest.mark.skipif(not mpl.__version__.startswith(f"{DRAWN_BY}."), reason=f"drawn by matplotlib {DRAWN_BY}")
@pytest.mark.parametrize("name", PLOTS)
def test_it_looks_as_it_did(name: str, section: ad.AnnData, tmp_path):
    plt.switch_backend("agg")
    args, options = PLOTS[name]
    with mpl.rc_context({**mpl.rcParamsDefault, "backend": "agg"}):
        figure = getattr(mt.pl, name)(section.copy(), *args, return_fig=True, **options)
        drawn, stored = tmp_path / f"{name}.png", BASELINE / f"{name}.png"
        figure.savefig(drawn, dpi=60, facecolor="white", metadata={"Software": None})
    if os.environ.get("MULTIST_BASELINE"):
        stored.write_bytes(drawn.read_bytes())
    assert stored.is_file(), f"no {stored.name}: draw it as the top of this file says"
    difference = compare_images(str(stored), str(drawn), tol=TOLERANCE)
    assert difference is None, difference
