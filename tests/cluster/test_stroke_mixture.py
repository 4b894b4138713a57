"""A mixture that starts from strokes: its parts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from multist.cluster.stroke_mixture import Discriminant, class_shares, fit_strokes, products, softmax


def test_shares_of_a_section_with_few_spots_lean_on_all_together():
    total = np.array([[30.0, 10, 0], [0, 0, 2]])
    everywhere = np.array([31, 11, 3]) / (42 + 3)
    expected = (total + 10 * everywhere) / np.array([[50], [12]])
    np.testing.assert_allclose(class_shares(total), expected)
    np.testing.assert_allclose(class_shares(total).sum(axis=1), 1)


def test_softmax_of_large_scores_is_finite_and_leaves_them_alone():
    scores = np.array([[1000.0, 1000 + np.log(3)], [-5, -5]])
    np.testing.assert_allclose(softmax(scores), [[0.25, 0.75], [0.5, 0.5]])
    assert scores[0, 0] == 1000


def test_probability_is_the_tempered_score_and_the_share_of_the_section():
    model = Discriminant(np.array([[1.0, -1]]), np.array([0.0, 3]), np.array([[0.5, 0.5], [0.9, 0.1]]))
    points = np.array([[0.0], [1.5], [1.5]])
    np.testing.assert_allclose(model.scores(points), [[0, 2], [1, 1], [1, 1]])
    found = model.probability(points, np.array([0, 0, 1]))
    np.testing.assert_allclose(found, [[1 / (1 + np.e**2), 1 / (1 + np.e**-2)], [0.5, 0.5], [0.9, 0.1]])


@pytest.fixture(scope="module")
def two() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(120, 2) centred points of which the first twelve have strokes, beliefs, and the truth."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.repeat([0, 1], 6), rng.integers(2, size=108)])
    points = np.array([[-1.5, 0], [1.5, 0.5]])[truth] + rng.normal(size=(120, 2)) * [0.8, 1.2]
    return points - points.mean(axis=0), np.eye(2)[truth[:12]], truth


def textbook(points: np.ndarray, belief: np.ndarray, rounds: int = 13) -> tuple[np.ndarray, np.ndarray]:
    """Slopes and offsets for certain strokes in one section, from the description of the method."""
    n, d = points.shape
    m = len(belief)
    drawn, probability = points[:m], None
    for _ in range(rounds):
        count, own = belief.sum(axis=0), belief.T @ points[:m]
        residual = drawn - (own / count[:, None])[belief.argmax(axis=1)]
        scale = residual.std(axis=0)
        among = ledoit_wolf(residual / scale, assume_centered=True)[0] * np.outer(scale, scale)
        if probability is None:
            mean, covariance, share = own / count[:, None], among, (count + 1) / (count + 1).sum()
        else:
            size = probability.sum(axis=0)
            mean = (0.01 * probability.T @ points + 0.99 * own) / (0.01 * size + 0.99 * count)[:, None]
            apart = points[:, None] - mean
            spread = np.einsum("nk,nkd,nke->de", probability, apart, apart) / n
            spread = 0.95 * spread + 0.05 * np.trace(spread) / d * np.eye(d)
            covariance = 0.5 * spread + 0.5 * among
            share = class_shares(probability[m:].sum(axis=0)[None])[0]
        covariance = (1 - 1e-6) * covariance + 1e-6 * np.trace(covariance) / d * np.eye(d)
        slope = np.linalg.solve(covariance, mean.T)
        offset = -0.5 * (slope.T * mean).sum(axis=1)
        probability = softmax((points @ slope + offset) / 1.5 + np.log(share))
        probability[:m] = belief
    return slope, offset


def test_it_is_the_mixture_that_is_described(two):
    points, belief, truth = two
    model = fit_strokes(points, products(points), np.arange(12), belief, np.zeros(120, int))
    slope, offset = textbook(points, belief)
    np.testing.assert_allclose(model.slope, slope, rtol=1e-6)
    np.testing.assert_allclose(model.offset, offset, rtol=1e-6)
    assert (model.probability(points, np.zeros(120, int)).argmax(axis=1) == truth).mean() > 0.9


def test_strokes_that_may_be_wrong_are_overruled_by_what_they_look_like(two):
    points, belief, truth = two
    wrong = belief[:, ::-1][3]
    doubted = 0.8 * belief + 0.2 * belief[:, ::-1]
    doubted[3] = 0.8 * wrong + 0.2 * wrong[::-1]
    certain = np.where(np.arange(12)[:, None] == 3, wrong, belief)
    both = [
        fit_strokes(points, products(points), np.arange(12), each, np.zeros(120, int)).slope
        for each in (doubted, certain)
    ]
    right = fit_strokes(points, products(points), np.arange(12), belief, np.zeros(120, int)).slope
    assert np.abs(both[0] - right).max() < 0.5 * np.abs(both[1] - right).max()
    np.testing.assert_array_equal(belief, np.eye(2)[truth[:12]])


def test_one_stroke_of_each_class_has_an_answer(two):
    points, belief, truth = two
    model = fit_strokes(points, products(points), np.array([0, 6]), belief[[0, 6]], np.zeros(120, int))
    assert (model.probability(points, np.zeros(120, int)).argmax(axis=1) == truth).mean() > 0.8


def test_each_section_has_shares_of_its_own(two):
    points, belief, truth = two
    section = np.where((truth == 1) & (np.arange(120) >= 12), 1, 0)
    share = fit_strokes(points, products(points), np.arange(12), belief, section).share
    assert share.shape == (2, 2)
    assert share[0, 0] > 0.8 and share[1, 1] > 0.8
    np.testing.assert_allclose(share.sum(axis=1), 1)


def test_a_class_without_strokes_starts_where_it_is_told_to(two):
    points, belief, truth = two
    strokes = belief[:6] @ np.eye(2)  # class 0 only
    start = np.eye(2)[truth]
    rows = np.concatenate([np.arange(6), np.arange(12, 120)])
    model = fit_strokes(
        points[rows], products(points[rows]), np.arange(6), strokes, np.zeros(len(rows), int), start=start[rows]
    )
    assert (model.probability(points, np.zeros(120, int)).argmax(axis=1) == truth).mean() > 0.85
