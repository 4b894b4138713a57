"""Drawings of a SpatialData become names of spots."""

from __future__ import annotations

from typing import Any

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import MultiPolygon, Point, Polygon, affinity, box
from spatialdata import SpatialData
from spatialdata.models import PointsModel, ShapesModel, TableModel
from spatialdata.transformations import Affine, Identity

import multist as mt

SIDE, PITCH = 10, 10.0
XY = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2) * PITCH
TURN = Affine([[0, -2, 5], [2, 0, 7], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))


def spots_of(xy: np.ndarray, **transformations: Any) -> gpd.GeoDataFrame:
    frame = gpd.GeoDataFrame({"radius": np.full(len(xy), 3.0)}, geometry=gpd.points_from_xy(*xy.T))
    return ShapesModel.parse(frame, transformations=transformations or {"global": Identity()})


def table_of(**regions: int) -> ad.AnnData:
    region = np.repeat(list(regions), list(regions.values()))
    instance = np.concatenate([np.random.default_rng(0).permutation(n) for n in regions.values()])
    obs = pd.DataFrame(
        {"region": pd.Categorical(region), "spot": instance}, index=[f"r{i}" for i in range(len(region))]
    )
    table = ad.AnnData(np.ones((len(obs), 2), dtype=np.float32), obs=obs)
    return TableModel.parse(table, region=list(regions), region_key="region", instance_key="spot")


def drawn(geometry: list[Any], **columns: Any) -> gpd.GeoDataFrame:
    return ShapesModel.parse(gpd.GeoDataFrame(columns, geometry=geometry), transformations={"global": Identity()})


def section(drawings: Any) -> SpatialData:
    shapes = {"spots": spots_of(XY)}
    points = {}
    (shapes if isinstance(drawings, gpd.GeoDataFrame) else points)["drawn"] = drawings
    return SpatialData(shapes=shapes, points=points, tables={"table": table_of(spots=len(XY))})


def named(sdata: SpatialData, key: str = "annotation") -> dict[str, set[tuple[float, float]]]:
    """The places of the spots of each name, in units of the pitch."""
    obs = sdata.tables["table"].obs
    return {name: {tuple(XY[i] / PITCH) for i in obs["spot"][obs[key] == name]} for name in obs[key].cat.categories}


def grid(x0: int, x1: int, y0: int, y1: int) -> set[tuple[float, float]]:
    return {(float(x), float(y)) for x in range(x0, x1) for y in range(y0, y1)}


def test_holes_and_islands_are_kept_and_nothing_else_is_named():
    ring = Polygon(box(-5, -5, 55, 55).exterior, [box(5, 5, 45, 45).exterior])
    islands = MultiPolygon([box(15, 15, 25, 25), box(65, 65, 95, 95)])
    sdata = section(drawn([ring, islands], kind=["rim", "core"]))
    assert mt.pp.labels_from_shapes(sdata, "drawn") is None
    assert named(sdata) == {"rim": grid(0, 6, 0, 6) - grid(1, 5, 1, 5), "core": {(2, 2)} | grid(7, 10, 7, 10)}
    assert sdata.tables["table"].obs["annotation"].isna().sum() == 100 - 20 - 10


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_centre_on_an_outline_outer_or_of_a_hole_is_not_inside(scale: float):
    holed = Polygon(box(0, 0, 80, 80).exterior, [box(30, 30, 50, 50).exterior])
    sdata = section(drawn([affinity.scale(holed, scale, scale, origin=(0, 0))]))
    mt.pp.labels_from_shapes(sdata, "drawn", key_added="inside")
    end = int(8 * scale)
    hole = grid(3, 6, 3, 6) if scale == 1 else {(2.0, 2.0)}
    assert named(sdata, "inside") == {"drawn": grid(1, end, 1, end) - hole}


def test_the_smaller_of_two_drawings_counts_and_a_warning_says_so(caplog):
    big, small = box(-5, -5, 95, 95), box(15, 15, 45, 45)
    for order in ([0, 1], [1, 0]):
        caplog.clear()
        sdata = section(drawn([[big, small][i] for i in order], label=[["tissue", "tumour"][i] for i in order]))
        mt.pp.labels_from_shapes(sdata, "drawn")
        assert named(sdata)["tumour"] == grid(2, 5, 2, 5)
        assert len(named(sdata)["tissue"]) == 91
        assert "9 spots lie in drawings with different names" in caplog.text


def test_of_equal_drawings_the_first_counts_and_equal_names_are_no_conflict(caplog):
    sdata = section(drawn([box(-5, -5, 25, 25), box(15, -5, 45, 25), box(15, -5, 45, 25)], label=["a", "b", "b"]))
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert named(sdata) == {"a": grid(0, 3, 0, 3), "b": grid(3, 5, 0, 3)}
    assert "3 spots" in caplog.text


@pytest.mark.slow
def test_points_name_the_nearest_spot_and_those_beside_the_tissue_none(caplog):
    frame = pd.DataFrame({"x": [1.0, 53.0, 300.0], "y": [2.0, 44.0, 300.0], "class": pd.Categorical(["a", "b", "a"])})
    points = PointsModel.parse(frame, coordinates={"x": "x", "y": "y"}, transformations={"global": Identity()})
    sdata = section(points)
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert named(sdata) == {"a": {(0, 0)}, "b": {(5, 4)}}
    assert "1 of 3 drawings are on no spot" in caplog.text


def test_a_circle_is_its_area_and_one_that_holds_no_centre_a_point():
    sdata = section(drawn([Point(40, 40), Point(84, 84)], radius=[10.5, 2.0], label=["disc", "dot"]))
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert named(sdata) == {"disc": {(4, 4), (3, 4), (5, 4), (4, 3), (4, 5)}, "dot": {(8, 8)}}


def test_drawings_in_another_coordinate_system_than_the_spots_own_are_transformed():
    area = affinity.affine_transform(box(15, 25, 45, 65), [0, -2, 2, 0, 5, 7])
    sdata = SpatialData(
        shapes={
            "spots": spots_of(XY, aligned=TURN),
            "drawn": ShapesModel.parse(gpd.GeoDataFrame(geometry=[area]), transformations={"aligned": Identity()}),
        },
        tables={"table": table_of(spots=len(XY))},
    )
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert named(sdata) == {"drawn": grid(2, 5, 3, 7)}


def test_outlines_that_cross_themselves_enclose_both_loops():
    bow_tie = Polygon([(-5, -5), (45, 45), (45, -5), (-5, 45)])
    sdata = section(drawn([bow_tie, box(75, 75, 95, 95)], label=["tie", "box"]))
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert {(0, 1), (0, 2), (4, 1), (4, 3)} < named(sdata)["tie"]
    assert (2, 0) not in named(sdata)["tie"]
    assert named(sdata)["box"] == grid(8, 10, 8, 10)


def test_systems_that_are_not_shared_are_listed_on_both_sides():
    sdata = section(drawn([box(0, 0, 50, 50)]))
    sdata.shapes["spots"] = spots_of(XY, section1=Identity())
    with pytest.raises(ValueError, match=r"'drawn' has 'global'.*spots have \{'spots': \['section1'\]\}"):
        mt.pp.labels_from_shapes(sdata, "drawn")
    assert "annotation" not in sdata.tables["table"].obs


def test_a_system_that_one_side_lacks_is_refused():
    sdata = section(drawn([box(0, 0, 50, 50)]))
    with pytest.raises(ValueError, match="share not coordinate system 'micron'"):
        mt.pp.labels_from_shapes(sdata, "drawn", coordinate_system="micron")


def test_drawings_beside_the_spots_are_refused_with_both_places():
    sdata = section(drawn([box(5000, 6000, 7000, 8000)]))
    with pytest.raises(ValueError, match=r"x from 5000 to 7000, y from 6000 to 8000, spots at x from 0 to 90"):
        mt.pp.labels_from_shapes(sdata, "drawn")
    assert "annotation" not in sdata.tables["table"].obs


def test_an_empty_element_is_refused():
    empty = PointsModel.parse(
        pd.DataFrame({"x": np.empty(0), "y": np.empty(0)}),
        coordinates={"x": "x", "y": "y"},
    )
    with pytest.raises(ValueError, match="'drawn' is empty"):
        mt.pp.labels_from_shapes(section(empty), "drawn")


@pytest.mark.parametrize(
    ("columns", "label_key", "error", "says"),
    [
        ({"who": ["me"], "what": ["a"]}, None, ValueError, "pass label_key, one of: 'who', 'what'"),
        ({"who": ["me"]}, "what", KeyError, "columns: 'who'"),
        ({"what": [None]}, "what", ValueError, "names no class"),
        ({"what": [" "]}, "what", ValueError, "names no class"),
    ],
)
def test_a_class_that_is_not_clear_is_asked_for(columns, label_key, error, says):
    with pytest.raises(error, match=says):
        mt.pp.labels_from_shapes(section(drawn([box(0, 0, 50, 50)], **columns)), "drawn", label_key=label_key)


def test_drawings_without_a_class_are_left_out_and_numbers_are_names(caplog):
    sdata = section(drawn([box(-5, -5, 5, 5), box(15, 15, 25, 25)], layer=pd.array([1, None], dtype="Int64")))
    mt.pp.labels_from_shapes(sdata, "drawn", label_key="layer")
    assert named(sdata) == {"1": {(0, 0)}}
    assert "1 of 2 drawings in 'drawn' have no class" in caplog.text


def test_a_column_of_classes_may_hold_numbers():
    sdata = section(drawn([box(-5, -5, 5, 5), box(15, 15, 25, 25)], **{"class": [1.0, 2.0], "who": ["Ann", "Bob"]}))
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert set(named(sdata)) == {"1", "2"}


@pytest.mark.parametrize(("key", "says"), [("nothing", "shapes: 'spots', 'drawn'"), ("spots", "spots of the table")])
def test_elements_that_are_no_drawings_are_refused(key: str, says: str):
    with pytest.raises((KeyError, ValueError), match=says):
        mt.pp.labels_from_shapes(section(drawn([box(0, 0, 50, 50)])), key)


def test_a_table_has_no_shapes():
    with pytest.raises(TypeError, match="read_labels"):
        mt.pp.labels_from_shapes(table_of(spots=4), "drawn")


def test_colours_come_from_the_element_then_from_before_then_are_new():
    areas = [box(-5, -5, 5, 5), box(15, 15, 25, 25), box(35, 35, 45, 45)]
    sdata = section(drawn(areas, name=["a", "b", "c"], color=["red", None, None]))
    table = sdata.tables["table"]
    table.obs["annotation"] = pd.Categorical(["b"] * 100, categories=["a", "b"])
    table.uns["annotation_colors"] = ["#111111", "#222222"]
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert list(table.obs["annotation"].cat.categories) == ["a", "b", "c"]
    red, before, new = table.uns["annotation_colors"]
    assert (red, before) == ("#FF0000", "#222222")
    assert new not in (red, before)


def test_the_first_colour_of_a_class_counts_where_its_first_drawing_has_none():
    areas = [box(-5, -5, 5, 5), box(15, 15, 25, 25), box(35, 35, 45, 45)]
    sdata = section(drawn(areas, name=["a"] * 3, color=[None, "red", "blue"]))
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert list(sdata.tables["table"].uns["annotation_colors"]) == ["#FF0000"]


@pytest.mark.parametrize("stored", [{"b": "#111111", "a": "#222222"}, np.array([[34, 34, 34], [17, 17, 17]])])
def test_colours_that_were_there_are_kept_however_they_are_stored(stored):
    sdata = section(drawn([box(-5, -5, 5, 5), box(15, 15, 25, 25)], name=["a", "b"]))
    table = sdata.tables["table"]
    table.obs["annotation"] = pd.Categorical(["b"] * 100, categories=["a", "b"])
    table.uns["annotation_colors"] = stored
    mt.pp.labels_from_shapes(sdata, "drawn")
    assert list(table.uns["annotation_colors"]) == ["#222222", "#111111"]


@pytest.mark.slow
def test_sections_are_named_one_after_the_other():
    def areas(system: str, **columns: Any) -> gpd.GeoDataFrame:
        return ShapesModel.parse(
            gpd.GeoDataFrame(columns, geometry=[box(-5, -5, 15, 15)]), transformations={system: Identity()}
        )

    sdata = SpatialData(
        shapes={
            "one": spots_of(XY, first=Identity()),
            "two": spots_of(XY, second=Identity()),
            "drawn1": areas("first", name=["a"]),
            "drawn2": areas("second", name=["b"]),
        },
        tables={"table": table_of(one=100, two=100)},
    )
    for key in ("drawn1", "drawn2", "drawn2"):
        mt.pp.labels_from_shapes(sdata, key)
    obs = sdata.tables["table"].obs
    assert obs.groupby(["region", "annotation"], observed=True).size().to_dict() == {("one", "a"): 4, ("two", "b"): 4}


def test_a_copy_leaves_the_object_as_it_was():
    sdata = section(drawn([box(0, 0, 50, 50)]))
    changed = mt.pp.labels_from_shapes(sdata, "drawn", copy=True)
    assert "annotation" not in sdata.tables["table"].obs
    assert "annotation" in changed.tables["table"].obs


@pytest.mark.slow
def test_the_column_survives_a_file(tmp_path):
    sdata = section(drawn([box(-5, -5, 25, 25)], name=["a"]))
    mt.pp.labels_from_shapes(sdata, "drawn")
    sdata.write(tmp_path / "a.zarr")
    back = SpatialData.read(tmp_path / "a.zarr")
    assert named(back) == named(sdata)


def test_a_column_that_is_there_twice_is_refused():
    shapes = drawn([box(-5, -5, 25, 25), box(15, -5, 45, 25)], label=["a", "b"])
    sdata = section(shapes)
    sdata.shapes["drawn"].insert(1, "label", ["b", "a"], allow_duplicates=True)
    with pytest.raises(ValueError, match="'drawn' has several columns named 'label'"):
        mt.pp.labels_from_shapes(sdata, "drawn", label_key="label")
    assert "annotation" not in sdata.tables["table"].obs
