"""Domains that strokes name, through the public functions."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist._palette import domain_colors
from multist.metrics import agreement

pytestmark = pytest.mark.slow  # the first to run makes what all of them read

N_EACH = 4


@pytest.fixture(scope="module")
def embedded() -> ad.AnnData:
    """A made tissue with its truth, a few named spots of each domain, and an embedding."""
    adata = mt.datasets.layered_tissue(n_spots=400, n_genes=200, image_size=400, format="anndata")
    mt.tl.multist_domains(adata, 7, use_image=False)
    truth = adata.obs["domain"].astype(str)
    rng = np.random.default_rng(0)
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(truth == name), N_EACH, replace=False) for name in truth.unique()]
    )
    strokes = pd.Series(np.nan, index=adata.obs_names, dtype=object)
    strokes.iloc[chosen] = truth.iloc[chosen]
    adata.obs["annotation"] = strokes.astype("category")
    return adata


def without_strokes(adata: ad.AnnData) -> np.ndarray:
    return adata.obs["annotation"].isna().to_numpy()


def test_a_few_strokes_give_the_named_domains(embedded):
    adata = embedded.copy()
    adata.uns["annotation_colors"] = ["#010101", "#020202", "#030303", "#040404", "#050505", "#060606", "#070707"]
    unguided = agreement(adata.obs["domain"], adata.obs["multist_domain"])["ari"]
    mt.tl.cluster_domains(adata, labels_key="annotation")
    found = adata.obs["multist_domain"]
    assert list(found.cat.categories) == list(adata.obs["annotation"].cat.categories)
    assert list(adata.uns["multist_domain_colors"]) == list(adata.uns["annotation_colors"])
    named = ~without_strokes(adata)
    assert (found[named].astype(str) == adata.obs["annotation"][named].astype(str)).all()
    assert agreement(adata.obs["domain"][~named], found[~named])["ari"] > unguided
    probability = adata.obsm["multist_probability"]
    assert probability.shape == (400, 7)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    codes = found.cat.codes.to_numpy()
    np.testing.assert_array_equal(adata.obs["multist_confidence"], probability[np.arange(400), codes])


def test_guided_in_one_call_is_fit_and_then_strokes(embedded):
    once, twice = embedded.copy(), embedded.copy()
    mt.tl.multist_domains(once, labels_key="annotation", use_image=False)
    mt.tl.cluster_domains(twice, labels_key="annotation")
    pd.testing.assert_series_equal(once.obs["multist_domain"], twice.obs["multist_domain"])


def test_a_category_can_stand_for_no_name(embedded):
    adata, same = embedded.copy(), embedded.copy()
    adata.obs["annotation"] = adata.obs["annotation"].cat.add_categories("?").fillna("?")
    mt.tl.cluster_domains(adata, labels_key="annotation", unlabeled_category="?")
    mt.tl.cluster_domains(same, labels_key="annotation")
    assert list(adata.obs["multist_domain"]) == list(same.obs["multist_domain"])
    with pytest.raises(KeyError, match="unlabeled_category 'nothing' is no value"):
        mt.tl.cluster_domains(adata, labels_key="annotation", unlabeled_category="nothing")


def test_further_domains_get_names_of_their_own(embedded):
    adata = embedded.copy()
    mt.tl.cluster_domains(adata, 9, labels_key="annotation")
    assert {"other 1", "other 2"} <= set(adata.obs["multist_domain"].cat.categories)
    assert len(set(adata.uns["multist_domain_colors"])) == 9


def test_colours_of_names_that_nobody_drew_are_kept_free(embedded):
    adata = embedded.copy()
    column = adata.obs["annotation"].cat.add_categories([f"unused {number}" for number in range(20)])
    adata.obs["annotation"] = column
    adata.uns["annotation_colors"] = domain_colors(len(column.cat.categories))
    mt.tl.cluster_domains(adata, 9, labels_key="annotation")
    colors = dict(zip(adata.obs["multist_domain"].cat.categories, adata.uns["multist_domain_colors"], strict=True))
    further = {colors["other 1"], colors["other 2"]}
    assert len(further) == 2 and not further & set(adata.uns["annotation_colors"])


def test_domains_without_strokes_leave_nothing_of_the_strokes(embedded):
    adata = embedded.copy()
    mt.tl.cluster_domains(adata, labels_key="annotation")
    mt.tl.cluster_domains(adata, 7)
    assert "multist_probability" not in adata.obsm
    assert "guided" not in adata.uns["multist"]
    with pytest.raises(KeyError, match="labels_key"):
        mt.tl.suggest_labels(adata)


@pytest.fixture(scope="module")
def pair() -> tuple[ad.AnnData, ad.AnnData]:
    """Two sections of one tissue, each with counts and a graph to come; the first has six strokes in each domain."""
    both = mt.datasets.layered_tissue(n_spots=500, n_genes=200, image_size=300, n_sections=2, format="anndata")
    first, second = (both[both.obs["section"] == name].copy() for name in ("section1", "section2"))
    truth = first.obs["domain"].astype(str)
    chosen = truth.groupby(truth.to_numpy()).sample(6, random_state=0).index
    first.obs["annotation"] = truth.where(truth.index.isin(chosen)).astype("category")
    first.uns["annotation_colors"] = [f"#0{number}0{number}0{number}" for number in range(7)]
    for table in (first, second):
        table.uns.pop("spatial")
    return first, second


def test_the_next_section_is_recognised_from_the_strokes_on_the_first(pair, tmp_path):
    first, second = (table.copy() for table in pair)
    model = mt.MultiST().fit(first, labels_key="annotation")
    by_function = pair[0].copy()
    mt.tl.multist_domains(by_function, labels_key="annotation")
    pd.testing.assert_frame_equal(first.obs, by_function.obs)
    assert "7 domains, named by strokes" in repr(model)
    again = second.copy()
    model.predict(second)
    assert agreement(second.obs["domain"], second.obs["multist_domain"])["ari"] > 0.6
    assert list(second.obs["multist_domain"].cat.categories) == list(first.obs["multist_domain"].cat.categories)
    assert list(second.uns["multist_domain_colors"]) == list(first.uns["annotation_colors"])
    np.testing.assert_allclose(second.obsm["multist_probability"].sum(axis=1), 1)
    assert list(second.uns["multist"]["guided"]["classes"]) == list(second.obs["multist_domain"].cat.categories)
    assert second.uns["multist"]["params"]["labels_key"] == "None"
    model.save(tmp_path / "model")
    mt.MultiST.load(tmp_path / "model").predict(again)
    pd.testing.assert_frame_equal(again.obs, second.obs)
    np.testing.assert_array_equal(again.obsm["multist_probability"], second.obsm["multist_probability"])


def test_a_class_that_is_nowhere_in_a_section_is_told(pair, caplog):
    first, second = (table.copy() for table in pair)
    model = mt.MultiST().fit(first, labels_key="annotation")
    part = second[second.obs["domain"].isin(["cortex_a", "cortex_b"])].copy()
    caplog.set_level("INFO")
    model.predict(part)
    found = part.obs["multist_domain"].value_counts()
    absent = [repr(name) for name in found.index.sort_values() if not found[name]]
    assert absent and f"no spot was recognised as {', '.join(absent)}, of 7 domains" in caplog.text


def test_components_of_a_section_by_itself_are_not_taken_for_those_of_the_first(pair):
    second, own = pair[1].copy(), pair[1].copy()
    model = mt.MultiST().fit(pair[0].copy(), labels_key="annotation")
    model.predict(second)
    mt.pp.embed_expression(own)  # X_pca on axes of its own
    model.predict(own)
    np.testing.assert_allclose(own.obsm["multist_probability"], second.obsm["multist_probability"])


def test_domains_without_strokes_replace_what_strokes_taught(pair):
    first, second = (table.copy() for table in pair)
    model = mt.MultiST().fit(first, labels_key="annotation")
    model.cluster(first, 4)
    model.predict(second)
    assert list(second.obs["multist_domain"].cat.categories) == ["0", "1", "2", "3"]
    assert "multist_probability" not in second.obsm


def test_strokes_that_are_refused_leave_model_and_data(pair, unchanged):
    table = pair[0].copy()
    model = mt.MultiST().fit(table)
    told = repr(model)
    with unchanged(table), pytest.raises(ValueError, match="names 7 classes"):
        model.fit(table, labels_key="annotation", n_domains=3)
    with unchanged(table), pytest.raises(ValueError, match="trust"):
        model.fit(table, labels_key="annotation", trust=2.0)
    with unchanged(table), pytest.raises(ValueError, match="refine=True is a vote"):
        model.cluster(table, labels_key="annotation", refine=True)
    assert repr(model) == told


@pytest.mark.parametrize(
    ("change", "call", "error", "says"),
    [
        ({}, {"labels_key": "nothing"}, KeyError, "labels_key 'nothing' not found in obs; found: .*annotation"),
        ({"annotation": np.nan}, {"labels_key": "annotation"}, ValueError, "names no spot"),
        ({}, {"labels_key": "annotation", "n_domains": 3}, ValueError, "names 7 classes"),
        ({}, {"labels_key": "annotation", "n_domains": "auto"}, TypeError, "None or an integer"),
        ({}, {"labels_key": "annotation", "trust": 0.0}, ValueError, "trust"),
        ({}, {"labels_key": "multist_confidence"}, ValueError, "the strokes would be lost: copy them"),
        ({}, {"labels_key": "multist_domain"}, ValueError, "the strokes would be lost: copy them"),
        ({}, {"labels_key": "mine_domain", "key_added": "mine"}, ValueError, "the strokes would be lost: copy them"),
        ({}, {}, TypeError, "n_domains must be an integer"),
    ],
)
def test_strokes_that_cannot_be_used_are_refused(embedded, change, call, error, says):
    adata = embedded.copy()
    for name, value in change.items():
        adata.obs[name] = value
    before = adata.obs["multist_domain"].copy()
    with pytest.raises(error, match=says):
        mt.tl.cluster_domains(adata, **call)
    pd.testing.assert_series_equal(adata.obs["multist_domain"], before)


def test_one_named_class_needs_others(embedded):
    adata = embedded.copy()
    first = adata.obs["annotation"].cat.categories[0]
    adata.obs["annotation"] = adata.obs["annotation"].where(adata.obs["annotation"] == first)
    with pytest.raises(ValueError, match="only .* is named"):
        mt.tl.cluster_domains(adata, labels_key="annotation")


def test_guided_domains_survive_a_file(embedded, tmp_path):
    adata = embedded.copy()
    mt.tl.cluster_domains(adata, labels_key="annotation")
    adata.write_h5ad(tmp_path / "guided.h5ad")
    again = ad.read_h5ad(tmp_path / "guided.h5ad")
    assert list(again.uns["multist"]["guided"]["classes"]) == list(adata.obs["multist_domain"].cat.categories)


def test_strokes_that_all_others_contradict_are_named(embedded):
    adata = embedded.copy()
    truth = adata.obs["domain"].astype(str)
    strokes = truth.where(np.arange(adata.n_obs) % 3 == 0)
    wrong = strokes.index[(strokes == "stroma_loose").to_numpy()][2]
    strokes[wrong] = "cortex_a"
    adata.obs["annotation"] = strokes.astype("category")
    mt.tl.cluster_domains(adata, labels_key="annotation")
    assert wrong in adata.uns["multist"]["guided"]["doubted"]
    mt.tl.cluster_domains(adata, labels_key="annotation", key_added="other", use_rep="X_multist")
    np.testing.assert_array_equal(adata.obsm["other_probability"], adata.obsm["multist_probability"])


def test_what_is_wrong_with_trust_is_said_before_training(embedded, monkeypatch):
    monkeypatch.setattr("multist.model.fitted.FusionModel.fit", lambda *_, **__: pytest.fail("it trains"))
    with pytest.raises(ValueError, match="trust is the probability"):
        mt.tl.multist_domains(embedded.copy(), labels_key="annotation", trust=2)
