"""Averages over neighbours by hand."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from multist._neighbourhood import neighbourhood_mean

CHAIN = sp.csr_matrix(np.array([[0, 2, 0, 0], [2, 0, 0.5, 0], [0, 0.5, 0, 0], [0, 0, 0, 0]]))
"""Three spots in a row, whose edges weigh differently, and one by itself."""


def test_means_by_hand():
    x = np.array([[1.0], [2.0], [6.0], [8.0]])
    np.testing.assert_allclose((neighbourhood_mean(CHAIN, with_self=False) @ x).ravel(), [2, 3.5, 2, 8])
    np.testing.assert_allclose((neighbourhood_mean(CHAIN, with_self=True) @ x).ravel(), [1.5, 3, 4, 8])


def test_the_graph_is_left_as_it_was_and_stored_zeros_are_no_edges():
    given = CHAIN.copy()
    given.data[:] = [0.0, 0.0, 0.5, 0.5]
    before = given.copy()
    found = neighbourhood_mean(given, with_self=False) @ np.array([1.0, 2.0, 6.0, 8.0])
    np.testing.assert_allclose(found, [1, 6, 2, 8])
    np.testing.assert_array_equal(given.data, before.data)
