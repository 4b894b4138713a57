"""Outlines of spots that are no circles."""

from __future__ import annotations

import anndata as ad
import geopandas as gpd
import numpy as np
import pytest
import shapely
import spatialdata as sd
from spatialdata.models import Image2DModel, ShapesModel, TableModel
from spatialdata.transformations import Affine, Identity

from multist.access import resolve, spot_polygons


def bins(angle: float = 0.0, *, diameter: float = 10.0) -> ad.AnnData:
    xy = 10.0 * np.column_stack(np.divmod(np.arange(100), 10)) + 50
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    adata = ad.AnnData(np.zeros((100, 1)), obsm={"spatial": xy @ turn})
    adata.uns["spatial"] = {"s": {"scalefactors": {"spot_diameter_fullres": diameter}}}
    return adata


@pytest.mark.parametrize("angle", [0.0, 0.1, -0.3])
def test_bins_tile_the_plane_however_they_are_turned(angle: float):
    adata = bins(angle)
    polygons = spot_polygons(adata, resolve(adata), np.arange(100))
    assert polygons is not None
    shapes = shapely.polygons(np.array(polygons))
    np.testing.assert_allclose(shapely.area(shapes), 100, rtol=1e-6)
    assert shapely.union_all(shapely.buffer(shapes, 1e-6)).area == pytest.approx(10_000, rel=1e-3)
    np.testing.assert_allclose([each.mean(axis=0) for each in polygons], adata.obsm["spatial"])


def test_spots_with_gaps_and_of_unknown_size_are_circles():
    for diameter in (5.0, np.nan):
        adata = bins(diameter=diameter)
        assert spot_polygons(adata, resolve(adata), np.arange(100)) is None


@pytest.fixture
def cells() -> sd.SpatialData:
    """Triangles and one cell in two parts, in other units than the image, the table in another order."""
    shapes = [shapely.Polygon([(i, 0), (i + 1, 0), (i, 2)]) for i in range(1, 5)]
    large, small = shapely.box(6, 0, 8, 2), shapely.box(9, 0, 9.5, 0.5)
    frame = gpd.GeoDataFrame(geometry=[*shapes, shapely.MultiPolygon([small, large])], index=list("abcde"))
    to_global = Affine([[20, 0, 5], [0, 20, 7], [0, 0, 1]], ("x", "y"), ("x", "y"))
    table = ad.AnnData(np.zeros((3, 1)))
    table.obs["region"], table.obs["instance"] = "cells", ["e", "c", "a"]
    table.obs["region"] = table.obs["region"].astype("category")
    image = Image2DModel.parse(
        np.zeros((3, 100, 250), np.uint8), dims=("c", "y", "x"), transformations={"global": Identity()}
    )
    return sd.SpatialData(
        images={"he": image},
        shapes={"cells": ShapesModel.parse(frame, transformations={"global": to_global})},
        tables={"t": TableModel.parse(table, region="cells", region_key="region", instance_key="instance")},
    )


def test_cells_have_their_own_outlines_in_pixels(cells: sd.SpatialData):
    record = resolve(cells)
    two_parts, third, first = spot_polygons(cells, record, np.arange(3)) or []
    assert {tuple(corner) for corner in third} == {(65.0, 7.0), (85.0, 7.0), (65.0, 47.0)}
    assert {tuple(corner) for corner in first} == {(25.0, 7.0), (45.0, 7.0), (25.0, 47.0)}
    assert shapely.Polygon(two_parts).bounds == (125.0, 7.0, 165.0, 47.0)
    (only,) = spot_polygons(cells, record, np.array([1])) or []
    np.testing.assert_array_equal(only, third)


@pytest.mark.slow
def test_circles_of_a_spatialdata_are_circles(tissue: sd.SpatialData):
    record = resolve(tissue)
    assert spot_polygons(tissue, record, np.arange(20)) is None
