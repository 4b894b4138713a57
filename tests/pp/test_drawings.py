"""Which spots a drawing names, among cells that lie on no lattice."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from scipy.spatial import cKDTree
from shapely import MultiPoint, Point, Polygon, box

from multist.pp._drawings import name_spots


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1000, (2000, 2))


def drawings(geometry, name) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": name}, geometry=geometry)


def unknown(xy: np.ndarray) -> np.ndarray:
    return np.full(len(xy), np.nan)


@pytest.mark.slow
def test_points_within_the_tissue_name_the_nearest_cell(cells: np.ndarray):
    clicks = np.random.default_rng(1).uniform(20, 980, (500, 2))
    nearest = cKDTree(cells).query(clicks)[1]
    named = [
        name_spots(cells, unknown(cells), drawings([Point(0, 0).buffer(1e4), Point(at)], ["all", "a"]))
        for at in clicks[:5]
    ]
    assert [np.flatnonzero(names == "a").tolist() for names in named] == [[spot] for spot in nearest[:5]]
    names = name_spots(cells, unknown(cells), drawings([MultiPoint(clicks)], ["a"]))
    hit = np.isin(np.unique(nearest), np.flatnonzero(names == "a"))
    assert hit.mean() > 0.98
    assert set(np.flatnonzero(names == "a")) <= set(nearest)


def test_a_point_on_a_spot_as_large_as_it_is_names_it():
    xy = np.array([[0.0, 0.0], [10.0, 0.0]])
    point = drawings([Point(0, 45)], ["a"])
    assert name_spots(xy, np.full(2, 100.0), point).tolist() == ["a", None]
    with pytest.raises(ValueError, match="none of 1 drawing is on a spot"):
        name_spots(xy, unknown(xy), point)


def test_one_spot_is_the_nearest_to_any_point():
    assert name_spots(np.zeros((1, 2)), np.array([np.nan]), drawings([Point(5, 5)], ["a"])).tolist() == ["a"]


def test_of_two_equally_near_spots_the_first_is_named():
    xy = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]])
    assert name_spots(xy, unknown(xy), drawings([Point(15, 0)], ["a"])).tolist() == [None, "a", None]
    lattice = np.stack(np.meshgrid(np.arange(10.0), np.arange(10.0)), axis=-1).reshape(-1, 2)
    for first in (0, 25, 47, 88):  # clicks in the middle of four spots
        click = drawings([Point(lattice[first] + 0.5)], ["a"])
        assert np.flatnonzero(name_spots(lattice, unknown(lattice), click) == "a").tolist() == [first]


def test_a_point_counts_more_than_the_area_around_it(cells: np.ndarray, caplog):
    middle = int(cKDTree(cells).query([500, 500])[1])
    names = name_spots(
        cells, unknown(cells), drawings([box(400, 400, 600, 600), Point(cells[middle])], ["area", "point"])
    )
    inside = (abs(cells - 500) < 100).all(axis=1)
    assert names[middle] == "point"
    assert (names[inside & (np.arange(len(cells)) != middle)] == "area").all()
    assert all(name is None for name in names[~inside])
    assert "1 spot lies in drawings with different names" in caplog.text


def test_a_large_outline_of_many_corners_is_what_a_plain_rule_says(cells: np.ndarray):
    angle = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    wave = 300 * (1 + 0.3 * np.sin(9 * angle))
    star = Polygon(np.column_stack([500 + wave * np.cos(angle), 500 + wave * np.sin(angle)]))
    place = cells - 500
    turn = np.arctan2(place[:, 1], place[:, 0])
    expected = np.hypot(*place.T) < 300 * (1 + 0.3 * np.sin(9 * turn))
    names = name_spots(cells, unknown(cells), drawings([star], ["a"]))
    np.testing.assert_array_equal(names == "a", expected)
