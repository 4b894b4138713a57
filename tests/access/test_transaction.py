"""What fails half way leaves the table as it was; what succeeds stays."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.access.draft import Draft
from multist.access.transaction import restored_on_error
from multist.access.write import write_table


@pytest.fixture
def table() -> ad.AnnData:
    rng = np.random.default_rng(0)
    adata = ad.AnnData(
        rng.poisson(1.0, (6, 3)).astype(np.float32),
        obs=pd.DataFrame({"group": pd.Categorical(list("aabbab")), "size": np.arange(6.0)}, index=list("uvwxyz")),
        obsm={"spatial": rng.random((6, 2)), "X_pca": rng.random((6, 4))},
        obsp={"spatial_connectivities": sparse.identity(6, format="csr")},
    )
    adata.uns["spatial"] = {"s1": {"scalefactors": {"tissue_hires_scalef": 0.5}}}
    adata.uns["multist"] = {"stain_reference": np.arange(3), "params": {"n_domains": 2}}
    adata.uns["note"] = "kept"
    return adata


def spoil(table: ad.AnnData) -> None:
    """Writes of every kind: new, replaced, removed."""
    draft = Draft(table)
    graphs = {"spatial_connectivities": sparse.csr_matrix((6, 6)), "spatial_distances": sparse.csr_matrix((6, 6))}
    found = {
        "obs": {"multist_domain": pd.Categorical(list("010101")), "size": np.zeros(6)},
        "obsm": {"X_multist": np.ones((6, 2)), "X_pca": np.zeros((6, 1))},
        "obsp": graphs,
        "uns": {"multist": {"params": {"n_domains": 5}, "losses": {}}, "multist_domain_colors": ["#000000"]},
    }
    write_table(draft, found)
    draft.write_to(table)
    table.uns["multist"]["more"] = 1
    del table.obsm["spatial"], table.uns["note"]


def assert_same(table: ad.AnnData, before: ad.AnnData) -> None:
    pd.testing.assert_frame_equal(table.obs, before.obs)
    assert set(table.obsm) == set(before.obsm)
    for key in before.obsm:
        np.testing.assert_array_equal(table.obsm[key], before.obsm[key])
    assert set(table.obsp) == set(before.obsp)
    for key in before.obsp:
        assert (table.obsp[key] != before.obsp[key]).nnz == 0
    assert set(table.uns) == set(before.uns)
    assert table.uns["note"] == "kept"
    assert table.uns["spatial"] == before.uns["spatial"]
    assert set(table.uns["multist"]) == {"stain_reference", "params"}
    assert table.uns["multist"]["params"] == {"n_domains": 2}
    np.testing.assert_array_equal(table.X, before.X)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_or_is_interrupted_leaves_no_trace_and_the_arrays_that_were_there(table, error):
    before, pca, connectivities = table.copy(), table.obsm["X_pca"], table.obsp["spatial_connectivities"]
    with pytest.raises(error, match="half way"), restored_on_error(table, table):
        spoil(table)
        raise error("half way")
    assert_same(table, before)
    assert table.obsm["X_pca"] is pca and table.obsp["spatial_connectivities"] is connectivities


def test_what_succeeds_stays(table):
    with restored_on_error(table, table):
        spoil(table)
    assert table.obs["multist_domain"].tolist() == list("010101")
    assert table.obsm["X_pca"].shape == (6, 1)
    assert "spatial" not in table.obsm and "note" not in table.uns
    assert table.uns["multist"]["params"] == {"n_domains": 5}


def test_one_within_another(table):
    before = table.copy()
    with pytest.raises(ValueError, match="outer"), restored_on_error(table, table):
        table.obs["outer"] = 1
        with pytest.raises(ValueError, match="inner"), restored_on_error(table, table):
            spoil(table)
            raise ValueError("inner")
        assert "outer" in table.obs and "multist_domain" not in table.obs
        raise ValueError("outer")
    assert_same(table, before)


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_neither_a_view_nor_what_it_is_a_view_of_changes(table):
    before, view = table.copy(), table[:]
    with pytest.raises(ValueError, match="half way"), restored_on_error(view, view):
        spoil(view)
        raise ValueError("half way")
    assert_same(view, before)
    assert_same(table, before)


def test_images_that_were_added_or_replaced_are_put_back(tissue):
    images, table = dict(tissue.images), tissue.tables["table"]
    (name,) = images
    with pytest.raises(ValueError, match="half way"), restored_on_error(table, tissue):
        tissue.images["new"] = images[name]
        del tissue.images[name]
        tissue.images[name] = images[name].copy()
        table.uns["note"] = "gone"
        raise ValueError("half way")
    assert dict(tissue.images).keys() == images.keys() and tissue.images[name] is images[name]
    assert "note" not in table.uns
    with restored_on_error(table, tissue):
        tissue.images["new"] = images[name]
    assert set(tissue.images) == {name, "new"}
