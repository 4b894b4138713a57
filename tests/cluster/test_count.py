"""How many domains an embedding supports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster import count as count_module
from multist.cluster.count import choose_count

pytestmark = pytest.mark.usefixtures("few_starts", "one_search")


def lattice(side: int) -> sp.csr_matrix:
    """Four neighbours on a square."""
    line = sp.diags([1.0, 1.0], [-1, 1], shape=(side, side))
    return sp.csr_matrix(sp.kron(sp.eye(side), line) + sp.kron(line, sp.eye(side)))


def stripes(side: int, count: int, *, hops: int, seed: int = 0) -> tuple[np.ndarray, sp.csr_matrix]:
    """Parallel bands whose noise is a moving average over ``hops`` steps, with the unit variance of white noise."""
    rng, adjacency = np.random.default_rng(seed), lattice(side)
    step = sp.diags(1 / (1 + np.asarray(adjacency.sum(axis=1)).ravel())) @ (adjacency + sp.eye(side**2))
    noise = rng.normal(size=(side**2, 6))
    for _ in range(hops):
        noise = step @ noise
    band = np.repeat(np.arange(side) * count // side, side)
    return 5 * rng.normal(size=(count, 6))[band] + noise / noise.std(), adjacency


@pytest.mark.slow
@pytest.mark.parametrize(("count", "hops"), [(3, 2), (5, 0)])
def test_the_planted_number_is_found(count: int, hops: int):
    points, adjacency = stripes(24, count, hops=hops)
    assert choose_count(points, adjacency, range(2, 8)).chosen == count


@pytest.mark.slow
def test_correlated_neighbours_count_as_fewer_observations():
    sizes = []
    for hops in (0, 3):
        points, adjacency = stripes(30, 3, hops=hops)
        sizes.append(choose_count(points, adjacency, [3]).patch_size)
    assert sizes[0] < sizes[1]
    assert 1 <= sizes[0] <= 5  # a white spot and at most its four neighbours


@pytest.mark.slow
def test_the_smooth_noise_alone_is_not_taken_for_domains():
    """A criterion for independent spots splits a smooth field into as many parts as it may."""
    points, adjacency = stripes(30, 1, hops=4)
    curve = choose_count(points, adjacency, [1, 2, 4, 8])
    assert curve.chosen == 1
    patch = curve.patch_size
    assert patch > 5


@pytest.mark.slow
def test_the_curve_says_how_stable_each_number_is():
    points, adjacency = stripes(24, 4, hops=1)
    curve = choose_count(points, adjacency, [6, 4, 4])
    assert curve.candidates.tolist() == [4, 6]
    assert curve.stability[0] > 0.95 > curve.stability[1]
    assert (curve.icl <= curve.bic).all()


@pytest.mark.slow
def test_what_else_is_tried_does_not_matter():
    points, adjacency = stripes(20, 3, hops=1)
    few, more = (choose_count(points, adjacency, counts) for counts in ([4], [2, 4, 5]))
    assert few.patch_size == more.patch_size
    np.testing.assert_array_equal(few.bic, more.bic[[1]])
    np.testing.assert_array_equal(few.stability, more.stability[[1]])


def test_a_domain_has_ten_points_and_there_are_no_more_than_twenty():
    assert [count_module.most_domains(n) for n in (1, 2, 12, 57, 400)] == [1, 2, 2, 5, 20]


def test_the_finest_mixture_has_no_more_components_than_there_are_different_points(monkeypatch):
    fitted, points = [], np.repeat(np.eye(3), 100, axis=0)

    def noted(sample, count, **options):
        fitted.append(count)
        return fit_mixture(sample, count, **options)

    fit_mixture = count_module.fit_mixture
    monkeypatch.setattr(count_module, "fit_mixture", noted)
    choose_count(points, sp.csr_matrix((300, 300)), [2])
    assert fitted[-1] == 3


def test_kinds_of_spots_that_are_too_rare_for_the_sample_are_looked_at(monkeypatch):
    monkeypatch.setattr(count_module, "_MAX_FITTED", 20)
    points = np.repeat(np.eye(4), [198, 200, 1, 1], axis=0)
    assert choose_count(points, sp.csr_matrix((400, 400)), range(2, 5)).candidates.tolist() == [2, 3, 4]


@pytest.mark.slow
def test_flat_directions_do_no_harm():
    points, adjacency = stripes(20, 3, hops=1)
    padded = np.hstack([points, np.zeros((len(points), 2))])
    plain, more = (choose_count(x, adjacency, [3, 4]) for x in (points, padded))
    assert more.chosen == 3
    np.testing.assert_allclose(more.bic, plain.bic, rtol=1e-4)  # nothing is charged for them


def test_the_criteria_by_hand():
    """Two components with equal weights; 100 points count as 25."""
    posterior = np.array([[1.0, 0], [0.5, 0.5], [0.25, 0.75], [0, 1]], np.float32)
    fit = count_module.MixtureFit(
        labels=np.zeros(4, int),
        responsibilities=posterior,
        means=np.array([[0.0, 0], [4, 0]]),
        covariance=np.diag([4.0, 1]),
        weights=np.array([0.5, 0.5]),
        log_likelihood=-12.0,
        n_dimensions=2,
        repeated=True,
    )
    # one weight, two means of two, a covariance of three
    assert fit.n_parameters == 1 + 4 + 3
    assert count_module._bic(fit, 25.0) == pytest.approx(2 * -3 * 25 - 8 * np.log(25))
    assert count_module._bic(fit, 1.0) == pytest.approx(2 * -3 - 8 * np.log(2))
    entropy = np.log(2) - 0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    assert count_module._entropy(fit) == pytest.approx(entropy / 4, rel=1e-6)
    points = np.array([[1.9, 5.0], [2.1, -5]])  # the border lies in the middle of the means
    assert count_module._assigned(points, fit).tolist() == [0, 1]
    # a component that is rarer by exp(2) has its border where the other is nearer by 2 nats: 1 of 4, as 4 / 4 x = 2
    rare = replace(fit, weights=np.array([1, np.exp(-2)]) / (1 + np.exp(-2)))
    assert count_module._assigned(np.array([[3.9, 0.0], [4.1, 0]]), rare).tolist() == [0, 1]


def test_the_size_of_a_patch_by_hand():
    """On a ring of twelve, a wave of three up and three down: neighbours agree by a third, those after them do not."""
    ring = sp.csr_matrix(5.0 * (np.roll(np.eye(12), 1, axis=1) + np.roll(np.eye(12), -1, axis=1)))
    wave = np.array([1.0, 1, 1, -1, -1, -1] * 2)[:, None]
    # two neighbours of a third each; a third less in the next ring ends it
    assert count_module._patch_size(7 * wave, ring) == pytest.approx(1 + 2 * (1 / 3) * (11 / 12), rel=1e-5)
    alternating = np.array([1.0, -1] * 6)[:, None]
    assert count_module._patch_size(alternating, ring) == 1
    assert count_module._patch_size(np.zeros((12, 2)), ring) == 1
    # without neighbours each spot counts
    assert count_module._patch_size(wave, sp.csr_matrix((12, 12))) == 1


def test_of_numbers_with_strong_evidence_the_most_stable_is_taken_and_of_those_the_smallest(monkeypatch):
    points, adjacency = stripes(12, 3, hops=1)
    bic, stable = {2: 5.0, 3: 30.0, 4: 39.0, 5: 40.0}, {2: 1.0, 3: 0.9, 4: 0.9, 5: 0.7}
    monkeypatch.setattr(count_module, "_bic", lambda fit, _: bic[len(fit.means)])
    monkeypatch.setattr(count_module, "_stability", lambda _, count, *__: stable[count])
    curve = choose_count(points, adjacency, [5, 4, 3, 2])
    assert curve.candidates.tolist() == [2, 3, 4, 5] and curve.bic.tolist() == [5, 30, 39, 40]
    assert curve.chosen == 3
    entropy = (curve.bic - curve.icl) / 2 * curve.patch_size / len(points)
    assert (entropy >= 0).all() and entropy[-1] > 0


def test_a_half_with_too_few_different_points_is_not_stable():
    points = np.repeat(np.eye(4), [20, 20, 1, 1], axis=0)
    halves = [np.arange(0, 42, 2), np.arange(0, 20)]
    assert count_module._stability(points, 2, halves, None, 0) == 0
    assert count_module._stability(points[:40], 2, [np.arange(10, 30), np.arange(12, 28)], None, 0) == 1
