"""Drawings beside spots of any kind, and outlines into the shapes."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import Point, box
from spatialdata import SpatialData
from spatialdata.models import Labels2DModel, PointsModel, ShapesModel
from spatialdata.transformations import Identity, get_transformation

from multist.access import read_drawn, resolve, resolve_drawn
from multist.access.shapes import is_outlines, made_shapes


def drawn(**transformations):
    return ShapesModel.parse(
        gpd.GeoDataFrame({"label": ["a"]}, geometry=[box(0, 0, 4, 4)]), transformations=transformations
    )


@pytest.mark.parametrize("kind", ["circles", "polygons", "labels", "points"])
def test_spots_of_any_kind_are_brought_to_the_system_of_the_drawings(toy, kind: str):
    centres = np.array([[2.0, 2.0], [10.0, 2.0], [2.0, 10.0]])
    moved = {"aligned": toy.affine([[2, 0], [0, 3]], (100, 200)), "own": Identity()}
    elements: dict = {"shapes": {"drawn": drawn(aligned=Identity())}}
    index = [1, 2, 3]
    if kind == "circles":
        elements["shapes"]["spots"] = toy.circles(centres, index, moved, 2.0)
    elif kind == "polygons":
        frame = gpd.GeoDataFrame(geometry=[box(x - 2, y - 2, x + 2, y + 2) for x, y in centres], index=index)
        elements["shapes"]["spots"] = ShapesModel.parse(frame, transformations=moved)
    elif kind == "labels":
        array = np.zeros((14, 14), dtype=np.int32)
        for number, (x, y) in zip(index, centres.astype(int), strict=True):
            array[y - 2 : y + 2, x - 2 : x + 2] = number
        elements["labels"] = {"spots": Labels2DModel.parse(array, dims=("y", "x"), transformations=moved)}
    else:
        frame = pd.DataFrame(centres, columns=["x", "y"], index=index)
        elements["points"] = {"spots": PointsModel.parse(frame, transformations=moved)}
    table = toy.table_of([3, 1, 2], "spots")
    sdata = SpatialData(**elements, tables={"table": table})
    (found,) = read_drawn(sdata, table, "drawn")
    np.testing.assert_allclose(found.xy, centres[[2, 0, 1]] * [2, 3] + [100, 200])
    assert found.rows.all()
    assert found.drawings["label"].tolist() == ["a"] and found.drawings.total_bounds.tolist() == [0, 0, 4, 4]


def test_drawings_are_transformed_and_circles_keep_their_size_there(toy):
    circle = ShapesModel.parse(
        gpd.GeoDataFrame({"radius": [2.0]}, geometry=[Point(1, 1)]),
        transformations={"global": toy.affine([[3, 0], [0, 3]], (10, 20))},
    )
    spots = toy.circles(np.array([[0.0, 0.0]]), [0], {"global": Identity()})
    table = toy.table_of([0], "spots")
    (found,) = read_drawn(
        SpatialData(shapes={"spots": spots, "drawn": circle}, tables={"table": table}), table, "drawn"
    )
    assert found.drawings.geometry[0].equals(Point(13, 23))
    assert found.drawings["radius"][0] == pytest.approx(6)


def test_regions_are_gathered_by_the_system_that_they_share_with_the_drawings(toy):
    place = np.array([[1.0, 1.0]])
    shapes = {
        "one": toy.circles(place, [0], {"first": Identity()}),
        "two": toy.circles(place, [0], {"second": Identity(), "global": Identity()}),
        "three": toy.circles(place, [0], {"third": Identity()}),
        "drawn": drawn(first=Identity(), second=Identity(), **{"global": Identity()}),
    }
    table = toy.table_of([0, 0, 0], ["one", "two", "three"])
    sdata = SpatialData(shapes=shapes, tables={"table": table})
    found = read_drawn(sdata, table, "drawn")
    assert sorted(part.rows.tolist() for part in found) == [[False, True, False], [True, False, False]]
    (second,) = read_drawn(sdata, table, "drawn", "second")
    assert second.rows.tolist() == [False, True, False]


def test_outlines_get_the_transformations_of_the_image(make_sdata, toy):
    sdata = make_sdata(toy.affine([[0, -2], [2, 0]], (5, 6)), scale_factors=[2])
    record = resolve(sdata)
    frame = gpd.GeoDataFrame({"name": ["a"]}, geometry=[box(0, 0, 10, 10)])
    with pytest.raises(ValueError, match="'he' is the name of another element"):
        made_shapes(sdata, record, {0: frame}, {0: "he"})
    made = made_shapes(sdata, record, {0: frame}, {0: "outline"})
    assert get_transformation(made["outline"]) == get_transformation(sdata.images["he"])


def test_people_draw_in_full_resolution_unless_an_image_is_named(visium):
    assert resolve_drawn(visium).xy == pytest.approx(np.asarray(visium.obsm["spatial"]))
    assert resolve_drawn(visium, image_key="hires").xy == pytest.approx(np.asarray(visium.obsm["spatial"]) / 4)
    assert resolve_drawn(visium, image_key="lowres").xy == pytest.approx(np.asarray(visium.obsm["spatial"]) / 8)


def test_what_lies_beside_the_section_in_tables_of_cellxgene_is_none(visium):
    visium.uns["spatial"]["is_single"] = True
    assert resolve_drawn(visium).section_names == ("s1",)


def test_outlines_are_told_by_their_columns_whatever_else_they_have():
    made = gpd.GeoDataFrame({name: [1] for name in ("name", "colour", "area", "area_unit", "n_spots", "neighbours")})
    assert is_outlines(made) and is_outlines(made.assign(note="mine"))
    assert not is_outlines(made.drop(columns="area")) and not is_outlines(None)
