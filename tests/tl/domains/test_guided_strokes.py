"""Strokes of every kind: few, many, in one section only, as numbers, or of classes that nobody drew."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.metrics import agreement

pytestmark = pytest.mark.slow  # the first to run makes what all of them read


@pytest.fixture(scope="module")
def both(shorten_training) -> ad.AnnData:
    """Two sections in one table with one embedding."""
    adata = mt.datasets.layered_tissue(n_spots=200, n_genes=120, with_image=False, n_sections=2, format="anndata")
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        mt.tl.multist_domains(adata, 7, library_key="section")
    return adata


@pytest.fixture
def truth(both) -> pd.Series:
    return both.obs["domain"].astype(str)


def some(truth: pd.Series, each: int, where: np.ndarray | None = None) -> pd.Series:
    """``each`` spots of each domain, where it may be drawn."""
    seen = truth if where is None else truth[where]
    return truth.where(truth.index.isin(seen.groupby(seen.to_numpy()).sample(each, random_state=0).index))


def guided(both: ad.AnnData, strokes: pd.Series, **call) -> ad.AnnData:
    adata = both.copy()
    adata.obs["annotation"] = strokes
    mt.tl.cluster_domains(adata, **({"labels_key": "annotation", "library_key": "section"} | call))
    return adata


def parts(both: ad.AnnData) -> list[ad.AnnData]:
    return [both[both.obs["section"] == name].copy() for name in ("section1", "section2")]


def test_one_spot_in_a_class(both, truth):
    strokes, rare = some(truth, 4), truth.iloc[0]
    strokes[(strokes == rare) & (strokes.index != strokes.index[strokes == rare][0])] = np.nan
    found = guided(both, strokes).obs["multist_domain"]
    assert (found[strokes.notna()] == strokes.dropna()).all()
    assert (found == rare).sum() > 1  # it is found elsewhere as well
    alone = guided(both, some(truth, 1))
    assert np.isnan(alone.uns["multist"]["guided"]["held_out_accuracy"])
    assert agreement(truth, alone.obs["multist_domain"])["ari"] > 0.2


def test_a_class_that_was_drawn_in_one_section_only(both, truth):
    second = (both.obs["section"] == "section2").to_numpy()
    once = truth[second].value_counts().idxmax()
    strokes = some(truth, 5)
    strokes[second & (truth == once).to_numpy()] = np.nan
    strokes[truth.index[~second & (truth == once).to_numpy()][:5]] = once
    found = guided(both, strokes).obs["multist_domain"][second]
    assert (found[truth[second] == once] == once).mean() > 0.3


def test_strokes_in_one_of_several_sections(both, truth):
    first = (both.obs["section"] == "section1").to_numpy()
    adata = guided(both, some(truth, 5, first))
    assert agreement(truth[~first], adata.obs["multist_domain"][~first])["ari"] > 0.4
    # far from all strokes says nothing of a section where nobody drew
    assert adata.uns["multist"]["guided"]["remoteness"] < 2


def test_an_object_without_the_column_has_no_strokes(both, truth, caplog):
    with_column, without, empty = parts(both), parts(both), parts(both)
    strokes = some(truth, 5, (both.obs["section"] == "section1").to_numpy())
    for tables in (with_column, without, empty):
        tables[0].obs["annotation"] = strokes.reindex(tables[0].obs_names)
    empty[1].obs["annotation"] = np.nan
    with caplog.at_level(logging.INFO, "multist"):
        mt.tl.cluster_domains(without, labels_key="annotation")
    assert "no obs['annotation'] in object number 1" in caplog.text
    mt.tl.cluster_domains(empty, labels_key="annotation")
    for one, other in zip(without, empty, strict=True):
        pd.testing.assert_series_equal(one.obs["multist_domain"], other.obs["multist_domain"])
    assert "annotation" not in without[1].obs
    assert len(mt.tl.suggest_labels(without[1], 3)) == 3  # where to draw in it


def test_each_object_may_have_classes_of_its_own(both, truth):
    tables, rare = parts(both), truth.iloc[0]
    for number, table in enumerate(tables):
        strokes = some(truth, 5).reindex(table.obs_names)
        table.obs["annotation"] = strokes.where((strokes == rare) == (number == 1)).astype("category")
    mt.tl.cluster_domains(tables, labels_key="annotation")
    names = [list(table.obs["multist_domain"].cat.categories) for table in tables]
    assert names[0] == names[1] and set(names[0]) == set(tables[0].obs["annotation"].cat.categories) | {rare}


def test_a_stroke_for_each_thousand_cells():
    rng = np.random.default_rng(0)
    n = 20_000
    xy = rng.uniform(size=(n, 2))
    truth = (xy[:, 0] > 0.5).astype(int) + 2 * (xy[:, 1] > 0.5)
    adata = ad.AnnData(obs=pd.DataFrame(index=[f"c{i}" for i in range(n)]))
    adata.obsm["spatial"] = 1000 * xy
    adata.obsm["X_pca"] = (0.7 * rng.normal(size=(4, 8))[truth] + rng.normal(size=(n, 8))).astype(np.float32)
    strokes = pd.Series(np.nan, index=adata.obs_names, dtype=object)
    rows = np.concatenate([np.flatnonzero(truth == k)[:5] for k in range(4)])
    strokes.iloc[rows] = truth[rows].astype(str)
    adata.obs["annotation"] = strokes
    mt.tl.cluster_domains(adata, labels_key="annotation", use_rep="X_pca")
    assert (adata.obs["multist_domain"].astype(int) == truth).mean() > 0.9


def test_classes_that_nobody_drew_are_left_out(both, truth):
    strokes = some(truth, 5).astype("category")
    strokes = strokes.cat.add_categories(["nowhere", "never"])
    adata = guided(both, strokes)
    assert set(adata.obs["multist_domain"].cat.categories) == set(truth)
    assert adata.obsm["multist_probability"].shape[1] == truth.nunique()


def test_all_spots_or_all_but_one_are_named(both, truth):
    assert (guided(both, truth).obs["multist_domain"] == truth).all()
    adata = guided(both, truth.where(truth.index != truth.index[7]))
    assert (adata.obs["multist_domain"] == truth).mean() >= 1 - 1 / len(truth)
    assert mt.tl.suggest_labels(adata, 5) == [truth.index[7]]


@pytest.mark.parametrize("dtype", ["float64", "Int64"])
def test_numbers_become_names(dtype, both, truth):
    codes = some(truth, 5).map({name: code for code, name in enumerate(sorted(set(truth)))})
    adata = guided(both, codes.astype(dtype))
    assert list(adata.obs["multist_domain"].cat.categories) == [str(code) for code in range(truth.nunique())]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        ({"labels_key": ["annotation"]}, TypeError, r"the name of a column of obs; got \['annotation'\]"),
        ({"n_domains": 1000}, ValueError, "at most the number of spots, 400; got 1000"),
        ({"n_domains": "auto"}, TypeError, "None or an integer; got 'auto'"),
        ({"trust": "high"}, ValueError, "probability that a stroke is right.*got 'high'"),
    ],
)
def test_what_is_asked_in_vain_says_why(call, error, says, both, truth):
    with pytest.raises(error, match=says):
        guided(both, some(truth, 5), **call)
