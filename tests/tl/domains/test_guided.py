"""Domains that strokes name, through the public functions."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

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
def short(shorten_training) -> Iterator[None]:
    """What is shared is trained as shortly as what it is compared to."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        yield


@pytest.fixture(scope="module")
def embedded(short) -> ad.AnnData:
    """A made tissue with its truth, a few named spots of each domain, and an embedding; not to be changed."""
    adata = mt.datasets.layered_tissue(n_spots=400, n_genes=200, with_image=False, format="anndata")
    mt.tl.multist_domains(adata, 7)
    truth = adata.obs["domain"].astype(str)
    rng = np.random.default_rng(0)
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(truth == name), N_EACH, replace=False) for name in truth.unique()]
    )
    strokes = pd.Series(np.nan, index=adata.obs_names, dtype=object)
    strokes.iloc[chosen] = truth.iloc[chosen]
    adata.obs["annotation"] = strokes.astype("category")
    return adata


@pytest.fixture(scope="module")
def guided(embedded) -> ad.AnnData:
    """The same with the named domains, in colours of the user's; not to be changed."""
    adata = embedded.copy()
    adata.uns["annotation_colors"] = ["#010101", "#020202", "#030303", "#040404", "#050505", "#060606", "#070707"]
    mt.tl.cluster_domains(adata, labels_key="annotation")
    return adata


def test_a_few_strokes_give_the_named_domains(embedded, guided, tmp_path):
    adata = guided
    unguided = agreement(embedded.obs["domain"], embedded.obs["multist_domain"])["ari"]
    found = adata.obs["multist_domain"]
    assert list(found.cat.categories) == list(adata.obs["annotation"].cat.categories)
    assert list(adata.uns["multist_domain_colors"]) == list(adata.uns["annotation_colors"])
    named = adata.obs["annotation"].notna().to_numpy()
    assert (found[named].astype(str) == adata.obs["annotation"][named].astype(str)).all()
    assert agreement(adata.obs["domain"][~named], found[~named])["ari"] > unguided
    probability = adata.obsm["multist_probability"]
    assert probability.shape == (400, 7)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    codes = found.cat.codes.to_numpy()
    np.testing.assert_array_equal(adata.obs["multist_confidence"], probability[np.arange(400), codes])
    adata.copy().write_h5ad(tmp_path / "guided.h5ad")
    again = ad.read_h5ad(tmp_path / "guided.h5ad")
    assert list(again.uns["multist"]["guided"]["classes"]) == list(found.cat.categories)


def test_guided_in_one_call_is_fit_and_then_strokes(embedded, guided):
    once = embedded.copy()
    mt.tl.multist_domains(once, labels_key="annotation")
    pd.testing.assert_series_equal(once.obs["multist_domain"], guided.obs["multist_domain"])


def test_unnamed_spots_are_suggested_each_once(guided):
    found = mt.tl.suggest_labels(guided, 6)
    assert len(set(found)) == 6
    assert guided.obs.loc[found, "annotation"].isna().all()
    for wrong in (0, 2.5, "3", True):
        with pytest.raises(ValueError, match=f"n must be a whole number of at least 1; got {wrong!r}"):
            mt.tl.suggest_labels(guided, wrong)


def test_spots_beside_the_tissue_are_not_suggested(guided):
    adata = guided.copy()
    beside = mt.tl.suggest_labels(guided, 6)
    adata.obs["in_tissue"] = (~adata.obs_names.isin(beside)).astype(int)
    assert not set(mt.tl.suggest_labels(adata, 20)) & set(beside)


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


def test_domains_without_strokes_leave_nothing_of_the_strokes(guided):
    adata = guided.copy()
    assert adata.uns["multist"]["params"]["trust"] == 1
    mt.tl.cluster_domains(adata, 7)
    assert "multist_probability" not in adata.obsm
    assert "guided" not in adata.uns["multist"]
    assert not {"trust", "unlabeled_category"} & set(adata.uns["multist"]["params"])
    with pytest.raises(KeyError, match="labels_key"):
        mt.tl.suggest_labels(adata)


@pytest.fixture(scope="module")
def pair() -> tuple[ad.AnnData, ad.AnnData]:
    """Two sections of one tissue, each with counts and a graph to come; the first has six strokes in each domain.

    Neither is to be changed.
    """
    both = mt.datasets.layered_tissue(n_spots=500, n_genes=200, with_image=False, n_sections=2, format="anndata")
    first, second = (both[both.obs["section"] == name].copy() for name in ("section1", "section2"))
    truth = first.obs["domain"].astype(str)
    chosen = truth.groupby(truth.to_numpy()).sample(6, random_state=0).index
    first.obs["annotation"] = truth.where(truth.index.isin(chosen)).astype("category")
    first.uns["annotation_colors"] = [f"#0{number}0{number}0{number}" for number in range(7)]
    return first, second


@pytest.fixture(scope="module")
def taught(pair, short) -> tuple[mt.MultiST, ad.AnnData]:
    """A model that the strokes on the first section taught, and that section; not to be changed."""
    first = pair[0].copy()
    return mt.MultiST().fit(first, labels_key="annotation"), first


def test_the_next_section_is_recognised_from_the_strokes_on_the_first(pair, taught, tmp_path):
    (model, first), second, by_function = taught, pair[1].copy(), pair[0].copy()
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


def test_a_class_that_is_nowhere_in_a_section_is_told(pair, taught, caplog):
    part = pair[1][pair[1].obs["domain"].isin(["cortex_a", "cortex_b"])].copy()
    caplog.set_level("INFO")
    taught[0].predict(part)
    found = part.obs["multist_domain"].value_counts()
    absent = [repr(name) for name in found.index.sort_values() if not found[name]]
    assert absent and f"no spot was recognised as {', '.join(absent)}, of 7 domains" in caplog.text


def test_components_of_a_section_by_itself_are_not_taken_for_those_of_the_first(pair, taught):
    second, own = pair[1].copy(), pair[1].copy()
    taught[0].predict(second)
    mt.pp.embed_expression(own)  # X_pca on axes of its own
    taught[0].predict(own)
    np.testing.assert_allclose(own.obsm["multist_probability"], second.obsm["multist_probability"])
    for table in (second, own):  # strokes are drawn in it, too
        table.obs["annotation"] = table.obs["domain"].where(np.arange(table.n_obs) % 20 == 0)
        mt.tl.cluster_domains(table, labels_key="annotation")
    np.testing.assert_allclose(own.obsm["multist_probability"], second.obsm["multist_probability"])


def test_components_that_each_object_made_by_itself_are_not_taken_for_common_ones(pair, short):
    without, own = ([table.copy() for table in pair] for _ in range(2))
    for table, n_comps in zip(own, (10, 12), strict=True):
        mt.pp.embed_expression(table, n_comps=n_comps)
    for tables in (without, own):
        mt.tl.multist_domains(tables, labels_key="annotation")
    for one, other in zip(without, own, strict=True):
        pd.testing.assert_frame_equal(one.obs, other.obs)
        np.testing.assert_array_equal(one.obsm["multist_probability"], other.obsm["multist_probability"])


def test_no_dimension_of_the_published_network_is_of_the_image_alone(embedded):
    adata = embedded.copy()
    adata.obsm["X_histology"] = np.random.default_rng(0).normal(size=(adata.n_obs, 25))
    mt.tl.multist_domains(adata, labels_key="annotation", config=mt.tl.MultiSTConfig.published().replace(epochs=2))
    assert adata.uns["multist"]["params"]["with_image"]
    assert adata.uns["multist"]["n_image_dimensions"] == 0


def test_an_entry_of_somebody_else_is_refused_in_words(pair, taught, guided):
    second, adata = pair[1].copy(), guided.copy()
    second.uns["multist"] = adata.uns["multist"] = "a note"
    with pytest.raises(ValueError, match=r"uns\['multist'\]"):
        taught[0].predict(second)
    assert mt.tl.suggest_labels(adata, 2)


def test_domains_without_strokes_replace_what_strokes_taught(pair, taught):
    (model, first), second = deepcopy(taught), pair[1].copy()
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
    "call",
    [
        {"labels_key": "multist_confidence"},
        {"labels_key": "multist_domain"},
        {"labels_key": "mine_domain", "key_added": "mine"},
    ],
)
def test_strokes_that_the_result_would_replace_are_refused(embedded, unchanged, call):
    with unchanged(embedded), pytest.raises(ValueError, match="the strokes would be lost: copy them"):
        mt.tl.cluster_domains(embedded, **call)


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
