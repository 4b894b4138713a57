"""Different points are counted as far as it matters."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.distinct import count_distinct, telling_sample


@pytest.mark.parametrize("n_different", [1, 3, 9])
def test_fewer_than_enough_are_counted_exactly_wherever_they_are(n_different):
    points = np.zeros((20_000, 2))
    points[-n_different:, 0] = np.arange(n_different)  # no strided look finds all of these
    assert count_distinct(points, 10) == n_different


def test_enough_is_enough():
    points = np.random.default_rng(0).normal(size=(20_000, 2))
    assert 10 <= count_distinct(points, 10) < 20_000
    assert count_distinct(points[:50], 50) == 50


def test_a_few_rows_are_looked_at_and_ten_times_as_many_where_those_are_alike():
    """A thousand rows of 5,000 are every fifth one."""
    points = np.zeros((5000, 1))
    points[1::5, 0] = np.arange(1000)  # none of those that are looked at first
    assert count_distinct(points, 3) == 1000
    points[::5, 0] = np.arange(1000) % 7
    assert count_distinct(points, 7) == 7  # enough, of what was looked at
    assert count_distinct(points, 8) == 1000
    # of more that are wanted more are looked at: 2,000 for 200
    points = np.zeros((4000, 1))
    points[::2, 0] = np.arange(2000) // 9
    assert count_distinct(points, 200) == 223


def test_a_sample_of_too_few_different_points_gives_way_to_others():
    points, sample = np.repeat(np.eye(4), [50, 48, 1, 1], axis=0), np.arange(0, 100, 20)
    rng = np.random.default_rng(0)
    assert telling_sample(points, sample, 2, rng) is sample
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn
    assert sorted(telling_sample(points, sample, 4, rng).tolist()) == [0, 50, 98, 99]
    assert len(telling_sample(points, sample[:3], 4, rng)) == 3
