"""Many points are divided as all starts on all of them would, without holding them all at once."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

from multist.cluster import expectation, sampled
from multist.cluster.domains import find_domains
from multist.cluster.expectation import to_posteriors
from multist.cluster.mixture import MixtureFit, fit_mixture
from multist.cluster.neighbour_prior import NeighbourPrior
from multist.cluster.sampled import sampled_mixture

N, K = 24_000, 6


@pytest.fixture(scope="module")
def groups() -> tuple[np.ndarray, np.ndarray]:
    """Overlapping groups of unequal size that share one long covariance."""
    rng = np.random.default_rng(0)
    truth = rng.choice(K, size=N, p=np.arange(1, K + 1) / 21)
    shape = np.linalg.qr(rng.normal(size=(5, 5)))[0] * np.geomspace(0.3, 3, 5)
    return 2.0 * rng.normal(size=(K, 5))[truth] + rng.normal(size=(N, 5)) @ shape.T, truth


@pytest.fixture(scope="module")
def whole(groups) -> MixtureFit:
    """All points divided at once."""
    return fit_mixture(groups[0], K)


@pytest.fixture(scope="module")
def found(groups) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities by a sample."""
    return sampled_mixture(groups[0], K)[:2]


def chain(n: int):
    import scipy.sparse as sp

    return sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")


@pytest.mark.slow
def test_the_same_partition_as_with_all_points(groups, whole, found):
    truth, (labels, sure) = groups[1], found
    assert labels.shape == sure.shape == (N,) and labels.max() == K - 1
    assert adjusted_rand_score(whole.labels, labels) > 0.99
    assert abs(adjusted_rand_score(truth, whole.labels) - adjusted_rand_score(truth, labels)) < 0.01


@pytest.mark.slow
def test_the_probability_is_that_of_all_points(whole, found):
    expected, sure = whole.responsibilities.max(axis=1), found[1]
    assert ((sure >= 1 / K) & (sure <= 1)).all()
    assert np.abs(sure - expected).mean() < 0.01


@pytest.mark.slow
def test_polishing_on_all_points_brings_it_closer(groups, whole, monkeypatch):
    points = groups[0]
    monkeypatch.setattr(sampled, "ENOUGH", 400)
    polished = adjusted_rand_score(whole.labels, sampled_mixture(points, K)[0])
    monkeypatch.setattr(sampled, "_MAX_ROUNDS", 0)
    assert polished > adjusted_rand_score(whole.labels, sampled_mixture(points, K)[0]) + 0.005


@pytest.mark.slow
def test_responsibilities_of_all_points_are_never_held(groups, monkeypatch):
    points = np.tile(groups[0], (10, 1)) + np.random.default_rng(1).normal(size=(10 * N, 5)) * 0.01
    held: list[int] = []
    monkeypatch.setattr(sampled, "to_posteriors", lambda x: held.append(x.size) or to_posteriors(x))
    monkeypatch.setattr(sampled, "_BLOCK_ENTRIES", 200_000)
    tracemalloc.start()
    sampled_mixture(points, K)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(held) <= 200_000 and len(held) > 20
    assert peak < 4 * points.nbytes


@pytest.mark.slow
def test_more_points_are_more_work_but_no_more_than_in_proportion(groups, monkeypatch):
    done: list[int] = []
    for module in (expectation, sampled):
        monkeypatch.setattr(module, "to_posteriors", lambda x: done.append(x.size) or to_posteriors(x))
    sizes = np.array([2_500, 9_900, 10_100, 24_000])
    work = []
    for n in sizes:
        done.clear()
        find_domains(groups[0][:n], chain(n), K)
        work.append(sum(done))
    least = np.minimum.accumulate(work[::-1])[::-1]
    assert (work <= 1.1 * least).all(), dict(zip(sizes, work, strict=True))
    assert (np.maximum.accumulate(work / sizes) <= 1.1 * work[0] / sizes[0]).all()


@pytest.mark.slow
@pytest.mark.usefixtures("few_starts", "one_search")
def test_a_few_points_among_many_equal_ones():
    points = np.zeros((30_000, 3))
    points[:40] = np.random.default_rng(0).normal(size=(40, 3))
    labels = find_domains(points, chain(len(points)), 5).labels
    assert len(np.unique(labels)) == 5


@pytest.mark.slow
def test_same_seed_same_bits_and_another_seed_another_sample(groups, monkeypatch):
    monkeypatch.setattr(sampled, "ENOUGH", 400)
    first, again, other = (sampled_mixture(groups[0][:2000], K, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.confidence, again.confidence)
    assert (first.confidence != other.confidence).any()


def test_the_rule_is_the_mixtures_posterior():
    """Of the sums of a partition: shares, means and the covariance that they have in common."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 2)), rng.dirichlet([1, 1, 1], size=80)
    count, total = weights.sum(axis=0), weights.T @ x
    rule = sampled._float_rule(count, total, x.T @ x, 0.0)
    mean = total / count[:, None]
    covariance = (x.T @ x - total.T @ mean) / 80 + 1e-5 * np.eye(2)
    each = zip(count / 80, mean, strict=True)
    joint = np.stack([np.log(share) + multivariate_normal(middle, covariance).logpdf(x) for share, middle in each], 1)
    expected = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sampled._posteriors(x.astype(np.float32), rule).T, expected, atol=1e-5)


def test_with_a_prior_the_rule_has_its_share_of_a_sphere():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 2)) * [3, 0.3], rng.dirichlet([1, 1, 1], size=80)
    sums = weights.sum(axis=0), weights.T @ x, x.T @ x
    slope, offset, _ = expectation.linear_rule(sums[0][None], sums[1][None], sums[2], 0.8)
    for found, expected in zip(sampled._float_rule(*sums, 0.8), (slope[0], offset[0]), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(slope[0] - sampled._float_rule(*sums, 0.0)[0]).max() > 0.1


@pytest.mark.slow
def test_what_is_polished_stays_what_was_found_in_the_sample():
    """Two types of cells that differ sharply, and two halves that overlap, as neighbours tell."""
    rng = np.random.default_rng(0)
    half, kind = rng.integers(2, size=(2, 12_000))
    points = np.column_stack([3.0 * half, 3.0 * kind]) + rng.normal(size=(12_000, 2)) * [1.0, 0.7]
    prior = NeighbourPrior(np.diag([1.0, 9.0]), 0.9)
    found = sampled_mixture(points, 2, prior=prior)
    whole = fit_mixture(points, 2, prior=prior)
    assert adjusted_rand_score(whole.labels, found.labels) > 0.99
    np.testing.assert_allclose(np.sort(found.confidence), np.sort(whole.responsibilities.max(axis=1)), atol=0.02)


def polished(apart: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, labels and probabilities of two groups so far apart, of which a fifth begins in the wrong one."""
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=200)
    x = (np.where(truth[:, None], apart, -apart) + rng.normal(size=(200, 2))).astype(np.float32)
    x -= x.mean(axis=0)
    start = np.eye(2)[np.where(rng.random(200) < 0.2, 1 - truth, truth)]
    count = start.sum(axis=0)
    rule = sampled._float_rule(count, start.T @ x, (x.T @ x).astype(float), 0.0)
    return truth, *sampled._polish(x, rule, count / 200, 0.0)


def test_polishing_ends_where_nothing_moves():
    truth, label, sure = polished(4.0)
    np.testing.assert_array_equal(label, truth)
    assert label.dtype == np.int64 and sure.dtype == np.float32 and (sure > 0.999).all() and (sure <= 1).all()


def test_blocks_that_are_polished_are_the_whole(monkeypatch):
    _, label, sure = polished(1.0)
    assert (sure < 0.9).any()
    monkeypatch.setattr(sampled, "_BLOCK_ENTRIES", 30)
    _, in_blocks, as_sure = polished(1.0)
    np.testing.assert_array_equal(in_blocks, label)
    np.testing.assert_allclose(as_sure, sure, atol=1e-5)


def test_where_nearly_all_points_are_equal_the_sample_has_the_others(monkeypatch):
    monkeypatch.setattr(sampled, "ENOUGH", 50)
    points = np.zeros((2000, 2))
    points[[5, 900, 1999]] = [[9.0, 0], [0, 9], [9, 9]]
    label, *_ = sampled.sampled_mixture(points, 4)
    assert len(label) == 2000
