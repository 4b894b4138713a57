"""The known order of layers, found from the first one."""

from __future__ import annotations

import pytest
from scipy.stats import spearmanr

import multist as mt

pytestmark = pytest.mark.slow

TISSUE = {"rim": 0, "cortex_a": 1, "cortex_b": 2, "band": 3, "stroma_loose": 4, "stroma_dense": 4}


def test_the_layers_of_a_spatialdata(quick):
    tissue = mt.datasets.layered_tissue(n_spots=400, n_genes=300, with_image=False)
    mt.tl.multist_domains(tissue, 7, use_image=False, config=quick)
    mt.tl.pseudotime(tissue, "rim", cluster_key="domain", table_key="table")
    obs = tissue.tables["table"].obs
    assert spearmanr(obs["multist_pseudotime"], obs["domain"].map(TISSUE).astype(float), nan_policy="omit")[0] > 0.9
