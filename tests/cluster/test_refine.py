"""Lone spots join what surrounds them, borders and layers stay, and the number of domains is exact."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from multist.cluster.refine import majority_vote, with_exact_count

SIDE = 14


@pytest.fixture
def halves() -> np.ndarray:
    """(14, 14) labels with a straight border."""
    labels = np.zeros((SIDE, SIDE), dtype=np.int64)
    labels[:, SIDE // 2 :] = 1
    return labels


@pytest.mark.parametrize("hexagonal", [True, False])
def test_a_layer_two_spots_wide_stays(lattice, halves, hexagonal):
    labels = halves.T.copy()
    labels[6:8] = 2
    kept = majority_vote(labels.ravel(), lattice(SIDE, SIDE, hexagonal=hexagonal)).reshape(labels.shape)
    np.testing.assert_array_equal(kept[:, 1:-1], labels[:, 1:-1])


def test_a_tie_and_a_spot_without_neighbours_stay(lattice):
    two = sp.csr_matrix(np.array([[0, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]))
    labels = np.array([0, 1, 2, 3])
    assert majority_vote(labels, two)[3] == 3
    assert majority_vote(labels, two)[0] == 0


def test_the_vote_does_not_change_what_it_is_given(lattice, halves):
    labels = halves.ravel().copy()
    labels[30] = 1 - labels[30]
    before, adjacency = labels.copy(), lattice(SIDE, SIDE)
    stored = adjacency.copy()
    majority_vote(labels, adjacency)
    np.testing.assert_array_equal(labels, before)
    assert (adjacency != stored).nnz == 0


def points_of(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Embedding in which label k lies around (10 k, 0)."""
    rng = np.random.default_rng(seed)
    return np.column_stack([10.0 * labels, np.zeros(len(labels))]) + rng.normal(size=(len(labels), 2))


def test_a_handful_joins_the_nearest_and_the_widest_is_split():
    labels = np.repeat([0, 1, 2], [60, 40, 2])
    points = points_of(labels)
    points[100:] = points[60:62] + 0.1  # the two lie with the second group
    points[:30, 1] += 50  # and the first consists of two
    found = with_exact_count(labels, points, 3)
    assert np.bincount(found).tolist() == [42, 30, 30]
    assert len(set(found[60:])) == 1
    assert len(set(found[:30])) == len(set(found[30:60])) == 1


@pytest.mark.parametrize(("n_found", "n_domains"), [*product([1], [1, 2, 7, 120]), *product([3], [3, 5, 60, 119])])
def test_exactly_the_number_asked_for(n_found, n_domains):
    labels = np.arange(120) % n_found
    found = with_exact_count(labels, points_of(labels), n_domains)
    sizes = np.bincount(found)
    assert len(sizes) == n_domains
    assert (np.diff(sizes) <= 0).all() and sizes.min() >= 1


def test_equal_points_can_be_told_apart_too():
    found = with_exact_count(np.zeros(10, dtype=np.int64), np.ones((10, 3)), 4)
    assert len(np.unique(found)) == 4


def test_no_domain_is_smaller_than_a_handful():
    labels = np.repeat([0, 1, 2, 3], [50, 46, 3, 1])
    found = with_exact_count(labels, points_of(labels), 4)
    assert np.bincount(found).min() >= 5
    assert len(np.bincount(found)) == 4


def test_only_what_is_large_enough_for_two_domains_is_split():
    labels = np.repeat([0, 1, 2], [60, 60, 7])
    points = np.random.default_rng(0).normal(size=(127, 2)) * np.where(labels == 2, 100, 1)[:, None]
    assert np.bincount(with_exact_count(labels, points, 5)).min() >= 5


def test_gaps_in_the_numbers_are_closed_and_the_largest_comes_first():
    labels = np.repeat([7, 2, 4], [10, 30, 20])
    found = with_exact_count(labels, points_of(labels), 3)
    assert found.tolist() == [2] * 10 + [0] * 30 + [1] * 20
    assert labels[0] == 7


@pytest.mark.parametrize(
    ("n", "small", "kept"), [(100, 5, True), (100, 4, False), (24, 3, True), (24, 2, False), (12, 1, True)]
)
def test_a_handful_is_five_spots_or_half_of_an_equal_share(n, small, kept):
    """Of 24 spots in four domains a domain has three at least; of twelve one."""
    rest = n - small
    labels = np.concatenate([np.zeros(rest - 2 * (rest // 3), int), np.repeat([1, 2], rest // 3), np.full(small, 3)])
    points = points_of(labels)
    found = with_exact_count(labels, points, 4)
    together = found[labels == 3]
    alone = len(set(together)) == 1 and (found == together[0]).sum() == small
    assert alone == kept


def test_the_widest_is_cut_at_the_median_of_its_longest_axis():
    points = np.zeros((12, 2))
    points[:6, 0] = [0, 1, 2, 7, 8, 9]
    points[6:, 1] = [0, 1, 2, 3, 4, 5]
    points[6:, 0] = 100
    labels = np.repeat([0, 1], 6)
    assert with_exact_count(labels, points, 3).tolist() in ([1] * 3 + [2] * 3 + [0] * 6, [2] * 3 + [1] * 3 + [0] * 6)
    # the spread counts by the spots that have it: six of them vary less, but they are many
    many = np.concatenate([points[:6] * [0.5, 1], np.repeat(points[6:], 4, axis=0)])
    found = with_exact_count(np.repeat([0, 1], [6, 24]), many, 3)
    assert len(set(found[:6])) == 1 and len(set(found[6:])) == 2


def test_of_domains_that_are_all_small_none_is_merged():
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    found = with_exact_count(labels, points_of(labels), 6)
    assert adjusted_rand_score(labels, found) == 1
