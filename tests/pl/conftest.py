"""What several tests of plots share."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist


@pytest.fixture(scope="module")
def everything() -> ad.AnnData:
    """A section on which every plot can be drawn, its results made by hand."""
    row, column = np.divmod(np.arange(144), 12)
    xy = 200.0 * np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2]) + 300
    rng = np.random.default_rng(0)
    adata = ad.AnnData(rng.poisson(2.0, (144, 12)).astype(np.float32), obsm={"spatial": xy})
    adata.obs_names = [f"s{i}" for i in range(144)]
    adata.var_names = [f"gene{i}" for i in range(12)]
    adata.obs["multist_domain"] = pd.Categorical((column // 4).astype(str))
    adata.obs["multist_image_weight"] = rng.random(144)
    adata.obs["multist_pseudotime"] = column / 11
    graph = sp.csr_matrix((cdist(xy, xy) < 210).astype(np.float32))
    adata.obsp["spatial_connectivities"] = graph - sp.identity(144, format="csr", dtype=np.float32)
    adata.obsp["multist_attention"] = sp.csr_matrix(sp.diags(1 / np.asarray(graph.sum(axis=1)).ravel()) @ graph)
    names = ["source", "target", "ligand_domain", "receptor_domain", "enrichment", "border_pvalue", "border_fdr"]
    pairs = pd.DataFrame([("A", "B", "0", "1", 0.5, 1e-4, 1e-3), ("A", "B", "1", "2", 0.1, 0.4, 0.9)], columns=names)
    borders = pd.DataFrame({"domain_1": ["0", "1"], "domain_2": ["1", "2"], "length": [900.0, 800.0], "unit": "um"})
    sharp = {"domain_1": ["0"], "domain_2": ["1"], "expression": [0.9], "expression_pvalue": [0.01], "n_spots": [40]}
    sharp |= {"histology": [0.7], "histology_pvalue": [0.2], "expression_null": [0.7], "histology_null": [0.8]}
    counts = np.arange(2, 6)
    adata.uns["multist"] = {
        "interactions": {"pairs": pairs, "borders": borders, "params": {"cluster_key": "multist_domain"}},
        "border_sharpness": pd.DataFrame(sharp),
        "n_domains": {"candidates": counts, "bic": -counts, "icl": -counts, "stability": counts / 9, "chosen": 3},
    }
    image = rng.integers(150, 250, (300, 300, 3), dtype=np.uint8)
    factors = {"tissue_hires_scalef": 0.1, "spot_diameter_fullres": 110.0}
    adata.uns["spatial"] = {"s": {"images": {"hires": image}, "scalefactors": factors}}
    return adata
