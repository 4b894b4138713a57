"""Work in blocks and on samples gives what all at once gives."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster import count, refine
from multist.cluster.refine import leading_axes, majority_vote


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 37, 399, 400, 401])
def test_the_vote_of_the_surroundings(lattice, monkeypatch, block):
    labels, near = np.random.default_rng(0).integers(3, size=400), lattice(20, 20)
    labels[:200] = 0
    whole = majority_vote(labels, near)
    assert (whole != labels).any()
    monkeypatch.setattr(refine, "_SPOTS_AT_ONCE", block)
    np.testing.assert_array_equal(majority_vote(labels, near), whole)


def test_the_vote_by_hand(lattice):
    """Two steps, the spot itself not counted, more than half."""
    labels, near = np.random.default_rng(1).integers(2, size=49), lattice(7, 7).toarray() != 0
    within = near | (near.astype(int) @ near.astype(int) > 0)
    np.fill_diagonal(within, False)
    ones = within @ labels
    expected = np.where(2 * ones > within.sum(axis=1), 1, np.where(2 * ones < within.sum(axis=1), 0, labels))
    np.testing.assert_array_equal(majority_vote(labels, lattice(7, 7)), expected)


def test_the_size_of_a_patch_from_some_spots(lattice, monkeypatch):
    near = lattice(40, 40)
    noise = np.random.default_rng(0).normal(size=(1600, 3))
    for _ in range(3):
        noise = (near @ noise + noise) / 9
    whole = count._patch_size(noise, near)
    assert whole > 5
    monkeypatch.setattr(count, "_MAX_CORRELATED", 400)
    assert count._patch_size(noise, near) == pytest.approx(whole, rel=0.15)


def test_axes_of_many_points_are_those_of_few(monkeypatch):
    points = np.random.default_rng(0).normal(size=(300, 4)) * [1, 5, 2, 3]
    points -= points.mean(axis=0)
    exact = leading_axes(points)
    monkeypatch.setattr(refine, "_SPOTS_AT_ONCE", 100)
    np.testing.assert_allclose(np.abs(leading_axes(points)), np.abs(exact), atol=1e-8)
