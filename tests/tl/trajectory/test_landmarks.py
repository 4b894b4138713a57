"""A sample that stands for all."""

from __future__ import annotations

import numpy as np
import pytest

from multist.tl.trajectory._landmarks import carry_over, choose_landmarks, landmark_graph, nearest_landmarks


def test_landmarks_keep_rare_domains():
    strata = np.repeat([0, 1, 2], [5000, 12, 300])
    rows = choose_landmarks(strata, 500, at_least=30, always=4999, random_state=0)
    counts = np.bincount(strata[rows])
    assert counts[1:].tolist() == [12, 30]
    assert 4999 in rows
    assert abs(len(rows) - 500) < 30
    np.testing.assert_array_equal(rows, choose_landmarks(strata, 500, at_least=30, always=4999, random_state=0))
    assert len(np.setdiff1d(rows, choose_landmarks(strata, 500, at_least=30, always=4999, random_state=1)))


def test_values_are_carried_over_from_the_nearest():
    rep = np.arange(101, dtype=float)[:, None]
    rows = np.arange(0, 101, 10)
    values = rows / 100
    parts = np.zeros(len(rows), dtype=int)
    carried = carry_over(values, parts, *nearest_landmarks(rep, rows, 3, random_state=0))
    np.testing.assert_allclose(carried[5:96], rep[5:96, 0] / 100, atol=0.05)
    assert (np.diff(carried) >= -1e-9).mean() > 0.85


def test_another_part_is_not_mixed_in_not_even_as_nan():
    rep = np.array([[0.0], [1.0], [2.0], [3.0], [1.4], [1.6]])
    rows, values, parts = np.arange(4), np.array([0.0, 0.2, np.nan, np.nan]), np.array([0, 0, 1, 1])
    carried = carry_over(values, parts, *nearest_landmarks(rep, rows, 4, random_state=0))
    assert 0 < carried[4] < 0.2
    assert np.isnan(carried[5])


@pytest.mark.slow
def test_of_many_landmarks_nearly_all_of_the_nearest_are_found():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 8, 9000)
    rep = (3 * rng.normal(size=(8, 20))[kind] + rng.normal(size=(9000, 20))).astype(np.float32)
    rep[:, 0] += 5 * rng.random(9000)
    rows = np.sort(rng.choice(9000, 6000, replace=False))
    near, distance = nearest_landmarks(rep, rows, 10, random_state=0)
    exact = np.linalg.norm(rep[:500, None] - rep[rows], axis=2)
    best = np.argsort(exact, axis=1)[:, :10]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(best, near[:500], strict=True)]) > 0.75
    np.testing.assert_allclose(distance[:500], np.take_along_axis(exact, near[:500], axis=1), atol=2e-3)
    assert (np.diff(distance) >= 0).all()
    values, parts = rep[rows, 0].astype(float), np.zeros(len(rows), int)
    found = carry_over(values, parts, near[:500], distance[:500])
    expected = carry_over(values, parts, best, np.take_along_axis(exact, best, axis=1))
    assert np.corrcoef(np.argsort(np.argsort(found)), np.argsort(np.argsort(expected)))[0, 1] > 0.98


@pytest.mark.slow
def test_cells_that_are_all_alike_find_enough_landmarks():
    rep = np.zeros((6000, 3), np.float32)
    rep[::1000] += np.arange(6, dtype=np.float32)[:, None]
    near, distance = nearest_landmarks(rep, np.arange(5500), 15, random_state=0)
    assert near.shape == distance.shape == (6000, 15)
    assert all(len(set(row)) == 15 for row in near[::500])


def test_neighbours_in_space_stay_in_their_section():
    xy = np.random.default_rng(0).random((60, 2))
    section = np.arange(60) % 2
    graph = landmark_graph(xy, section).tocoo()
    assert graph.nnz > 300
    assert (section[graph.row] == section[graph.col]).all()
