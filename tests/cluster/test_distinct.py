"""Different points are counted as far as it matters."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.distinct import count_distinct


@pytest.mark.parametrize("n_different", [1, 3, 9])
def test_fewer_than_enough_are_counted_exactly_wherever_they_are(n_different):
    points = np.zeros((20_000, 2))
    points[-n_different:, 0] = np.arange(n_different)  # no strided look finds all of these
    assert count_distinct(points, 10) == n_different


def test_enough_is_enough():
    points = np.random.default_rng(0).normal(size=(20_000, 2))
    assert 10 <= count_distinct(points, 10) < 20_000
    assert count_distinct(points[:50], 50) == 50
