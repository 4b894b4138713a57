"""Strokes that are held out together lie together, and as far from the others as unnamed tissue does."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.stroke_folds import N_FOLDS, deal_folds, stroke_folds


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("pieces", [2, 3])
def test_pieces_are_halves_of_the_largest_along_its_longest_axis(pieces):
    x = np.random.default_rng(3).permutation(12)
    fold = deal_folds(np.column_stack([x, 0.1 * (x % 2)]).astype(float), np.zeros(12, int), pieces, rng())
    cuts = (np.flatnonzero(np.diff(fold[np.argsort(x)])) + 1).tolist()
    assert cuts in ([[6]] if pieces == 2 else [[3, 6], [6, 9]])


@pytest.mark.parametrize("pieces", [12, 10**9])
def test_as_many_pieces_as_spots_are_dealt_out_evenly(pieces):
    fold = deal_folds(np.zeros((12, 2)), np.zeros(12, int), pieces, rng())
    assert sorted(np.bincount(fold, minlength=N_FOLDS)) == [2, 2, 2, 3, 3]


def test_the_only_spot_of_a_class_is_in_no_fold_and_two_are_held_out_one_by_one():
    fold = deal_folds(np.arange(3.0)[:, None], np.array([0, 1, 1]), 5, rng())
    assert fold[0] == -1 and fold[1] != fold[2] and (fold[1:] >= 0).all() and fold.max() < N_FOLDS


def test_each_class_is_cut_by_itself():
    place = np.column_stack([np.arange(20.0), np.zeros(20)])
    fold = deal_folds(place, np.arange(20) % 2, 2, rng())
    for name in (0, 1):
        own = fold[name::2]
        assert len(set(own[:5])) == len(set(own[5:])) == 1 and own[0] != own[-1]


def test_the_folds_are_those_whose_distances_are_most_like_those_of_unnamed_tissue():
    """Of nine strokes in a row, ten apart, singly held out ones are closest to others, and halves are farthest."""
    strokes = np.arange(9)
    xy = np.column_stack([10.0 * strokes, np.zeros(9)])
    beside = np.concatenate([xy, xy + [0, 1.0]])
    fold, farther = stroke_folds(beside, strokes, np.zeros(9, int), rng())
    assert sorted(np.bincount(fold)) == [1, 2, 2, 2, 2]
    assert farther == 1  # never less
    # all the tissue lies forty away: so do the ends of halves, and nothing else
    far = np.concatenate([xy, xy + [0, 40.0]])
    fold, farther = stroke_folds(far, strokes, np.zeros(9, int), rng())
    assert (np.diff(fold) != 0).sum() == 1
    # four and five strokes, held out, are 10, 20, 30, 40 and 10, ..., 50 from the nearest of the other half
    assert farther == pytest.approx(40 / ((100 + 150) / 9))


def test_where_nothing_can_be_held_out_no_fold_is_given():
    fold, farther = stroke_folds(np.arange(6.0)[:, None], np.array([1, 4]), np.array([0, 1]), rng())
    assert fold.tolist() == [-1, -1] and farther == 1


def test_where_everything_has_a_stroke_the_strokes_are_the_tissue():
    fold, farther = stroke_folds(np.arange(6.0)[:, None], np.arange(6), np.repeat([0, 1], 3), rng())
    assert (fold >= 0).all() and farther == 1
