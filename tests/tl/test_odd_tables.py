"""Tables in unusual forms: the same result, and the input keeps its bits."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt


def halves(n=14, g=40, seed=0):
    """Two domains, left and right, with half of the genes each."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    right = x.ravel() >= n // 2
    mean = np.ones((n * n, g))
    mean[~right, : g // 2], mean[right, g // 2 :] = 6, 6
    adata = ad.AnnData(
        sparse.csr_matrix(rng.poisson(mean).astype(np.float32)), obsm={"spatial": np.c_[x.ravel(), y.ravel()] * 20.0}
    )
    adata.var_names = [f"G{i}" for i in range(g)]
    adata.obs["truth"] = pd.Categorical(np.where(right, "right", "left"))
    mt.pp.spatial_graph(adata)
    return adata


def locked(adata):
    for matrix in (adata.X, adata.obsp["spatial_connectivities"]):
        for array in (matrix.data, matrix.indices, matrix.indptr):
            array.setflags(write=False)
    adata.obsm["spatial"].setflags(write=False)


def unusual(adata):
    """Columns of each row of X in reverse order, one triangle of the graph, and sparse coordinates."""
    x = adata.X
    for start, stop in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        x.indices[start:stop], x.data[start:stop] = x.indices[start:stop][::-1].copy(), x.data[start:stop][::-1].copy()
    x.has_sorted_indices = False
    graph = adata.obsp["spatial_connectivities"]
    adata.obsp["spatial_connectivities"] = sparse.csr_matrix(sparse.triu(graph))
    adata.obsm["spatial"] = sparse.csr_matrix(adata.obsm["spatial"])


PAIRS = pd.DataFrame({"source": ["G4"], "target": ["G30"]})
CALLS = {
    "interactions": lambda a: mt.tl.interactions(a, PAIRS, cluster_key="truth", n_perms=20),
    "pseudotime": lambda a: mt.tl.pseudotime(a, "left", use_rep="X_pca", cluster_key="truth"),
    "sharpness": lambda a: mt.tl.border_sharpness(a, cluster_key="truth", n_null=38),
}
RESULTS = {
    "interactions": lambda a: a.uns["multist"]["interactions"]["pairs"]["score"].to_numpy(),
    "pseudotime": lambda a: a.obs["multist_pseudotime"].to_numpy(),
    "sharpness": lambda a: a.uns["multist"]["border_sharpness"]["expression"].to_numpy(),
}


def results(adata):
    """What each function finds in a table."""
    mt.pp.embed_expression(adata, n_comps=5)
    for call in CALLS.values():
        call(adata)
    return {name: result(adata) for name, result in RESULTS.items()}


@pytest.fixture(scope="module")
def plain():
    """The same of a plain table."""
    return results(halves())


@pytest.mark.slow
@pytest.mark.parametrize("change", [locked, unusual])
def test_the_form_of_a_table_does_not_matter(change, plain):
    adata = halves()
    change(adata)
    before = (adata.X.indices.copy(), adata.X.data.copy())
    for name, found in results(adata).items():
        np.testing.assert_allclose(found, plain[name], atol=1e-4, err_msg=name)
    np.testing.assert_array_equal(adata.X.indices, before[0])
    np.testing.assert_array_equal(adata.X.data, before[1])


@pytest.mark.slow
def test_a_scale_that_is_given_makes_micrometres_of_the_lengths_of_borders():
    lengths = {}
    for scale in (None, 0.5):
        adata = halves()
        mt.tl.interactions(adata, PAIRS, cluster_key="truth", n_perms=20, microns_per_pixel=scale)
        border = adata.uns["multist"]["interactions"]["borders"].iloc[0]
        lengths[scale] = (border["length"], border["unit"])
    assert lengths[None][1] == "coordinates" and lengths[0.5][1] == "um"
    assert lengths[None][0] == pytest.approx(2 * lengths[0.5][0])
