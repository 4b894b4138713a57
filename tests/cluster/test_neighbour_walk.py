"""Probabilities walk along edges between spots that are alike: by hand, on a few spots."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster.neighbour_walk import HeldOut, similar_edges, strength_from_held_out, walk_to_neighbours


def chain(n: int) -> sp.csr_matrix:
    return sp.csr_matrix(sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1]))


def test_edges_weigh_by_the_squared_distance_of_their_ends_over_the_median():
    scores = np.array([[0.0, 0], [1, 1], [1, 3], [5, 3]])  # squared distances 2, 4 and 16 along the chain
    edges = similar_edges(scores, chain(4)).toarray()
    np.testing.assert_allclose(np.diag(edges, 1), np.exp([-2 / 4, -4 / 4, -16 / 4]))
    np.testing.assert_allclose(edges, edges.T)
    assert np.count_nonzero(edges) == 6


def test_equal_scores_and_no_edges_are_no_obstacle():
    np.testing.assert_array_equal(similar_edges(np.ones((3, 2)), chain(3)).data, 1)
    assert similar_edges(np.ones((3, 2)), sp.csr_matrix((3, 3))).nnz == 0


@pytest.mark.parametrize("strength", [0.3, 2.0])
def test_the_walk_ends_at_the_solution_of_its_equation(strength):
    edges = chain(5).multiply(0.5).tocsr()
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.4, 0.6], [0.7, 0.3]])
    laplacian = np.diag(np.asarray(edges.sum(axis=1)).ravel()) - edges.toarray()
    expected = np.linalg.solve(np.eye(5) + strength * laplacian, probability)
    before = probability.copy()
    np.testing.assert_allclose(walk_to_neighbours(probability, edges, strength), expected, atol=2e-3)
    np.testing.assert_array_equal(probability, before)


def test_what_is_fixed_stays_and_pulls():
    probability = np.full((3, 2), 0.5)
    fixed = (np.array([0]), np.array([[1.0, 0.0]]))
    found = walk_to_neighbours(probability, chain(3), 10.0, fixed)
    np.testing.assert_array_equal(found[0], [1, 0])
    # x1 (1 + 20) = .5 + 10 (1 + x2) and x2 (1 + 10) = .5 + 10 x1
    x1 = (10.5 + 5 / 11) / (21 - 100 / 11)
    assert found[1, 0] == pytest.approx(x1, abs=0.02)
    np.testing.assert_array_equal(walk_to_neighbours(probability, chain(3), 0, fixed), [[1, 0], [0.5, 0.5], [0.5, 0.5]])


def test_the_walk_takes_twenty_steps():
    """A spot reaches as far as its steps go, and no farther."""
    probability = np.zeros((30, 1))
    probability[0] = 1
    found = walk_to_neighbours(probability, chain(30), 30.0)[:, 0]
    assert (found[:21] > 0).all() and (found[21:] == 0).all()


def test_a_stroke_that_knows_better_than_its_neighbours_is_left_alone_and_no_stroke_tells_nothing():
    around, held = np.tile([0.9, 0.1], (9, 1)), np.array([[0.1, 0.9]])
    assert strength_from_held_out(around, chain(9), [HeldOut(np.array([4]), np.array([1]), held)]) == 0
    none = np.array([], dtype=np.int64)
    assert strength_from_held_out(around, chain(9), [HeldOut(none, none, np.empty((0, 2)))]) == 1


@pytest.mark.parametrize("held", [[0.1, 0.3], [0.3, 0.01], [0.05, 0.002], [0.5, 0.5]])
def test_the_strength_is_that_at_which_held_out_strokes_are_told_best(held):
    """One is told better by its neighbours; the other one is of a kind that has none near."""
    probability, rows, classes = np.tile([0.9, 0.1], (20, 1)), np.array([3, 15]), np.array([0, 1])
    held = np.array([[held[0], 1 - held[0]], [held[1], 1 - held[1]]])
    told = {}
    for strength in (0.0, 0.3, 1.0, 3.0, 10.0, 30.0):
        start = probability.copy()
        start[rows] = held
        told[strength] = np.log(walk_to_neighbours(start, chain(20), strength)[rows, classes] + 1e-3).mean()
    # tissue farther than six steps away makes no difference
    assert strength_from_held_out(probability, chain(20), [HeldOut(rows, classes, held)]) == max(told, key=told.get)


def test_spots_farther_than_the_walk_from_strokes_are_not_looked_at():
    """A long chain that nobody named, of which each number would be an error, beside a short one with a stroke."""
    probability = np.full((40, 2), np.nan)
    probability[:14] = [0.9, 0.1]
    held, classes = np.array([[0.1, 0.9]]), np.array([0])
    deals = [HeldOut(np.array([5]), classes, held)]
    near = strength_from_held_out(probability[:14], chain(14), deals)
    assert strength_from_held_out(probability, chain(40), deals) == near > 0


def test_each_deal_of_strokes_counts_alike_however_many_of_them_could_be_held_out():
    probability, left, right = np.tile([0.9, 0.1], (20, 1)), np.array([2, 3, 4]), np.array([15])
    helped = HeldOut(left, np.zeros(3, int), np.tile([0.3, 0.7], (3, 1)))  # neighbours know better
    alone = HeldOut(right, np.ones(1, int), np.array([[0.01, 0.99]]))  # neighbours know worse
    apart = [strength_from_held_out(probability, chain(20), [deal]) for deal in (helped, alone)]
    assert apart[0] > apart[1] == 0
    together = strength_from_held_out(probability, chain(20), [helped, alone])
    none = HeldOut(np.array([], int), np.array([], int), np.empty((0, 2)))
    assert together == strength_from_held_out(probability, chain(20), [none, alone, helped]) == 0
