"""squidpy's test with inputs it can rely on, and a result that files hold and squidpy draws."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd

import multist as mt
from multist.access import get_table
from multist.access.tables import copy_data

pytestmark = pytest.mark.slow  # squidpy's test is compiled for the first

N_PERMS = 30


@pytest.fixture(scope="module")
def solved(made_tissue, pairs: pd.DataFrame) -> sd.SpatialData:
    """A result, not to be changed."""
    tissue = copy_data(made_tissue[0])
    table = get_table(tissue)
    table.raw = table.copy()  # what squidpy would read
    mt.tl.ligrec(tissue, "domain", pairs=pairs, n_perms=N_PERMS)
    return tissue


@pytest.mark.filterwarnings("ignore")
def test_it_is_what_squidpy_finds_on_log_normalised_counts(solved: sd.SpatialData, pairs: pd.DataFrame):
    import scanpy as sc
    import squidpy as sq

    found = mt.tl.ligrec_result(solved, of="ligrec")
    adata = get_table(solved).copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    expected = sq.gr.ligrec(
        adata,
        "domain",
        interactions=pairs,
        use_raw=False,
        copy=True,
        n_perms=N_PERMS,
        seed=0,
        n_jobs=1,
        show_progress_bar=False,
    )
    assert found["means"].shape[1] == adata.obs["domain"].nunique() ** 2
    for name in ("means", "pvalues"):
        wanted = expected[name]
        ours = found[name].loc[wanted.index, list(wanted.columns)].to_numpy(dtype=float)
        np.testing.assert_allclose(ours, wanted.to_numpy(dtype=float), rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_files_hold_it(solved: sd.SpatialData, tmp_path):
    data = copy_data(solved)
    table = get_table(data)
    # not of the result, and zarr takes long for each of their fields
    del table.raw, table.uns["interactions"], table.uns["decoy_interactions"]
    data.write(tmp_path / "a.zarr")
    table.copy().write_h5ad(tmp_path / "a.h5ad")
    before = mt.tl.ligrec_result(solved, of="ligrec")
    for back in (sd.read_zarr(tmp_path / "a.zarr"), ad.read_h5ad(tmp_path / "a.h5ad")):
        found = mt.tl.ligrec_result(back, of="ligrec")
        pd.testing.assert_frame_equal(found["pvalues"], before["pvalues"])


KEPT = ("decisions", "schema")


def test_what_is_not_tested_has_a_reason(tissue_table: ad.AnnData, pairs: pd.DataFrame):
    tissue_table.X = tissue_table.X.multiply(~tissue_table.var_names.isin(pairs["source"][:1])).tocsr()
    found = mt.tl.ligrec(tissue_table, pairs=pairs, cluster_key="domain", n_perms=20, threshold=0, copy=True)
    table = found.uns["multist"]["ligrec"]["pairs"]
    untested = table["cluster_pvalue"].isna()
    said = "ligand or receptor is in none of the spots of its domain"
    assert untested.any() and (table["why"] == np.where(untested, said, "")).all()


def test_only_its_field_is_written(tissue_table: ad.AnnData, pairs: pd.DataFrame):
    before = tissue_table.copy()
    changed = mt.tl.ligrec(tissue_table, "domain", pairs=pairs, n_perms=5, copy=True)
    assert "multist" not in tissue_table.uns
    assert set(changed.uns) == {*before.uns, "multist"} and set(changed.uns["multist"]) == {"ligrec", *KEPT}
    assert (changed.X != before.X).nnz == 0
    table = changed.uns["multist"]["ligrec"]["pairs"]
    assert len(table) == len(pairs) * 49
    assert table["cluster_pvalue"].dropna().between(1 / 6, 1).all()
    # it stands beside what other functions found
    mt.tl.interactions(changed, pairs, cluster_key="domain", n_perms=5, min_edges=2)
    assert set(changed.uns["multist"]) == {"ligrec", "interactions", *KEPT}
    both = [mt.tl.ligrec_result(changed, of=of)["means"] for of in ("ligrec", "interactions")]
    shared = list(both[1].columns)
    np.testing.assert_allclose(both[0].loc[both[1].index, shared].to_numpy(float), both[1].to_numpy(float), rtol=1e-5)


def test_spots_without_a_domain_are_left_out(tissue_table: ad.AnnData, pairs: pd.DataFrame):
    # a domain without a name and another halved are seven, for which squidpy's test is compiled already
    named, upper = tissue_table.obs["domain"].astype(str), np.arange(tissue_table.n_obs) % 2 == 0
    tissue_table.obs["some"] = named.mask(named == "lesion", np.nan).mask((named == "rim") & upper, "edge")
    mt.tl.ligrec(tissue_table, "some", pairs=pairs, n_perms=5)
    columns = mt.tl.ligrec_result(tissue_table, of="ligrec")["means"].columns
    left = {*named, "edge"} - {"lesion"}
    assert len(left) == 7 and set(columns) == {(a, b) for a in left for b in left}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cluster_key": "leiden"}, KeyError, "cluster_key 'leiden' not found in obs"),
        ({"layer": "counts"}, KeyError, "counts"),
        ({"n_perms": 0}, ValueError, "n_perms"),
        ({"threshold": 2}, ValueError, "threshold"),
        ({"cluster_key": "empty"}, ValueError, "no domain for any"),
    ],
)
def test_what_cannot_be_tested_is_said(tissue_table: ad.AnnData, pairs: pd.DataFrame, options, error, message):
    tissue_table.obs["empty"] = pd.Categorical([None] * tissue_table.n_obs)
    with pytest.raises(error, match=message):
        mt.tl.ligrec(tissue_table, **({"cluster_key": "domain", "pairs": pairs} | options))
    assert "multist" not in tissue_table.uns


def test_there_are_two_results(tissue_table: ad.AnnData):
    with pytest.raises(ValueError, match="of is 'interactions' or 'ligrec'"):
        mt.tl.ligrec_result(tissue_table, of="liana")
