"""Lines between domains run between their spots, and end between the last two."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from multist._facets import border_facets
from multist.pl._outlines import rounded


def hexagons(rows: int = 10, columns: int = 12) -> np.ndarray:
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2])


def bins(side: int = 8) -> np.ndarray:
    return np.column_stack(np.divmod(np.arange(side**2), side)[::-1]).astype(float)


def cells(seed: int) -> np.ndarray:
    return bins(21) + np.random.default_rng(seed).uniform(-0.45, 0.45, (441, 2))


def pieces(xy: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return rounded(border_facets(xy, codes.astype(int)).ends)


def loose(lines: np.ndarray) -> np.ndarray:
    """Ends at which no other piece begins."""
    places, count = np.unique(lines.reshape(-1, 2).round(6), axis=0, return_counts=True)
    return places[count == 1]


@pytest.mark.parametrize("below", [2, 3])
def test_between_two_rows_of_spots_the_line_is_straight(below: int):
    xy = hexagons()
    line = pieces(xy, xy[:, 1] < (below - 0.5) * np.sqrt(3) / 2)
    assert np.allclose(line[..., 1], (below - 0.5) * np.sqrt(3) / 2)
    assert line[..., 0].min() >= xy[:, 0].min() and line[..., 0].max() <= xy[:, 0].max()


@pytest.mark.parametrize("n_below", [1, 3, 4])
def test_a_line_that_turns_at_the_edge_ends_between_the_last_two_spots(n_below: int):
    xy = hexagons()
    codes = xy[:, 1] < 3
    codes[np.flatnonzero(~codes)[:n_below]] = True  # the next row begins with some spots of the domain below
    ends = loose(pieces(xy, codes))
    assert len(ends) == 2
    apart = np.sort(np.linalg.norm(ends[:, None] - xy, axis=2), axis=1)[:, :2]
    assert np.allclose(apart, 0.5)


def test_bins_keep_their_corners_and_lines_reach_the_edge():
    xy = bins()
    facets = border_facets(xy, (xy[:, 0] + xy[:, 1] > 6).astype(int))
    line = shapely.union_all(shapely.linestrings(rounded(facets.ends)))
    assert line.equals(shapely.union_all(shapely.linestrings(facets.ends)))


@pytest.mark.parametrize("angle", [0.1, 0.7])
def test_bins_of_a_turned_slide_keep_theirs(angle: float):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    xy = bins()
    facets = border_facets(1000 * xy @ turn, (xy[:, 0] + xy[:, 1] > 6).astype(int))
    drawn = rounded(facets.ends)
    assert np.linalg.norm(drawn[:, 0] - drawn[:, 1], axis=1).sum() == pytest.approx(facets.lengths().sum())


@pytest.mark.parametrize("seed", range(2))
def test_a_line_around_cells_has_just_these_inside(seed: int):
    xy = cells(seed)
    codes = np.linalg.norm(xy - 10, axis=1) < 6
    faces = shapely.get_parts(shapely.polygonize(shapely.linestrings(pieces(xy, codes))))
    assert len(faces)
    inside = shapely.contains(shapely.union_all(faces), shapely.points(xy))
    assert (inside == codes).all()


def test_no_line_touches_a_spot():
    xy = hexagons()
    codes = np.random.default_rng(0).integers(0, 3, len(xy))
    distance = shapely.distance(shapely.points(xy)[:, None], shapely.linestrings(pieces(xy, codes)))
    assert distance.min() > 0.4  # spots of Visium have a radius of 0.275


def test_two_spots_have_a_line_and_one_domain_has_none():
    two = np.array([[0.0, 0.0], [1.0, 0.0]])
    (line,) = shapely.get_parts(shapely.line_merge(shapely.multilinestrings([*pieces(two, np.array([0, 1]))])))
    assert line.length > 0.5 and line.distance(shapely.Point(0.5, 0)) == pytest.approx(0)
    assert not len(pieces(hexagons(), np.zeros(120)))
