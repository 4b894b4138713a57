"""Other domains from an embedding that is there."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest
import tqdm.auto
from sklearn.metrics import adjusted_rand_score

import multist as mt
from multist import _progress
from multist.tl.domains._clusters import candidate_counts


@pytest.fixture(scope="module")
def fused() -> ad.AnnData:
    adata = mt.datasets.layered_tissue(n_spots=200, n_genes=120, with_image=False, format="anndata")
    mt.tl.multist_domains(adata, 6, config=mt.tl.MultiSTConfig(epochs=5))
    return adata


@pytest.mark.slow
def test_the_domains_are_those_of_the_call_that_trained(fused: ad.AnnData):
    before = fused.obs.copy()
    again = mt.tl.cluster_domains(fused, 6, copy=True)
    assert (again.obs["multist_domain"] == before["multist_domain"]).all()
    np.testing.assert_array_equal(again.obs["multist_confidence"], before["multist_confidence"])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 9])
def test_an_integer_gives_exactly_that_many(fused: ad.AnnData, count: int):
    adata = mt.tl.cluster_domains(fused, count, key_added="other", copy=True)
    sizes = adata.obs["other_domain"].value_counts()
    assert len(sizes) == count == len(adata.uns["other_domain_colors"])
    assert sizes.min() >= 5
    assert "other_domain" not in fused.obs


def test_the_parameters_of_the_training_stay(fused: ad.AnnData):
    adata = mt.tl.cluster_domains(fused, 4, refine=False, copy=True)
    params = adata.uns["multist"]["params"]
    assert (params["n_domains"], params["refine"], params["epochs"]) == (4, False, 5)
    assert "losses" in adata.uns["multist"]


OWN = ["#111111", "#222222", "#333333", "#444444", "#555555", "#666666"]


@pytest.mark.slow
def test_the_users_colours_stay_where_there_are_as_many_domains(fused: ad.AnnData):
    adata, config = fused.copy(), mt.tl.MultiSTConfig(epochs=0)
    adata.uns["multist_domain_colors"] = OWN
    mt.tl.multist_domains(adata, 6, config=config)
    assert adata.uns["multist_domain_colors"] == OWN
    mt.tl.multist_domains(adata, 5, config=config)
    plain = mt.tl.multist_domains(fused, 5, config=config, copy=True)
    assert adata.uns["multist_domain_colors"] == plain.uns["multist_domain_colors"]


def test_sections_that_are_divided_together_take_the_same_colours(fused: ad.AnnData):
    first, second = fused.copy(), fused.copy()
    second.uns["multist_domain_colors"] = np.array(OWN)
    del first.uns["multist_domain_colors"]
    mt.tl.cluster_domains([first, second], 6)
    assert first.uns["multist_domain_colors"] == second.uns["multist_domain_colors"] == OWN


def test_colours_of_classes_are_none_of_domains_without_names(fused: ad.AnnData):
    adata = fused.copy()
    usual = list(adata.uns["multist_domain_colors"])
    adata.obs["multist_domain"] = adata.obs["multist_domain"].cat.rename_categories(list("abcdef"))
    adata.uns["multist_domain_colors"] = OWN
    mt.tl.cluster_domains(adata, 6)
    assert adata.uns["multist_domain_colors"] == usual


@pytest.mark.slow
def test_auto_stores_its_curve_and_survives_a_file(fused: ad.AnnData, tmp_path):
    adata = fused.copy()
    mt.tl.cluster_domains(adata, range(4, 6))
    adata.write_h5ad(tmp_path / "a.h5ad")
    curve = ad.read_h5ad(tmp_path / "a.h5ad").uns["multist"]["n_domains"]
    assert curve["candidates"].tolist() == [4, 5]
    assert len(curve["bic"]) == len(curve["icl"]) == len(curve["stability"]) == 2
    assert adata.obs["multist_domain"].nunique() == curve["chosen"] == adata.uns["multist"]["params"]["n_domains"]


def test_auto_looks_at_two_to_twenty():
    assert candidate_counts("auto", 200) == list(range(2, 21))


def test_centres_cannot_be_trained_before_their_number_is_known(fused: ad.AnnData):
    with pytest.raises(ValueError, match="one integer"):
        mt.tl.multist_domains(fused, "auto", config=mt.tl.MultiSTConfig.published(), copy=True)


@pytest.mark.slow
def test_spatialdata_and_a_graph_that_has_to_be_made(caplog: pytest.LogCaptureFixture):
    sdata = mt.datasets.layered_tissue(n_spots=200, n_genes=100, with_image=False)
    table = sdata.tables["table"]
    table.obsm["mine"] = np.random.default_rng(0).normal(size=(200, 4))
    with caplog.at_level(logging.INFO, logger="multist"):
        mt.tl.cluster_domains(sdata, 3, use_rep="mine", table_key="table", key_added="own")
    assert "running pp.spatial_graph" in caplog.text
    assert table.obs["own_domain"].nunique() == 3


@pytest.mark.parametrize("wrong", ["7", 3.0, True, [3, "4"], np.array(3)])
def test_what_n_domains_may_be_is_said(fused: ad.AnnData, wrong):
    with pytest.raises((TypeError, ValueError), match=r"a list of integers such as range\(4, 12\), or 'auto'"):
        mt.tl.cluster_domains(fused, wrong)
    with pytest.raises(TypeError, match="None together with labels_key=; got None without labels_key"):
        mt.tl.cluster_domains(fused)


@pytest.mark.parametrize(
    ("distinct", "asked", "found", "left_out"),
    [(4, [5, 6], 5, "5, 6"), (4, [3, 4, 7], 4, "7"), (1, [1, 2], 1, "2"), (1, "auto", 2, "2")],
)
def test_numbers_that_the_embedding_has_too_few_points_for_are_told(distinct, asked, found, left_out, caplog):
    adata = ad.AnnData(obsm={"spatial": np.column_stack(np.divmod(np.arange(48), 8)) * 10.0})
    adata.obsm["X_mine"] = np.eye(4)[np.arange(48) % distinct]
    mt.tl.cluster_domains(adata, asked, use_rep="X_mine")
    assert adata.obs["multist_domain"].nunique() == found
    points = "1 different point" if distinct == 1 else f"{distinct} different points"
    assert f"only {points}, so that of the numbers asked for {left_out}" in caplog.text


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    """Types of single cells, mixed otherwise in each quarter of the tissue, and a model of them."""
    rng, n = np.random.default_rng(0), 600
    xy = rng.random((n, 2)) * np.sqrt(n)
    quarter = 2 * (xy[:, 0] > np.median(xy[:, 0])) + (xy[:, 1] > np.median(xy[:, 1]))
    mixture = rng.dirichlet(np.ones(8), size=4)
    types = np.array([rng.choice(8, p=mixture[each]) for each in quarter])
    expression = (rng.normal(size=(8, 12)) * 3)[types] + rng.normal(size=(n, 12))
    adata = ad.AnnData(obsm={"spatial": xy, "X_feat": expression})
    adata.obs["quarter"] = quarter.astype(str)
    mt.tl.multist_domains(adata, 4)
    return adata


def said_of_cells(adata: ad.AnnData, key: str = "multist") -> list[str]:
    decisions = adata.uns[key].get("decisions", {}).get("cluster_domains", [])
    return [line for line in decisions if "single cells" in line]


@pytest.mark.slow
@pytest.mark.full_training
def test_single_cells_are_told_from_spots(cells: ad.AnnData, fused: ad.AnnData):
    """Their domains are shaped as neighbours differ, which is said, and found again from the embedding."""
    share = cells.uns["multist"]["structured_share"]
    assert share < 0.3 and fused.uns["multist"]["structured_share"] > 0.5
    (said,) = said_of_cells(cells)
    assert f"a share of {share:.2f}" in said and f"neighbours count {1 - 2 * share:.2f}" in said
    assert not said_of_cells(fused)
    assert adjusted_rand_score(cells.obs["quarter"], cells.obs["multist_domain"]) > 0.7
    again = mt.tl.cluster_domains(cells, 4, copy=True)
    assert (again.obs["multist_domain"] == cells.obs["multist_domain"]).all()
    elsewhere = mt.tl.cluster_domains(cells, 4, key_added="other", use_rep="X_multist", copy=True)
    np.testing.assert_array_equal(elsewhere.obs["other_confidence"], cells.obs["multist_confidence"])


def test_nothing_is_said_where_nothing_is_expected(cells: ad.AnnData):
    """One domain has no shape, and a graph without edges no neighbours."""
    assert not said_of_cells(mt.tl.cluster_domains(cells, 1, copy=True))
    alone = cells.copy()
    alone.obsp["spatial_connectivities"] = alone.obsp["spatial_connectivities"] * 0
    mt.tl.cluster_domains(alone, 4)
    assert not said_of_cells(alone)


@pytest.mark.slow
def test_their_number_is_chosen_with_it_as_well(cells: ad.AnnData):
    found, as_spots = cells.copy(), cells.copy()
    as_spots.uns["multist"]["structured_share"] = 1.0
    curves = []
    for adata in (found, as_spots):
        mt.tl.cluster_domains(adata, [2, 4])
        curves.append(adata.uns["multist"]["n_domains"]["bic"])
    assert said_of_cells(found) and not said_of_cells(as_spots)
    assert (np.abs(curves[0] - curves[1]) > 1e-6).all()


def test_of_several_tables_those_count_that_tell_how_much_space_structures(cells: ad.AnnData):
    """A table of an earlier release, or one that was concatenated, does not tell."""
    first, second = cells[:300].copy(), cells[300:].copy()
    del first.uns["multist"]["structured_share"]
    second.uns["multist"]["structured_share"] = 0.2
    mt.tl.cluster_domains([first, second], 4)
    assert "share of 0.20" in said_of_cells(first)[0]
    first.uns["multist"]["structured_share"] = 0.4
    mt.tl.cluster_domains([first, second], 4)
    assert "share of 0.30" in said_of_cells(second)[0]


def test_what_is_not_known_is_said(cells: ad.AnnData, caplog: pytest.LogCaptureFixture):
    adata = cells.copy()
    del adata.uns["multist"]["structured_share"]
    with caplog.at_level(logging.INFO, "multist"):
        mt.tl.cluster_domains(adata, 4)
    assert "is not known, so that domains are found as among spots" in caplog.text
    as_spots = cells.copy()
    as_spots.uns["multist"]["structured_share"] = 1.0
    mt.tl.cluster_domains(as_spots, 4)
    assert (adata.obs["multist_domain"] == as_spots.obs["multist_domain"]).all()


def test_nothing_is_expected_of_an_embedding_that_somebody_else_made(cells: ad.AnnData):
    adata = cells.copy()
    adata.obsm["X_mine"] = adata.obsm["X_multist"]
    mt.tl.cluster_domains(adata, 4, key_added="mine", use_rep="X_mine")
    assert not said_of_cells(adata, "mine")
    assert (adata.obs["mine_confidence"].to_numpy() != adata.obs["multist_confidence"].to_numpy()).any()


@pytest.mark.slow
def test_a_model_recognises_single_cells_as_it_found_them(cells: ad.AnnData):
    model, new = mt.MultiST(), cells.copy()
    model.fit(cells.copy())
    mine = cells.copy()
    model.embed(mine)
    model.cluster(mine, 4)
    model.predict(new)
    assert (new.obs["multist_domain"] == mine.obs["multist_domain"]).mean() > 0.99
    sure = [float(adata.obs["multist_confidence"].mean()) for adata in (new, mine)]
    assert sure[0] == pytest.approx(sure[1], abs=0.08)


@pytest.mark.full_training
@pytest.mark.slow
def test_long_searches_show_how_far_they_are(fused: ad.AnnData, monkeypatch, capsys):
    monkeypatch.setattr(_progress, "DELAY", 0)
    monkeypatch.setattr(tqdm.auto.tqdm, "monitor_interval", 0)
    monkeypatch.setattr(mt.settings, "progress", True)
    monkeypatch.setattr(mt.settings, "verbosity", "error")
    table = fused.copy()
    table.obs["annotation"] = table.obs["domain"].where(np.arange(table.n_obs) % 9 == 0)
    mt.tl.cluster_domains(table, 12)
    mt.tl.cluster_domains(table, [2, 3])
    mt.tl.cluster_domains(table, labels_key="annotation")
    shown = capsys.readouterr().err
    bars = ("12 domains", "12 domains, recombined", "numbers of domains", "strokes held out")
    assert [bar for bar in bars if f"multist: {bar}:" not in shown] == []
