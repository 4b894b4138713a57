"""Lines between spots of different domains: what is drawn, measured and enclosed by outlines is one."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from multist import _facets
from multist._facets import border_facets
from multist.tl.borders._contacts import border_lengths
from multist.tl.borders._domain_outlines import outline


def hexagons(side: int, pitch: float = 1.0) -> np.ndarray:
    row, column = np.mgrid[:side, :side].reshape(2, -1).astype(float)
    return pitch * np.column_stack([column + row % 2 / 2, row * np.sqrt(3) / 2])


def cells(n: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, n**0.5, (n, 2))


def halves(xy: np.ndarray) -> np.ndarray:
    return (xy[:, 0] > np.median(xy[:, 0])).astype(np.int64)


TISSUES = {
    "hexagons": hexagons(20),
    "squares": np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2),
    "cells": cells(400),
    "half empty": hexagons(30)[np.random.default_rng(0).random(900) > 0.45],
    "far from zero": hexagons(20, 0.5) + 1e5,
}


@pytest.mark.parametrize("name", TISSUES)
def test_the_border_that_is_drawn_is_measured_and_is_that_of_the_outlines(name: str):
    xy = TISSUES[name]
    codes = halves(xy)
    drawn = border_facets(xy, codes)
    shapes, touching = outline(xy, codes, np.full(len(xy), np.nan))
    shared = shapely.intersection(*(shapely.set_precision(shapes[code], 1e-9) for code in (0, 1))).length
    assert touching == {(0, 1)}
    assert drawn.lengths().sum() == pytest.approx(shared, rel=1e-3)
    measured = border_lengths(xy, np.zeros(len(xy), int), codes)
    assert measured[0, 1] == pytest.approx(np.pi / 4 * drawn.lengths().sum())


def test_a_facet_at_the_rim_ends_with_the_tissue():
    xy = np.stack(np.meshgrid(np.arange(6.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    ends = border_facets(xy, halves(xy)).ends
    assert (ends[..., 1].min(), ends[..., 1].max()) == pytest.approx((-0.5, 4.5))
    assert set(np.round(ends[..., 0].ravel(), 6)) == {2.5}


@pytest.mark.slow
def test_random_cells_leave_no_bias_in_the_length_of_a_line():
    found = []
    for seed in range(4):
        xy = np.random.default_rng(seed).uniform(0, 40, (1600, 2))
        found.append(border_lengths(xy, np.zeros(1600, int), (xy[:, 1] > 20).astype(int))[0, 1])
    assert np.mean(found) == pytest.approx(40, rel=0.03)


def test_across_a_tear_there_is_no_border():
    xy = hexagons(12)
    codes = halves(xy)
    torn = xy + np.outer(codes, [3.0, 0.0])
    assert len(border_facets(xy, codes).ends) > 10
    assert len(border_facets(torn, codes).ends) == 0


@pytest.mark.slow
@pytest.mark.parametrize("xy", [hexagons(90), cells(8000)], ids=["hexagons", "cells"])
def test_of_many_spots_those_near_borders_are_enough(xy: np.ndarray, monkeypatch):
    middle = xy - xy.mean(axis=0)
    # two stripes that run out of the tissue, and a disc
    codes = np.digitize(middle[:, 0], [-25, 10])
    codes[np.hypot(middle[:, 0] - 25, middle[:, 1]) < 8] = 3
    codes[np.hypot(*(middle + 25).T) < 4] = -1
    every = border_facets(xy, codes)
    monkeypatch.setattr(_facets, "_MAX_LOOKED_AT", 100)
    near = border_facets(xy, codes)
    assert len(near.points) < len(every.points)
    for one, two in ((0, 1), (1, 2), (2, 3), (0, 2), (0, 3), (1, 3)):
        length = [
            found.lengths()[(np.sort(found.codes, axis=1) == [one, two]).all(axis=1)].sum() for found in (near, every)
        ]
        assert length[0] == pytest.approx(length[1], abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_spots(n: int):
    found = border_facets(np.arange(2.0 * n).reshape(n, 2), np.arange(n))
    assert len(found.ends) == n - 1


def test_spots_without_a_domain_and_on_one_place_have_no_line_around_them():
    xy = hexagons(8)
    codes = halves(xy)
    codes[codes == 1] = -1
    assert len(border_facets(xy, codes).ends) == 0
    assert len(border_facets(np.ones((9, 2)), np.arange(9)).ends) == 0
