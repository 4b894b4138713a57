"""Averages of averages, and who is two steps away."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.features import neighbourhood
from multist.model.features.neighbourhood import as_floats, second_ring, smooth

CHAIN = sp.csr_matrix(np.array([[0, 2, 0, 0], [2, 0, 0.5, 0], [0, 0.5, 0, 0], [0, 0, 0, 0]]))
"""Three spots in a row, whose edges weigh differently, and one by itself."""


def test_smooth_averages_as_often_as_it_is_told():
    x = np.array([[1.0], [2.0], [6.0], [8.0]])
    np.testing.assert_allclose(smooth(x, CHAIN, 2).ravel(), [2.25, 8.5 / 3, 3.5, 8], rtol=1e-6)
    np.testing.assert_array_equal(smooth(x, CHAIN, 0), x)


def test_stored_zeros_lead_nowhere():
    given = CHAIN.copy()
    given.data[:] = [0.0, 0.0, 0.5, 0.5]
    assert second_ring(given, np.array([0])).nnz == 0


@pytest.mark.parametrize("kind", ["chain", "random", "none"])
def test_the_second_ring_is_what_two_steps_reach_and_one_does_not(kind):
    n = 40
    adjacency = {
        "chain": sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr"),
        "random": sp.random(n, n, 0.05, random_state=np.random.default_rng(0), format="csr"),
        "none": sp.csr_matrix((n, n)),
    }[kind]
    near = (adjacency.toarray() != 0).astype(int)
    expected = (near @ near > 0) & (near == 0) & ~np.eye(n, dtype=bool)
    rows = np.array([0, 7, 8, 39])
    np.testing.assert_array_equal(second_ring(adjacency, rows).toarray(), expected[rows])


def test_many_spots_are_held_in_half_the_memory(monkeypatch):
    monkeypatch.setattr(neighbourhood, "ENOUGH", 10)
    assert as_floats(np.zeros((10, 2), np.float32)).dtype == np.float64
    assert as_floats(np.zeros((11, 2))).dtype == np.float32
