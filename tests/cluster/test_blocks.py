"""Work in blocks and on samples gives what all at once gives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster import count, refine
from multist.cluster.refine import leading_axes, majority_vote


@pytest.mark.parametrize("block", [10, 2**16])
def test_the_vote_by_hand(lattice, monkeypatch, block):
    """Two steps, the spot itself not counted, more than half; a spot without neighbours stays."""
    monkeypatch.setattr(refine, "_SPOTS_AT_ONCE", block)
    labels, near = np.random.default_rng(1).choice(3, size=49, p=[0.5, 0.3, 0.2]), lattice(7, 7).toarray() != 0
    near[30] = near[:, 30] = False
    within = near | (near.astype(int) @ near.astype(int) > 0)
    np.fill_diagonal(within, False)
    votes, half = within @ np.eye(3)[labels], within.sum(axis=1) / 2
    expected = np.where(votes.max(axis=1) > half, votes.argmax(axis=1), labels)
    assert (expected != labels).any() and ((votes.max(axis=1) == half) & (half > 0)).any()
    np.testing.assert_array_equal(majority_vote(labels, sp.csr_matrix(near)), expected)


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
