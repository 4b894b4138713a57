"""How many domains an embedding supports."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster.count import choose_count


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
@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("hops", [0, 2])
def test_the_planted_number_is_found(count: int, hops: int):
    points, adjacency = stripes(30, count, hops=hops)
    assert choose_count(points, adjacency, range(2, 9), n_starts=6).chosen == count


def test_correlated_neighbours_count_as_fewer_observations():
    sizes = []
    for hops in (0, 1, 3):
        points, adjacency = stripes(30, 3, hops=hops)
        sizes.append(choose_count(points, adjacency, [3], n_starts=4).patch_size)
    assert sizes[0] < sizes[1] < sizes[2]
    assert 1 <= sizes[0] <= 5  # a white spot and at most its four neighbours


@pytest.mark.slow
def test_the_smooth_noise_alone_is_not_taken_for_domains():
    """A criterion for independent spots splits a smooth field into as many parts as it may."""
    points, adjacency = stripes(30, 1, hops=4)
    curve = choose_count(points, adjacency, range(1, 9), n_starts=6)
    assert curve.chosen == 1
    patch = curve.patch_size
    assert patch > 5


def test_the_curve_says_how_stable_each_number_is():
    points, adjacency = stripes(24, 4, hops=1)
    curve = choose_count(points, adjacency, [6, 4, 4], n_starts=6)
    assert curve.candidates.tolist() == [4, 6]
    assert curve.stability[0] > 0.95 > curve.stability[1]
    assert (curve.icl <= curve.bic).all()


def test_the_same_seed_gives_the_same_curve():
    points, adjacency = stripes(20, 3, hops=1)
    first, second = (choose_count(points, adjacency, [2, 3, 4], n_starts=4, random_state=3) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_candidate_does_not_depend_on_the_others():
    points, adjacency = stripes(20, 3, hops=1)
    few, many = (choose_count(points, adjacency, counts, n_starts=4) for counts in ([3, 5], [2, 3, 4, 5]))
    assert few.stability[0] == many.stability[1]
    assert few.bic[0] == pytest.approx(many.bic[1])


def test_flat_directions_do_no_harm():
    points, adjacency = stripes(20, 3, hops=1)
    padded = np.hstack([points, np.zeros((len(points), 2))])
    assert choose_count(padded, adjacency, range(2, 6), n_starts=4).chosen == 3


def test_no_candidate_is_refused():
    points, adjacency = stripes(10, 2, hops=1)
    with pytest.raises(ValueError, match="candidates is empty"):
        choose_count(points, adjacency, [])
