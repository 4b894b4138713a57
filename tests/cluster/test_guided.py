"""Strokes on a few spots name all others."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster import guided
from multist.cluster.guided import guided_domains
from multist.cluster.neighbour_walk import HeldOut
from multist.cluster.stroke_doubt import probably_wrong
from multist.cluster.stroke_views import scale_views

ROWS, COLUMNS = 20, 30


@pytest.fixture(scope="module", autouse=True)
def one_deal():
    """Strokes are dealt out once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guided, "_N_DEALS", 1)
        yield


@pytest.fixture(scope="module")
def bands(lattice):
    """Three bands of ten columns each: truth, views, adjacency and coordinates."""
    return tissue(lattice, np.repeat(np.arange(3), 10))


def tissue(lattice, of_column, *, seed=0, apart=3.0):
    rng = np.random.default_rng(seed)
    truth = np.tile(of_column, ROWS)
    features = rng.normal(size=(len(truth), 6))
    features[np.arange(len(truth)), truth] += apart
    adjacency = lattice(ROWS, COLUMNS)
    y, x = np.divmod(np.arange(len(truth)), COLUMNS)
    return truth, scale_views({"components": features}, adjacency), adjacency, np.column_stack([x, y]).astype(float)


def some(truth, each, seed=1, of=(0, 1, 2)):
    rng = np.random.default_rng(seed)
    labels = np.full(len(truth), -1)
    for place, name in enumerate(of):
        labels[rng.permutation(np.flatnonzero(truth == name))[:each]] = place
    return labels


@pytest.fixture(scope="module")
def after(bands, one_deal):
    """The domains that so many strokes of each band lead to."""
    truth, views, adjacency, xy = bands
    return cache(lambda each: guided_domains(views, adjacency, xy, some(truth, each), 3))


def named_from_another(first, second):
    """Labels of the second tissue after strokes in the first."""
    views = [[np.vstack(v) for v in zip(*g, strict=True)] for g in zip(first[1], second[1], strict=True)]
    adjacency = sp.block_diag([first[2], second[2]], format="csr")
    section = np.repeat([0, 1], [len(first[0]), len(second[0])])
    labels = np.concatenate([some(first[0], 6), np.full(len(second[0]), -1)])
    found = guided_domains(views, adjacency, np.vstack([first[3], second[3]]), labels, 3, section=section)
    return found.labels[section == 1]


@pytest.mark.slow
def test_a_few_strokes_name_the_tissue_and_are_kept(bands, after):
    truth, found = bands[0], after(4)
    labels = some(truth, 4)
    assert (found.labels == truth).mean() > 0.95
    assert np.array_equal(found.labels[labels >= 0], labels[labels >= 0])
    assert np.allclose(found.probability.sum(axis=1), 1)
    assert np.array_equal(found.probability.argmax(axis=1), found.labels)


@pytest.mark.slow
def test_the_same_input_gives_the_same_bits_and_is_left_alone(bands, after):
    truth, views, adjacency, xy = bands
    labels = some(truth, 4)
    before = [view.copy() for group in views for view in group], labels.copy()
    again = guided_domains(views, adjacency, xy, labels, 3)
    assert np.array_equal(again.probability, after(4).probability)
    assert all(np.array_equal(a, b) for a, b in zip(before[0], [v for g in views for v in g], strict=True))
    assert np.array_equal(labels, before[1])


def test_one_spot_in_each_class_is_enough_to_have_an_answer(bands, after):
    found = after(1)
    assert (found.labels == bands[0]).mean() > 0.8
    assert np.isnan(found.held_out_accuracy)


@pytest.mark.slow
def test_one_class_may_have_a_single_spot(bands):
    truth, views, adjacency, xy = bands
    labels = some(truth, 6)
    labels[np.flatnonzero(labels == 2)[1:]] = -1
    found = guided_domains(views, adjacency, xy, labels, 3)
    assert (found.labels[truth == 2] == 2).mean() > 0.8


def test_a_column_one_spot_wide_is_kept(lattice):
    of_column = np.zeros(COLUMNS, dtype=int)
    of_column[[9, 20]] = 1
    truth, views, adjacency, xy = tissue(lattice, of_column, apart=6)
    found = guided_domains(views[:1], adjacency, xy, some(truth, 6, of=(0, 1)), 2)
    assert (found.labels[truth == 1] == 1).mean() > 0.9


@pytest.mark.slow
def test_wrong_strokes_are_overruled_only_without_full_trust(bands):
    truth, views, adjacency, xy = bands
    labels = some(truth, 20)
    drawn = np.flatnonzero(labels >= 0)
    wrong = drawn[:: len(drawn) // 6][:6]
    labels[wrong] = (labels[wrong] + 1) % 3
    kept = guided_domains(views, adjacency, xy, labels, 3)
    overruled = guided_domains(views, adjacency, xy, labels, 3, trust=0.9)
    assert np.array_equal(kept.labels[wrong], labels[wrong])
    assert (overruled.labels[wrong] == truth[wrong]).mean() > 0.8
    assert (overruled.labels == truth).mean() > 0.95


@pytest.mark.parametrize("n_more", [0, 1])
def test_strokes_that_are_held_out_are_unseen_however_little_they_are_trusted(bands, n_more, monkeypatch):
    """Further domains alone, which have no strokes, start from what was learnt from all of these."""
    truth, views, adjacency, xy = bands
    began, held_out = [], guided.held_out
    monkeypatch.setattr(guided, "held_out", lambda *given: began.append(given[-1]) or held_out(*given))
    guided_domains(views[:1], adjacency, xy, some(truth, 4), 3, n_more=n_more, trust=0.4)
    assert [len(models) for models in began] == [n_more]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.15])
def test_wrong_strokes_are_not_learnt_from_and_stay_as_drawn(bands, share):
    truth, views, adjacency, xy = bands
    labels = some(truth, 20)
    wrong = np.random.default_rng(2).permutation(np.flatnonzero(labels >= 0))[: round(60 * share)]
    labels[wrong] = (labels[wrong] + 1) % 3
    without = labels.copy()
    without[wrong] = -1
    found = guided_domains(views, adjacency, xy, labels, 3)
    free = labels < 0
    assert np.isin(wrong, found.doubted).mean() > 0.8
    assert np.isin(found.doubted, wrong).mean() > 0.8
    assert np.array_equal(found.labels[~free], labels[~free])
    best = (guided_domains(views, adjacency, xy, without, 3).labels == truth)[free].mean()
    assert (found.labels == truth)[free].mean() > best - 0.03


@pytest.mark.slow
@pytest.mark.parametrize("each", [10, 40])
def test_strokes_that_agree_are_not_doubted(after, each):
    assert not len(after(each).doubted)


def test_overconfidence_is_no_evidence_of_wrong_names_and_lone_contradictions_are():
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=200)
    logs = 2 * rng.normal(size=(200, 3))
    logs[np.arange(200), classes] += 2
    honest = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    named = np.array([rng.choice(3, p=row) for row in honest])
    assert not probably_wrong(honest, named).any()
    sharper = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    assert not probably_wrong(sharper, named).any()
    spoilt, wrong = (
        named.copy(),
        np.argsort(honest[np.arange(200), named])[-20:],
    )  # those of which the others are surest
    spoilt[wrong] = (spoilt[wrong] + 1) % 3
    assert set(np.flatnonzero(probably_wrong(honest, spoilt) > 0.5)) >= set(wrong)


@pytest.mark.slow
def test_tissue_that_nobody_named_becomes_a_domain_of_its_own(bands):
    truth, views, adjacency, xy = bands
    labels = some(truth, 6, of=(0, 1))
    found = guided_domains(views, adjacency, xy, labels, 2, n_more=1)
    assert (found.labels[truth == 2] == 2).mean() > 0.9
    assert (found.labels[truth != 2] == truth[truth != 2]).mean() > 0.9
    assert found.probability.shape == (len(truth), 3)


@pytest.mark.slow
def test_strokes_in_one_section_name_the_other(lattice):
    first, second = (tissue(lattice, np.repeat(np.arange(3), 10), seed=seed) for seed in (0, 1))
    assert (named_from_another(first, second) == second[0]).mean() > 0.9


@pytest.mark.slow
def test_a_class_that_one_section_lacks_stays_rare_there(lattice):
    with_it, without = (tissue(lattice, np.repeat(of, 10), seed=3, apart=2) for of in ([0, 1, 2], [0, 1, 1]))
    assert (named_from_another(with_it, without) == 2).mean() < 0.03


@pytest.mark.slow
def test_the_next_section_is_recognised(lattice, after):
    other, views, adjacency, _ = tissue(lattice, np.repeat([2, 0, 1], 10), seed=5)
    assert (after(10).classifier.predict(views, adjacency).argmax(axis=1) == other).mean() > 0.9


@pytest.mark.slow
def test_held_out_accuracy_is_a_share_of_the_strokes_each_time_that_they_are_dealt_out(bands, monkeypatch):
    truth, views, adjacency, xy = bands
    monkeypatch.setattr(guided, "_N_DEALS", 2)
    accuracy = guided_domains(views, adjacency, xy, some(truth, 10), 3).held_out_accuracy
    assert 0.9 < accuracy <= 1
    assert accuracy * 60 == pytest.approx(round(accuracy * 60))


@pytest.mark.parametrize(("right", "said"), [(0.52, False), (0.48, True)])
def test_strokes_that_are_recognised_little_better_than_by_chance_are_named(right, said, caplog):
    """Of three classes chance gives a third, and a quarter of the way to all is a half."""
    truth = np.repeat([0, 1, 2], 100)
    told = np.where(np.arange(300) % 100 < 100 * right, truth, (truth + 1) % 3)
    guided._warn_of_contradictions([HeldOut(np.arange(300), truth, np.eye(3)[told])], 3)
    assert (f"{100 * right:.0f} % of a class are recognised, and chance gives 33 %" in caplog.text) == said


@pytest.mark.parametrize(("each", "said"), [(5, True), (4, False)])
def test_a_class_with_few_strokes_says_nothing_of_contradictions(each, said, caplog):
    truth = np.repeat([0, 1], [20, each])
    wrong = HeldOut(np.arange(len(truth)), truth, np.eye(2)[1 - truth])
    guided._warn_of_contradictions([wrong, wrong], 2)
    assert ("contradict each other" in caplog.text) == said
    guided._warn_of_contradictions([HeldOut(*(each[:20] for each in wrong))], 2)
    assert caplog.text.count("contradict") == int(said)


def test_strokes_that_a_further_domain_takes_contradict_nothing(caplog):
    """All look like a domain that nobody named, and of the named ones like their own."""
    truth = np.repeat([0, 1], 20)
    probability = np.column_stack([0.5 * (truth == 0), 0.5 * (truth == 1), np.full(40, 0.6)])
    guided._warn_of_contradictions([HeldOut(np.arange(40), truth, probability)], 2)
    assert not caplog.text


def test_belief_is_bayes_rule():
    both = guided._believed(np.array([[0.2, 0.8], [0.0, 1.0]]), np.array([[0.9, 0.1], [1.0, 0.0]]))
    np.testing.assert_allclose(both, [[0.18 / 0.26, 0.08 / 0.26], [1, 0]])
