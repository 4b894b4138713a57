"""The lines between domains, and where the tissue ends."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from multist.tl.borders._domain_outlines import outline

PITCH = 40.0


def hexagons(side: int = 20) -> np.ndarray:
    row, column = np.mgrid[:side, :side].reshape(2, -1).astype(float)
    return PITCH * np.column_stack([column + row % 2 / 2, row * np.sqrt(3) / 2])


def squares(side: int = 20) -> np.ndarray:
    return PITCH * np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)


def turned(xy: np.ndarray, angle: float = 0.4) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return xy @ np.array([[c, s], [-s, c]]) + [1e4, -3e3]


def cells(n: int = 400) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 800, (n, 2))


def rings(xy: np.ndarray) -> np.ndarray:
    """A core, a ring without a domain, a ring around it, and scattered spots of another domain outside."""
    place = xy - xy.mean(axis=0)
    far = np.hypot(*place.T) / (np.ptp(xy[:, 0]) / 2)
    return np.select([far < 0.2, far < 0.4, far < 0.7], [0, -1, 1], np.arange(len(xy)) % 3 % 2 + 1)


unknown = lambda xy: np.full(len(xy), np.nan)

TISSUES = {
    "hexagons": hexagons(),
    "squares": squares(),
    "turned hexagons": turned(hexagons()),
    "turned squares": turned(squares()),
    "cells": cells(),
    "lattice with gaps": hexagons()[np.random.default_rng(0).random(400) > 0.3],
}


@pytest.mark.parametrize("name", TISSUES)
@pytest.mark.parametrize("arrange", [rings, lambda xy: np.random.default_rng(1).integers(-1, 3, len(xy))])
def test_every_spot_lies_in_the_outline_of_its_domain_alone(name: str, arrange):
    xy = TISSUES[name]
    codes = arrange(xy)
    outlines, _ = outline(xy, codes, unknown(xy))
    assert sorted(outlines) == sorted(set(codes.tolist()) - {-1})
    spots = shapely.points(xy)
    for code, shape in outlines.items():
        assert shape.is_valid
        np.testing.assert_array_equal(shapely.contains(shape, spots), codes == code)
    shapes = list(outlines.values())
    overlap = sum(shapely.area(shapely.intersection(a, b)) for i, a in enumerate(shapes) for b in shapes[:i])
    assert overlap < 1e-6 * PITCH**2


@pytest.mark.parametrize(
    ("xy", "each"),
    [
        (hexagons(), PITCH**2 * np.sqrt(3) / 2),
        (turned(hexagons()), PITCH**2 * np.sqrt(3) / 2),
        (squares(), PITCH**2),
        (turned(squares()), PITCH**2),
    ],
)
def test_on_a_lattice_areas_are_those_of_the_bins_also_at_the_rim(xy: np.ndarray, each: float):
    codes = rings(xy)
    for code, shape in outline(xy, codes, unknown(xy))[0].items():
        assert shape.area == pytest.approx(each * (codes == code).sum(), rel=1e-5)


def test_holes_and_islands_are_kept():
    xy = squares()
    codes = np.zeros(len(xy), dtype=int)
    place = (xy / PITCH).astype(int)
    codes[(abs(place - 10) < 4).all(axis=1)] = 1
    codes[(abs(place - 10) < 2).all(axis=1)] = -1
    codes[(place == 10).all(axis=1)] = 1
    outlines, touching = outline(xy, codes, unknown(xy))
    assert outlines[0].geom_type == "Polygon" and len(outlines[0].interiors) == 1
    assert outlines[1].geom_type == "MultiPolygon"
    assert sorted(len(part.interiors) for part in outlines[1].geoms) == [0, 1]
    assert touching == {(0, 1)}


def test_the_glass_inside_the_tissue_is_a_hole():
    xy = hexagons()
    missing = np.hypot(*(xy - xy.mean(axis=0)).T) < 3 * PITCH
    outlines, _ = outline(xy[~missing], np.zeros((~missing).sum(), dtype=int), unknown(xy[~missing]))
    (hole,) = outlines[0].interiors
    assert shapely.Polygon(hole).area == pytest.approx(missing.sum() * PITCH**2 * np.sqrt(3) / 2, rel=1e-5)


def test_domains_that_meet_in_a_corner_do_not_touch():
    xy = squares(10)
    codes = (xy[:, 0] >= 5 * PITCH) * 1 + (xy[:, 1] >= 5 * PITCH) * 2
    assert outline(xy, codes, unknown(xy))[1] == {(0, 1), (0, 2), (1, 3), (2, 3)}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_few_spots_have_an_outline(n: int):
    xy = np.random.default_rng(n).uniform(0, 100, (n, 2))
    outlines, _ = outline(xy, np.arange(n), np.full(n, 10.0))
    assert all(shapely.contains_xy(outlines[i], *xy[i]) for i in range(n))
    if n == 1:
        assert outlines[0].area == pytest.approx(np.pi * 25, rel=0.05)


def test_spots_in_a_row_have_an_outline():
    xy = np.column_stack([np.arange(20) * 10.0, np.zeros(20)])
    outlines, touching = outline(xy, np.arange(20) // 10, unknown(xy))
    assert [outlines[code].area for code in (0, 1)] == pytest.approx([1000, 1000])
    assert touching == {(0, 1)}


def test_a_single_spot_of_unknown_size_has_none():
    with pytest.raises(ValueError, match="single spot of unknown size"):
        outline(np.zeros((1, 2)), np.zeros(1, dtype=int), np.array([np.nan]))


def test_spots_on_one_place_are_one_and_a_warning_says_if_they_differ(caplog):
    xy = squares(6)
    codes = np.zeros(36, dtype=int)
    outline(np.concatenate([xy, xy[:3]]), np.append(codes, [0, 0, 0]), unknown(np.empty(39)))
    assert not caplog.text
    outlines, _ = outline(np.concatenate([xy, xy[:3]]), np.append(codes, [0, 1, 1]), unknown(np.empty(39)))
    assert "2 spots lie exactly on a spot of another domain" in caplog.text
    assert list(outlines) == [0]
