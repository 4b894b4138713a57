"""Where one more stroke would tell most."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.suggest import suggest

SIDE = 20


@pytest.fixture(scope="module")
def square(lattice):
    y, x = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return lattice(SIDE, SIDE), np.column_stack([x, y]).astype(float)


def doubt(where):
    return np.column_stack([np.where(where, 0.5, 1.0), np.where(where, 0.5, 0.0)])


def test_a_large_doubtful_region_comes_before_a_lone_spot(square):
    adjacency, xy = square
    where = (xy[:, 0] < 8) & (xy[:, 1] < 8)
    where[-1] = True
    first = suggest(doubt(where), adjacency, np.full(len(xy), -1), 1, xy)
    assert (xy[first] < 8).all()


def test_suggestions_keep_away_from_each_other_and_from_strokes(square):
    adjacency, xy = square
    labels = np.full(len(xy), -1)
    labels[(xy[:, 0] < 3) & (xy[:, 1] < 3)] = 0
    rows = suggest(doubt(np.ones(len(xy), dtype=bool)), adjacency, labels, 4, xy)
    assert len(set(rows.tolist())) == 4
    between = np.linalg.norm(xy[rows, None] - xy[rows], axis=2)[np.triu_indices(4, 1)]
    assert between.min() > 4
    assert np.linalg.norm(xy[rows], axis=1).min() > 5


def test_a_stroke_is_never_suggested_and_all_others_may_be(square):
    adjacency, xy = square
    labels = np.zeros(len(xy), dtype=int)
    labels[[3, 77, 200]] = -1
    rows = suggest(doubt(np.zeros(len(xy), dtype=bool)), adjacency, labels, 10, xy)
    assert sorted(rows.tolist()) == [3, 77, 200]


def test_shapes_and_numbers_are_checked(square):
    adjacency, xy = square
    probability, labels = doubt(np.ones(len(xy), dtype=bool)), np.full(len(xy), -1)
    with pytest.raises(ValueError, match="positive"):
        suggest(probability, adjacency, labels, 0, xy)
    with pytest.raises(ValueError, match="rows"):
        suggest(probability, adjacency, labels[:5], 1, xy)
