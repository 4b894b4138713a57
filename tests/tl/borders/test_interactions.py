"""Ligand-receptor pairs between domains that touch."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt

pytestmark = pytest.mark.slow  # the first to run makes what all of them read

CALL = ["source", "target", "ligand_domain", "receptor_domain"]
QUICK = {"cluster_key": "domain", "n_perms": 200}
# squidpy's test is compiled anew for each number of domains and for a single pair, so that wherever it may be there are
# seven domains and two pairs or more


@pytest.fixture(scope="module")
def tissue() -> ad.AnnData:
    """A section divided by its true domains, with its graph."""
    adata = mt.datasets.layered_tissue(n_spots=1500, n_genes=150, with_image=False, format="anndata")
    mt.pp.spatial_graph(adata)
    return adata


@pytest.fixture(scope="module")
def solved(tissue: ad.AnnData, pairs: pd.DataFrame, unchanged) -> ad.AnnData:
    with unchanged(tissue):
        return mt.tl.interactions(tissue, pairs, copy=True, **QUICK)


@pytest.fixture(scope="module")
def found(solved: ad.AnnData) -> pd.DataFrame:
    return solved.uns["multist"]["interactions"]["pairs"]


def test_the_planted_pairs_and_only_they_are_significant_at_their_border(solved: ad.AnnData, found: pd.DataFrame):
    called = {tuple(row) for row in found.loc[found["border_fdr"] <= 0.05, CALL].to_numpy()}
    assert called == {tuple(row) for row in solved.uns["interactions"].to_numpy()}


def test_decoys_pass_the_test_of_clusters(solved: ad.AnnData, found: pd.DataFrame):
    decoys = solved.uns["decoy_interactions"]
    known = found["source"].isin(decoys.loc[decoys["kind"] != "diffuse", "source"])
    assert (found.loc[known, "cluster_fdr"] <= 0.05).sum() > 5
    assert not (found.loc[known, "border_fdr"] <= 0.05).any()


def test_one_sided_decoys_are_told_by_their_sides(found: pd.DataFrame):
    row = found[(found[CALL] == ["EGF", "EGFR", "cortex_b", "band"]).all(axis=1)].squeeze()
    assert row["ligand_pvalue"] < 0.01 < row["receptor_pvalue"] == row["border_pvalue"]


def test_every_pair_is_listed_at_every_border_in_both_directions(solved: ad.AnnData, found: pd.DataFrame):
    result = solved.uns["multist"]["interactions"]
    borders = result["borders"]
    ends = set(zip(borders["domain_1"], borders["domain_2"], strict=True))
    assert ("rim", "cortex_a") in ends and ("rim", "band") not in ends and ("band", "rim") not in ends
    directed = set(found[["ligand_domain", "receptor_domain"]].itertuples(index=False, name=None))
    tested = set(borders.loc[borders["tested"], ["domain_1", "domain_2"]].itertuples(index=False, name=None))
    assert directed == tested | {(b, a) for a, b in tested}
    assert len(found) == 12 * len(directed)
    assert found["border_pvalue"].is_monotonic_increasing
    np.testing.assert_array_equal(found["border_pvalue"], found[["ligand_pvalue", "receptor_pvalue"]].max(axis=1))
    assert (found["border_fdr"] >= found["border_pvalue"]).all() and (found["cluster_pvalue"] > 0).all()


def test_the_score_is_that_of_spots_facing_each_other(solved: ad.AnnData, found: pd.DataFrame):
    near = found[(found[CALL] == ["CXCL12", "CXCR4", "cortex_b", "band"]).all(axis=1)].squeeze()
    counts = solved.X.toarray()
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    graph = solved.obsp["spatial_connectivities"].toarray()
    steps = (graph + graph @ graph) > 0
    a, b = (np.flatnonzero(solved.obs["domain"] == name) for name in ("cortex_b", "band"))
    ligand, receptor = (logged[:, solved.var_names.get_loc(gene)] for gene in ("CXCL12", "CXCR4"))
    facing = steps[np.ix_(a, b)]
    assert near["score"] == pytest.approx(np.outer(ligand[a], receptor[b])[facing].mean(), rel=1e-4)


def test_nothing_else_is_changed(tissue: ad.AnnData, solved: ad.AnnData, pairs: pd.DataFrame):
    again = tissue.copy()
    assert mt.tl.interactions(again, pairs, key_added="other", **QUICK) is None
    for name in ("pairs", "borders"):
        first, second = again.uns["other"]["interactions"][name], solved.uns["multist"]["interactions"][name]
        pd.testing.assert_frame_equal(first, second)
    assert set(solved.uns) == {*tissue.uns, "multist"}
    assert set(again.uns) == {*tissue.uns, "other"} and (again.X != tissue.X).nnz == 0


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_the_result_survives_a_file(solved: ad.AnnData, form: str, tmp_path):
    small = ad.AnnData(obs=solved.obs[["domain"]], uns={"multist": solved.uns["multist"]})
    getattr(small, f"write_{form}")(tmp_path / "a")
    back = getattr(ad, f"read_{form}")(tmp_path / "a")
    before, after = (data.uns["multist"]["interactions"] for data in (solved, back))
    for name in ("pairs", "borders"):
        pd.testing.assert_frame_equal(after[name], before[name], check_dtype=False, check_categorical=False)
    assert dict(after["params"]) == before["params"] and dict(after["versions"]) == before["versions"]


def test_normalised_values_genes_in_another_case_and_labels_that_are_no_categories(tissue, pairs, found: pd.DataFrame):
    import scanpy as sc

    adata = tissue.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    adata.layers["log"], adata.X = adata.X, -adata.X
    adata.var_names = adata.var_names.str.title()
    adata.obs["domain"] = adata.obs["domain"].astype(str)
    mt.tl.interactions(adata, pairs, layer="log", **QUICK)
    other = adata.uns["multist"]["interactions"]["pairs"]
    significant = other.loc[other["border_fdr"] <= 0.05, CALL].to_numpy().tolist()
    assert sorted(significant) == sorted(found.loc[found["border_fdr"] <= 0.05, CALL].to_numpy().tolist())


def test_a_spatialdata_with_complexes_unlabelled_spots_and_no_graph_yet(caplog):
    sdata = mt.datasets.layered_tissue(n_spots=400, n_genes=100, with_image=False)
    table = sdata.tables["table"]
    named, upper = table.obs["domain"].astype(str), table.obs["array_row"] < table.obs["array_row"].median()
    table.obs["domain"] = named.mask(named == "lesion", np.nan).mask((named == "cortex_b") & upper, "cortex_c")
    pairs = pd.DataFrame({"ligand": ["CXCL12"] * 3, "receptor": ["CXCR4_TGFBR2", "CXCR4_ABSENT", "CXCR4"]})
    with caplog.at_level(logging.INFO, logger="multist"):
        mt.tl.interactions(sdata, pairs, table_key="table", cluster_key="domain", n_perms=20)
    assert "running pp.spatial_graph" in caplog.text and "2 of 3" in caplog.text
    result = table.uns["multist"]["interactions"]
    assert set(result["pairs"]["target"]) == {"CXCR4_TGFBR2", "CXCR4"}
    assert not (result["pairs"][["ligand_domain", "receptor_domain"]] == "lesion").any(axis=None)
    assert "lesion" not in set(result["borders"][["domain_1", "domain_2"]].to_numpy().ravel())


def test_borders_do_not_run_between_sections(tissue: ad.AnnData, solved: ad.AnnData, pairs: pd.DataFrame):
    both = ad.concat({"a": tissue, "b": tissue}, label="slide", index_unique="-")
    both.obs["domain"] = both.obs["domain"].astype("category")
    mt.tl.interactions(both, pairs.head(2), library_key="slide", cluster_key="domain", n_perms=5)
    alone, borders = (data.uns["multist"]["interactions"]["borders"] for data in (solved, both))
    named = {frozenset(row[:2]): row[2:4] for row in borders.to_numpy()}
    assert len(named) == len(alone)
    for one, two, n_edges, length, *_ in alone.to_numpy():
        assert named[frozenset((one, two))] == pytest.approx([2 * n_edges, 2 * length])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"cluster_key": "nothing"}, KeyError, "'nothing' not found in obs; found: .*'domain'"),
        ({"cluster_key": "section"}, ValueError, "no two domains of obs\\['section'\\] touch"),
        ({"min_edges": 10_000}, ValueError, "min_edges=10000"),
        ({"reach": 0}, ValueError, "reach must be a whole number"),
        ({"patch_size": 2.5}, ValueError, "patch_size must be a whole number"),
        ({"threshold": 2}, ValueError, "threshold is a share"),
        ({"layer": "raw"}, KeyError, "'raw' not found"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(tissue, pairs, unchanged, change, error, message):
    with unchanged(tissue), pytest.raises(error, match=message):
        mt.tl.interactions(tissue, pairs, **QUICK | change)


def test_planted_pairs_are_found_on_another_tissue_of_the_usual_size(pairs: pd.DataFrame):
    adata = mt.datasets.layered_tissue(n_genes=150, with_image=False, format="anndata", random_state=1)
    mt.tl.interactions(adata, pairs, cluster_key="domain")
    found = adata.uns["multist"]["interactions"]["pairs"]
    called = {tuple(row) for row in found.loc[found["border_fdr"] <= 0.05, CALL].to_numpy()}
    assert called == {tuple(row) for row in adata.uns["interactions"].to_numpy()}


def test_what_is_not_tested_has_a_reason(tissue: ad.AnnData, pairs: pd.DataFrame):
    options = QUICK | {"n_perms": 20, "threshold": 0.125}
    scarce = tissue.copy()
    emptied = np.outer(np.arange(tissue.n_obs) % 20 > 0, tissue.var_names.isin(pairs["source"][:3]))
    scarce.X = tissue.X.multiply(~emptied).tocsr()
    found = mt.tl.interactions(scarce, pairs, copy=True, **options).uns["multist"]["interactions"]["pairs"]
    untested = found["border_pvalue"].isna()
    assert untested.any() and not untested.all()
    said = "ligand or receptor is in less than 12.5 % of the spots of its domain"
    assert (found["why"] == np.where(untested, said, "")).all()


def test_a_domain_smaller_than_a_patch_is_not_tested(tissue: ad.AnnData, pairs: pd.DataFrame):
    spots = tissue.obs["domain"].value_counts()
    side = int(np.sqrt(spots.iloc[-1])) + 1
    small = spots.index[spots < side**2]
    assert 0 < len(small) < 5
    options = QUICK | {"n_perms": 20, "patch_size": side}
    found = mt.tl.interactions(tissue, pairs, copy=True, **options).uns["multist"]["interactions"]["pairs"]
    at_small = found[["ligand_domain", "receptor_domain"]].isin(small).any(axis=1)
    assert found.loc[at_small, ["border_pvalue", "border_fdr", "enrichment"]].isna().all(axis=None)
    assert "a domain has fewer spots than a patch" in set(found.loc[at_small, "why"])
    expressed = at_small & (found["why"] == "a domain has fewer spots than a patch")
    assert found.loc[expressed, "cluster_pvalue"].notna().all()
    assert found.loc[~at_small, "border_pvalue"].notna().all()


def test_numbers_beside_a_missing_one_are_domains_like_any(tissue: ad.AnnData, pairs: pd.DataFrame):
    """pandas stores them with a fraction, and the result names them without."""
    adata = tissue.copy()
    adata.obs["number"] = adata.obs["domain"].cat.codes.astype(float)
    adata.obs.loc[adata.obs_names[:5], "number"] = np.nan
    mt.tl.interactions(adata, pairs.head(3), cluster_key="number", n_perms=20)
    assert set(adata.uns["multist"]["interactions"]["pairs"]["ligand_domain"]) <= set("0123456")
    assert mt.tl.ligrec_result(adata)["pvalues"].shape[0] > 0
