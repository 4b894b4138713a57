"""PAGA of domains, also where it has no edge."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt


def islands(n: int = 40) -> ad.AnnData:
    """Two domains that lie far apart in the embedding and on the tissue."""
    rng = np.random.default_rng(0)
    rep = np.concatenate([rng.normal(0, 1, (n, 4)), rng.normal(100, 1, (n, 4))])
    xy = np.concatenate([rng.uniform(0, 10, (n, 2)), rng.uniform(0, 10, (n, 2)) + 1000])
    adata = ad.AnnData(np.zeros((2 * n, 1), dtype=np.float32), obsm={"X_multist": rep, "spatial": xy})
    adata.obs["multist_domain"] = pd.Categorical(["0"] * n + ["1"] * n)
    return adata


@pytest.mark.slow
def test_domains_that_nothing_joins_have_an_empty_paga_and_their_pseudotime():
    pytest.importorskip("igraph")
    adata = islands()
    mt.tl.pseudotime(adata, on_disconnected="separate")
    paga = adata.uns["multist"]["pseudotime"]["paga"]
    assert paga["domains"].tolist() == ["0", "1"]
    assert not paga["connectivities"].any() and paga["connectivities"].shape == (2, 2)
    assert np.isfinite(adata.obs["multist_pseudotime"]).all()
