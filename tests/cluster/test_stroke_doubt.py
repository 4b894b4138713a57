"""Strokes that the others contradict."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.stroke_doubt import doubtful_strokes, probably_wrong
from multist.cluster.stroke_views import ScaledViews


def doubted(each: list[int], wrong: list[int]) -> list[int]:
    """Which of so many strokes of each class are doubted if some are given to the next one."""
    truth = np.repeat(np.arange(len(each)), each)
    kind = np.concatenate([truth, np.arange(60) % max(2, len(each))])
    rng = np.random.default_rng(0)
    views = ScaledViews.of([[5.0 * np.eye(max(2, len(each)))[kind] + rng.normal(size=(len(kind), max(2, len(each))))]])
    classes = truth.copy()
    classes[wrong] = (classes[wrong] + 1) % len(each)
    found = doubtful_strokes(views, np.arange(len(truth)), classes, np.zeros(len(kind), int), rng)
    return np.flatnonzero(found).tolist()


def test_wrong_names_are_doubted_and_right_ones_are_not():
    assert doubted([20, 20, 20], []) == []
    assert doubted([20, 20, 20], [3, 27]) == [3, 27]


def test_of_one_class_nothing_is_doubted():
    assert doubted([20], []) == []


@pytest.mark.parametrize(("strokes", "found"), [(9, [2]), (8, [])])
def test_of_a_class_with_fewer_than_ten_nothing_is_doubted(strokes, found):
    """The wrong one is the tenth of its class, or the ninth."""
    assert doubted([21, strokes], [2]) == found


def test_a_class_keeps_a_stroke():
    """All ten of a class look like the other one: they are all that is known of it."""
    truth = np.zeros(100, int)
    views = ScaledViews.of([[np.random.default_rng(0).normal(size=(100, 2))]])
    truth[:10] = 1
    found = doubtful_strokes(views, np.arange(40), truth[:40], np.zeros(100, int), np.random.default_rng(0))
    assert not found[:10].all()


def test_the_probability_is_that_of_the_share_of_wrong_names_that_is_likeliest():
    """Of twenty strokes two are certain to be something else; three classes."""
    held = np.tile([0.98, 0.01, 0.01], (20, 1))
    classes = np.zeros(20, int)
    classes[:2] = 1
    shares = np.array([0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3])
    best, expected = -np.inf, np.zeros(20)
    for temperature in (1.0, 1.5, 2.0, 3.0, 4.0):
        cooled = held ** (1 / temperature)
        own = (cooled / cooled.sum(axis=1, keepdims=True))[np.arange(20), classes]
        for share in shares:
            wrong, right = share * (1 - own) / 2, (1 - share) * own
            evidence = np.log(wrong + right).sum() - (share > 0) - (temperature > 1)
            if evidence > best:
                best, expected = evidence, wrong / (wrong + right)
    found = probably_wrong(held, classes)
    np.testing.assert_allclose(found, expected)
    assert (found[:2] > 0.5).all() and (found[2:] < 0.05).all()


def test_strokes_that_agree_or_are_impossible_have_finite_answers():
    assert not probably_wrong(np.eye(2)[[0, 1, 0]], np.array([0, 1, 0])).any()
    assert np.isfinite(probably_wrong(np.eye(2)[[0, 1, 0]], np.array([1, 1, 0]))).all()
