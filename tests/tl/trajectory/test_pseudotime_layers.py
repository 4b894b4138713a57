"""The known order of layers, found from the first one."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import multist as mt

pytestmark = pytest.mark.slow

CORTEX = ["WM", "Layer6", "Layer5", "Layer4", "Layer3", "Layer2", "Layer1"]
TISSUE = {"rim": 0, "cortex_a": 1, "cortex_b": 2, "band": 3, "stroma_loose": 4, "stroma_dense": 4}


def order(adata: ad.AnnData, truth: pd.Series, places: dict[str, int], use_rep: str = "X_multist") -> float:
    """|Spearman| between layer and pseudotime from the domain that holds most of the first layer."""
    place = truth.map(places).astype(float).to_numpy()
    root = adata.obs["multist_domain"][place == 0].value_counts().idxmax()
    mt.tl.pseudotime(adata, root, use_rep=use_rep)
    known = np.isfinite(place)
    return float(abs(spearmanr(adata.obs["multist_pseudotime"][known], place[known])[0]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["151673", "151674"])
def test_the_cortex_lies_in_order(cortex_divided, name: str):
    adata = cortex_divided(name)
    places = {layer: place for place, layer in enumerate(CORTEX)}
    found = order(adata, adata.obs["layer_guess"], places)
    assert found >= 0.90
    plain = order(adata, adata.obs["layer_guess"], places, use_rep="X_pca")
    assert 1 - found < (1 - plain) / 2  # at most half of what plain components leave out of order


def test_the_made_tissue_lies_in_order(large_divided):
    adata = large_divided.copy()
    # a perfect order gives .959, as layers are ties
    assert order(adata, adata.obs["domain"], TISSUE) >= 0.95


def test_the_layers_of_a_spatialdata(quick):
    tissue = mt.datasets.layered_tissue(n_spots=400, n_genes=300, with_image=False)
    mt.tl.multist_domains(tissue, 7, use_image=False, config=quick)
    mt.tl.pseudotime(tissue, "rim", cluster_key="domain", table_key="table")
    obs = tissue.tables["table"].obs
    assert spearmanr(obs["multist_pseudotime"], obs["domain"].map(TISSUE).astype(float), nan_policy="omit")[0] > 0.9
