"""Expectation maximisation gives the numbers of its textbook form, and a wrong partition is split and merged right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from multist.cluster import expectation
from multist.cluster.expectation import TiedMixtures, oblong_cost, rounded


def climb(x: np.ndarray, weights: np.ndarray, max_iter: int, tol: float = 0.0, roundness: float = 0.0):
    """Weights and log-likelihoods after so many iterations at most."""
    return TiedMixtures(x, max_iter=max_iter, tol=tol, roundness=roundness).climb(weights)


def textbook(x: np.ndarray, weights: np.ndarray, rounds: int) -> tuple[np.ndarray, float]:
    """Posteriors and log-likelihood after so many M and E steps of a mixture with one covariance."""
    n, d = x.shape
    for _ in range(rounds):
        share, mean = weights.mean(axis=0), weights.T @ x / weights.sum(axis=0)[:, None]
        apart = x[:, None] - mean
        covariance = np.einsum("nk,nkd,nke->de", weights, apart, apart) / n + expectation._RIDGE * np.eye(d)
        joint = np.stack([s * multivariate_normal(m, covariance).pdf(x) for s, m in zip(share, mean, strict=True)], 1)
        weights = joint / joint.sum(axis=1, keepdims=True)
    return weights, float(np.log(joint.sum(axis=1)).sum())


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    groups = np.array([[-2.0, 0, 1], [1, 1, -1], [2, -2, 0]])[rng.integers(3, size=90)]
    return (groups + rng.normal(size=(90, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def starts() -> np.ndarray:
    """(4, 3, 90) hard assignments; in the last start one component is twice as large."""
    rng = np.random.default_rng(1)
    labels = np.stack([rng.integers(3, size=90) for _ in range(4)], axis=1)
    labels[:40, 3] = 0
    return np.ascontiguousarray(np.eye(3, dtype=np.float32)[labels].transpose(1, 2, 0))


@pytest.mark.parametrize("rounds", [1, 2, 6])
@pytest.mark.parametrize("block_entries", [2**18, 12 * 7])
def test_each_start_goes_as_the_textbook_says(points, starts, rounds, block_entries, monkeypatch):
    monkeypatch.setattr(expectation, "_BLOCK_ENTRIES", block_entries)
    found, likelihood = climb(points, starts.copy(), rounds)
    for start in range(4):
        weights, expected = textbook(points.astype(float), starts[start].T.astype(float), rounds)
        np.testing.assert_allclose(found[start].T, weights, atol=2e-3)
        assert float(likelihood[start]) == pytest.approx(expected, abs=0.02)


def test_it_ends_once_the_gain_per_point_is_below_the_tolerance(points, starts):
    x = points
    after = [climb(x, starts[:1].copy(), rounds)[1].item() for rounds in range(1, 8)]
    gains = np.diff(after) / len(x)
    assert (gains > 0).all()
    for rounds in (2, 4):  # the gain of the last round that is made is the first one that is too small
        tol = float(gains[rounds - 2]) * 1.001
        first = int(np.argmax(gains < tol)) + 2
        assert climb(x, starts[:1].copy(), 50, tol)[1].item() == pytest.approx(after[first - 1], abs=1e-6)


def test_a_component_without_points_takes_none_and_disturbs_none(points):
    two = np.eye(2, dtype=np.float32)[(points[:, 0] > 0).astype(int)]
    three = np.column_stack([two, np.zeros(len(two), np.float32)])
    plain, more = (climb(points, each.T[None].copy(), 5) for each in (two, three))
    np.testing.assert_allclose(more[0][0, :2], plain[0][0], atol=1e-4)
    assert more[0][0, 2].max() < 1e-6
    assert more[1][0] == pytest.approx(plain[1][0], abs=1e-3)


def test_of_several_starts_all_have_to_settle(points, starts):
    """One that stands still from the beginning does not end the others."""
    x = points
    settled = climb(x, starts[:1].copy(), 200, 1e-9)[0]
    both = np.concatenate([settled, starts[1:2]])
    together = climb(x, both, 200, 1e-4)[1][1]
    alone = climb(x, starts[1:2].copy(), 200, 1e-4)[1][0]
    assert float(together) == pytest.approx(float(alone), abs=1e-3)


def groups_on_a_line(sizes: list[int], middles: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) whitened points, and the group of each."""
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = np.random.default_rng(seed).normal(size=(len(truth), 2)) * [0.3, 1]
    x[:, 0] += np.array(middles)[truth]
    x -= x.mean(axis=0)
    return (x / x.std(axis=0)).astype(np.float32), truth


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(labels.max() + 1, dtype=np.float32)[labels].T


@pytest.mark.parametrize(("given", "sizes"), [(40, [40, 5, 2]), (15, [15, 2, 2]), (1, [1, 1, 1])])
def test_ever_fewer_mixtures_go_on_and_the_likeliest_is_kept(points, given, sizes, monkeypatch):
    went_on = []

    def advance(_, weights, max_iter=None):
        went_on.append(len(weights))
        return weights, weights[:, 0, 0].astype(float)

    monkeypatch.setattr(TiedMixtures, "climb", advance)
    weights = np.random.default_rng(0).random((given, 3, 90), dtype=np.float32)
    found, likelihood = TiedMixtures(points, max_iter=10, tol=0.0).likeliest(weights)
    assert went_on == sizes
    assert likelihood == weights[:, 0, 0].max() and (found == weights[weights[:, 0, 0].argmax()]).all()


@pytest.mark.parametrize("most_moves", [40, 1])
@pytest.mark.parametrize("sizes", [[30, 30, 60], [12, 40, 90]])
def test_two_groups_in_one_component_and_one_in_two_are_put_right(sizes, most_moves, monkeypatch):
    """Of all ways the right one is also the first one that is tried."""
    monkeypatch.setattr(expectation, "_MOVES_A_ROUND", most_moves)
    x, truth = groups_on_a_line(sizes, [-6.0, -2.0, 6.0])
    wrong = np.array([0, 0, 1])[truth]
    wrong[np.flatnonzero(truth == 2)[::3]] = 2
    weights, _ = TiedMixtures(x, max_iter=100, tol=1e-5).split_and_merge(one_hot(wrong))
    found = weights.argmax(axis=0)
    pairs = set(zip(found.tolist(), truth.tolist(), strict=True))
    assert len(pairs) == 3


@pytest.mark.parametrize(("large", "ways"), [(9, False), (10, True)])
def test_a_component_of_fewer_than_ten_points_is_not_split(large, ways):
    x, truth = groups_on_a_line([large, 5, 5], [-6.0, 0.0, 6.0])
    assert (TiedMixtures(x, max_iter=20, tol=1e-5).split_and_merge(one_hot(truth)) is not None) == ways


@pytest.mark.parametrize("k", [1, 2])
def test_with_fewer_than_three_components_there_is_no_way(k):
    x, _ = groups_on_a_line([30, 30], [-3.0, 3.0])
    assert TiedMixtures(x, max_iter=20, tol=1e-5).split_and_merge(one_hot(np.repeat(np.arange(k), 60 // k))) is None


@pytest.mark.parametrize("roundness", [0.1, 0.5, 0.95])
def test_a_rounded_covariance_is_the_most_probable(roundness):
    """Of the likelihood of points with that covariance, and the prior's cost of what is not a sphere."""
    rng = np.random.default_rng(2)
    within = np.stack([np.diag(np.geomspace(1e-3, 10, 4)), np.cov(rng.normal(size=(4, 9)))])

    def objective(covariance: np.ndarray) -> np.ndarray:
        precision = np.linalg.inv(covariance)
        fit = np.linalg.slogdet(precision)[1] - np.trace(precision @ within, axis1=1, axis2=2)
        return 0.5 * fit - oblong_cost(precision, roundness)

    best = rounded(within, roundness)
    for _ in range(50):
        step = rng.normal(size=(4, 4)) * 0.02
        turned = (np.eye(4) + step) @ best @ (np.eye(4) + step).T
        assert (objective(turned) <= objective(best) + 1e-9).all()


def test_a_sphere_costs_nothing_and_stays():
    sphere = 3.0 * np.eye(3)[None]
    assert oblong_cost(np.linalg.inv(sphere), 0.5).item() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(rounded(sphere, 0.7), sphere)
    assert oblong_cost(np.diag([1.0, 1, 9])[None], 0.5).item() > 0


def test_what_is_most_probable_rises_from_round_to_round(points, starts):
    after = [climb(points, starts.copy(), rounds, 0.0, 0.6)[1] for rounds in (1, 2, 4, 8, 16)]
    assert (np.diff(after, axis=0) > -1e-3).all()
