"""Pseudotime: an order along the tissue from a named root, whatever the graph looks like."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.stats import spearmanr

import multist as mt

LAYERS = ("inner", "middle", "outer", "rim")


def strip(
    n_rows: int = 24, n_columns: int = 15, *, noise: float = 0.05, name: str = "a", seed: int = 0, shift: float = 0.0
) -> ad.AnnData:
    """Four layers one above the other, with an embedding that changes smoothly from the first to the last row."""
    rng = np.random.default_rng(seed)
    row, column = (side.ravel() for side in np.mgrid[:n_rows, :n_columns])
    depth = (row + rng.random(len(row))) / n_rows
    rep = np.column_stack([4 * depth, np.sin(3 * depth), np.cos(3 * depth)]) + noise * rng.normal(size=(len(row), 3))
    adata = ad.AnnData(np.ones((len(row), 1), dtype=np.float32))
    adata.obs_names = [f"{name}-{i}" for i in range(len(row))]
    adata.obs["multist_domain"] = pd.Categorical(np.array(LAYERS)[(4 * depth).astype(int)], LAYERS)
    adata.obs["depth"], adata.obs["section"] = depth, pd.Categorical([name] * len(row))
    adata.obsm["X_multist"], adata.obsm["spatial"] = rep + shift, np.column_stack([column, row]).astype(float)
    return adata


def apart(*, tight: int = 0) -> ad.AnnData:
    """A strip whose last layer, or a few of its cells, are so far away that no neighbour leads there."""
    adata = strip()
    far = adata.obs["multist_domain"].to_numpy() == "rim"
    if tight:
        far[np.flatnonzero(far)[tight:]] = False
        adata.obsm["X_multist"][far] = np.random.default_rng(0).random((tight, 3))
    adata.obsm["X_multist"][far] += 1e5
    adata.obs["far"] = far
    return adata


def agreement(adata: ad.AnnData, key: str = "multist_pseudotime") -> float:
    return float(spearmanr(adata.obs[key], adata.obs["depth"], nan_policy="omit")[0])


def test_it_runs_from_the_root_domain_through_the_tissue():
    adata = strip()
    assert mt.tl.pseudotime(adata, "inner") is None
    time = adata.obs["multist_pseudotime"]
    assert agreement(adata) > 0.98
    assert (time.min(), time.max()) == (0, 1)
    found = adata.uns["multist"]["pseudotime"]
    assert time[found["roots"][0]] == 0
    assert adata.obs["multist_domain"][found["roots"][0]] == "inner" == found["root_domains"][0]
    # the far side of the domain, not its border to the next
    assert adata.obs["depth"][found["roots"][0]] < 0.1
    assert found["params"]["root"] == "inner"
    assert found["params"]["spatial_weight"] == 0.5
    assert agreement(mt.tl.pseudotime(adata, "rim", copy=True)) < -0.98
    assert agreement(adata) > 0.98


def test_an_observation_is_a_root():
    adata = strip()
    mt.tl.pseudotime(adata, "a-200", key_added="mine")
    assert adata.obs["mine_pseudotime"]["a-200"] == 0
    assert adata.uns["mine"]["pseudotime"]["roots"].tolist() == ["a-200"]
    assert "multist_pseudotime" not in adata.obs


@pytest.mark.parametrize("root", [0, np.int64(3), None])
def test_a_bare_index_is_no_root(root):
    with pytest.raises(TypeError, match="domain, an observation name or 'auto'"):
        mt.tl.pseudotime(strip(), root)


def test_auto_takes_an_end_and_says_which(caplog: pytest.LogCaptureFixture):
    adata = strip()
    with caplog.at_level(logging.INFO, logger="multist"):
        mt.tl.pseudotime(adata)
    chosen = adata.uns["multist"]["pseudotime"]["root_domains"].tolist()
    assert chosen in (["inner"], ["rim"])
    assert f"of domain {chosen[0]!r}" in caplog.text
    assert abs(agreement(adata)) > 0.98


def test_a_graph_that_falls_apart_is_named(unchanged):
    adata = apart()
    sizes = adata.obs["multist_domain"].value_counts()
    mt.pp.spatial_graph(adata)
    message = rf"2 parts.*part 1: {360 - sizes['rim']} cells \(domains .*part 2: {sizes['rim']} cells \(domains 'rim'"
    with unchanged(adata), pytest.raises(ValueError, match=message):
        mt.tl.pseudotime(adata, "inner")


def test_parts_can_have_a_scale_each():
    adata = apart()
    mt.tl.pseudotime(adata, "inner", on_disconnected="separate")
    found = adata.uns["multist"]["pseudotime"]
    assert found["root_domains"].tolist() == ["inner", "rim"]
    assert found["part_sizes"].sum() == adata.n_obs
    for part in (adata[adata.obs["far"]], adata[~adata.obs["far"]]):
        time = part.obs["multist_pseudotime"]
        assert (time.min(), time.max()) == (0, 1)
        assert abs(agreement(part)) > 0.9


def test_or_only_the_part_of_the_root():
    adata = apart()
    mt.tl.pseudotime(adata, "rim", on_disconnected="missing")
    time = adata.obs["multist_pseudotime"]
    assert (time.isna() == ~adata.obs["far"]).all()
    assert time.max() == 1


def test_a_handful_of_cells_apart_gets_none(caplog: pytest.LogCaptureFixture):
    adata = apart(tight=8)
    with caplog.at_level(logging.WARNING, logger="multist"):
        mt.tl.pseudotime(adata, "inner")
    assert "8 cells get no pseudotime, in parts of less than n_neighbors=15" in caplog.text
    assert (adata.obs["multist_pseudotime"].isna() == adata.obs["far"]).all()
    assert agreement(adata) > 0.98
    with pytest.raises(ValueError, match="choose another"):
        mt.tl.pseudotime(adata, adata.obs_names[adata.obs["far"]][0])


def test_sections_share_one_scale():
    both = ad.concat([strip(), strip(name="b", seed=1)])
    both.obs["multist_domain"] = both.obs["multist_domain"].astype("category")
    mt.tl.pseudotime(both, "inner", library_key="section")
    one, two = (both[both.obs["section"] == name] for name in "ab")
    assert len(both.uns["multist"]["pseudotime"]["roots"]) == 1
    for layer in LAYERS:
        medians = [s.obs["multist_pseudotime"][s.obs["multist_domain"] == layer].median() for s in (one, two)]
        assert abs(medians[0] - medians[1]) < 0.05
    assert agreement(one) > 0.98
    assert agreement(two) > 0.98


def test_sections_without_a_common_neighbour_are_named():
    both = ad.concat([strip(), strip(name="b", shift=1e5)])
    with pytest.raises(ValueError, match="part 1: 360 cells .*sections 'a': 360"):
        mt.tl.pseudotime(both, "inner", library_key="section")


@pytest.mark.slow
def test_many_cells_lean_on_landmarks():
    adata = strip(100, 30)
    mt.tl.pseudotime(adata, "inner", key_added="all")
    mt.tl.pseudotime(adata, "inner", max_cells=1000)
    assert 990 <= adata.uns["multist"]["pseudotime"]["n_landmarks"] <= 1010
    assert spearmanr(adata.obs["all_pseudotime"], adata.obs["multist_pseudotime"])[0] > 0.99
    mt.tl.pseudotime(adata, "a-1234", max_cells=500)
    assert adata.obs["multist_pseudotime"].idxmin() == "a-1234"


def test_landmarks_of_parts_do_not_mix():
    adata = apart()
    mt.tl.pseudotime(adata, "inner", on_disconnected="missing", max_cells=150)
    assert (adata.obs["multist_pseudotime"].isna() == adata.obs["far"]).all()


@pytest.mark.slow
def test_a_long_tissue_keeps_its_leading_component():
    adata = strip(500, 5, noise=0.01)
    mt.tl.pseudotime(adata, "inner")
    assert agreement(adata) > 0.99


def test_a_fold_is_no_short_circuit():
    adata = strip(24, 15)
    # the strip bent back: its first and its last rows lie side by side
    lower = adata.obsm["spatial"][:, 1] >= 12
    adata.obsm["spatial"][lower] = adata.obsm["spatial"][lower] * [1, -1] + [15, 23]
    mt.tl.pseudotime(adata, "inner")
    assert agreement(adata) > 0.97


def test_neighbours_in_space_help_a_noisy_embedding():
    adata = strip()
    noise = np.random.default_rng(1).normal(size=(adata.n_obs, 20))
    adata.obsm["X_multist"] = np.hstack([adata.obsm["X_multist"], noise])
    for weight in (0.0, 0.5):
        mt.tl.pseudotime(adata, "inner", spatial_weight=weight, key_added=f"w{weight}")
    assert agreement(adata, "w0.5_pseudotime") > agreement(adata, "w0.0_pseudotime") + 0.02


def test_without_space_no_graph_is_made():
    adata = mt.tl.pseudotime(strip(), "inner", spatial_weight=0, copy=True)
    assert not adata.obsp


def test_the_domains_form_a_chain_in_paga():
    adata = strip()
    adata.obs.loc[adata.obs_names[::50], "multist_domain"] = np.nan
    mt.tl.pseudotime(adata, "inner")
    paga = adata.uns["multist"]["pseudotime"]["paga"]
    assert paga["domains"].tolist() == list(LAYERS)
    linked = paga["connectivities"] > 0.01
    assert np.array_equal(linked, np.abs(np.subtract.outer(range(4), range(4))) == 1)
    assert np.count_nonzero(paga["connectivities_tree"]) == 3
    assert adata.obs["multist_pseudotime"].notna().all()


def test_a_single_domain_will_do():
    adata = strip()
    adata.obs["multist_domain"] = "all"
    mt.tl.pseudotime(adata, "all")
    assert abs(agreement(adata)) > 0.98
    assert adata.uns["multist"]["pseudotime"]["paga"]["connectivities"].tolist() == [[0.0]]


def test_nothing_of_the_users_is_touched():
    adata = strip()
    sc.pp.neighbors(adata, 10, use_rep="X_multist", method="gauss")  # umap would be compiled first
    sc.tl.diffmap(adata, n_comps=5)
    mt.pp.spatial_graph(adata)
    before, options = adata.copy(), np.get_printoptions()
    state = str(np.random.get_state())  # noqa: NPY002  the one that must stay as it is
    mt.tl.pseudotime(adata, "inner")
    assert str(np.random.get_state()) == state  # noqa: NPY002
    assert np.get_printoptions() == options
    assert set(adata.obs) - set(before.obs) == {"multist_pseudotime"}
    assert set(adata.uns) == {*before.uns, "multist"}
    assert set(adata.obsm) == set(before.obsm)
    assert set(adata.obsp) == set(before.obsp)
    for key in before.obsp:
        assert (adata.obsp[key] != before.obsp[key]).nnz == 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits():
    one, two = strip(), strip()
    for adata in (one, two):
        mt.tl.pseudotime(adata, "inner", random_state=3)
    np.testing.assert_array_equal(one.obs["multist_pseudotime"], two.obs["multist_pseudotime"])
    mt.tl.pseudotime(two, "inner", random_state=4)
    np.testing.assert_allclose(one.obs["multist_pseudotime"], two.obs["multist_pseudotime"], atol=1e-3)


@pytest.mark.slow
def test_it_survives_both_files(tmp_path):
    adata = strip()
    adata.uns["multist"] = {"params": {"n_domains": 4}}
    mt.tl.pseudotime(adata, "inner")
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for back in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        np.testing.assert_array_equal(back.obs["multist_pseudotime"], adata.obs["multist_pseudotime"])
        assert back.uns["multist"]["params"]["n_domains"] == 4
        found = back.uns["multist"]["pseudotime"]
        assert found["paga"]["domains"].tolist() == list(LAYERS)
        assert found["paga"]["connectivities"].shape == (4, 4)
        assert found["params"]["n_neighbors"] == 15


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_neighbors": 3}, "n_neighbors must be a whole number of at least 4; got 3"),
        ({"n_neighbors": 360}, "less than the number of cells, 360"),
        ({"n_dcs": 1}, "n_dcs must be a whole number of at least 2"),
        ({"spatial_weight": 1.0}, "at least 0 and below 1"),
        ({"max_cells": 10}, "max_cells=10"),
        ({"on_disconnected": "drop"}, "'error', 'separate', 'missing'"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict, message: str):
    with pytest.raises(ValueError, match=message):
        mt.tl.pseudotime(strip(), "inner", **wrong)


def test_an_embedding_that_is_not_finite_is_refused():
    broken = strip()
    broken.obsm["X_multist"][5] = np.nan
    with pytest.raises(ValueError, match=r"obsm\['X_multist'\] has values that are not finite"):
        mt.tl.pseudotime(broken, "inner")


def test_without_igraph_there_is_a_pseudotime_but_no_paga(monkeypatch, caplog):
    monkeypatch.setattr("multist.tl.trajectory._diffusion.find_spec", lambda name: None)
    adata = strip()
    with caplog.at_level("INFO", logger="multist"):
        mt.tl.pseudotime(adata, "inner")
    assert adata.obs["multist_pseudotime"].notna().all()
    assert adata.uns["multist"]["pseudotime"]["paga"] == {}
    (said,) = [record for record in caplog.records if "multist[paga]" in record.getMessage()]
    assert said.levelname == "INFO", "nothing is wrong with an installation without extras"


def agreement_of_others(adata: ad.AnnData, odd: np.ndarray) -> float:
    """Order of all but the odd cells, whether those get a pseudotime or none."""
    mt.tl.pseudotime(adata, "a-0", on_disconnected="missing")
    others = adata[np.setdiff1d(np.arange(adata.n_obs), odd)]
    assert np.isfinite(others.obs["multist_pseudotime"]).all()
    return agreement(others)


@pytest.mark.parametrize(
    ("n", "far", "spread"),
    [
        (1, 1, 0.01),
        (1, 1000, 0.5),
        (3, 5, 0.01),
        (8, 1, 0.5),
        (8, 1000, 0.01),
        (20, 2, 0.5),
        (40, 1, 0.01),
        (40, 20, 0.5),
        (40, 1000, 0.5),
    ],
)
def test_cells_that_lie_apart_do_not_change_the_order_of_the_others(n: int, far: float, spread: float):
    adata = strip()
    odd = np.random.default_rng(1).choice(np.arange(1, adata.n_obs), n, replace=False)
    adata.obsm["X_multist"][odd] = far + spread * np.random.default_rng(2).normal(size=(n, 3))
    assert agreement_of_others(adata, odd) > 0.98


@pytest.mark.parametrize("far", [2, 1000])
@pytest.mark.parametrize("n", [3, 20])
def test_cells_that_are_like_nothing_do_not_join_what_lies_around_them(n: int, far: float):
    adata = strip()
    odd = np.random.default_rng(1).choice(np.arange(1, adata.n_obs), n, replace=False)
    adata.obsm["X_multist"][odd] += far * np.random.default_rng(2).normal(size=(n, 3))
    assert agreement_of_others(adata, odd) > 0.98


@pytest.mark.parametrize(
    ("n_more", "apart_by", "spatial_weight"),
    [(0, 0, 0), (20, 0, 0.5), (20, 1e-12, 0), (0, 1e-6, 0.5), (20, 1e-3, 0)],
)
def test_copies_of_a_cell_and_near_copies_stay_joined(n_more: int, apart_by: float, spatial_weight: float):
    """Also where the search rounds distances, as it does in many dimensions."""
    adata, rng = strip(), np.random.default_rng(0)
    rep = np.column_stack([adata.obsm["X_multist"], 0.01 * rng.normal(size=(adata.n_obs, n_more))])
    rep[100:120] = rep[100] + apart_by * rng.normal(size=(20, 3 + n_more))
    adata.obsm["X_multist"] = rep + 3.3 * rng.random(3 + n_more)
    mt.tl.pseudotime(adata, "inner", spatial_weight=spatial_weight)
    assert agreement(adata) > 0.98


@pytest.mark.parametrize("spatial_weight", [0, 0.5])
def test_one_half_may_be_denser_than_the_other(spatial_weight: float):
    adata = strip()
    inner, rep = adata.obs["depth"].to_numpy() < 0.5, adata.obsm["X_multist"]
    border = rep[inner][adata.obs["depth"][inner].argmax()]
    rep[inner] = border + 0.02 * (rep[inner] - border)
    mt.tl.pseudotime(adata, "a-0", spatial_weight=spatial_weight)
    assert agreement(adata) > 0.98


def test_without_a_name_the_embedding_is_that_of_the_domains():
    adata = strip()
    mt.tl.pseudotime(adata, "inner")
    usual = adata.obs["multist_pseudotime"].to_numpy()
    other = strip()
    other.obs["mine_domain"] = other.obs["multist_domain"]
    mt.tl.pseudotime(other, "inner", cluster_key="mine_domain")
    np.testing.assert_array_equal(other.obs["multist_pseudotime"], usual)  # there is no other
    other.obsm["X_mine"] = other.obsm["X_multist"][:, :1].copy()
    mt.tl.pseudotime(other, "inner", cluster_key="mine_domain", key_added="mine")
    assert other.uns["mine"]["pseudotime"]["params"]["use_rep"] == "X_mine"
    assert np.abs(other.obs["mine_pseudotime"] - usual).max() > 1e-3
