"""SpatialData: rows linked by instance, images found, any coordinate system."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import box
from spatialdata import SpatialData
from spatialdata.models import Image2DModel, Labels2DModel, PointsModel, ShapesModel
from spatialdata.transformations import Identity, Scale, remove_transformation, set_transformation

from multist.access import PatchReader, resolve


def rgb(height=40, width=60, channels=3, dtype=np.uint8, names=None, system="global", scale=1.0):
    image = np.full((channels, height, width), 90, dtype=dtype)
    transformation = Scale([scale, scale], axes=("x", "y"))
    return Image2DModel.parse(image, dims=("c", "y", "x"), c_coords=names, transformations={system: transformation})


def test_an_instance_that_two_rows_name_is_refused_with_both(make_sdata):
    sdata = make_sdata(instances=[0, 1, 2])
    sdata["table"].obs["instance"] = [0, 1, 1]
    with pytest.raises(ValueError, match="2 rows of the table .'row1', 'row2'.* such as 1 of region 'spots'"):
        resolve(sdata)


def test_regions_are_sections_and_have_their_own_images(painted, toy):
    n = len(painted.xy)
    flipped = toy.affine([[-1, 0], [0, 1]], (800, 0))
    images, shapes = {}, {}
    for name, transformation in (("a", Identity()), ("b", flipped)):
        images[f"he_{name}"] = Image2DModel.parse(
            np.moveaxis(painted.image, 2, 0), dims=("c", "y", "x"), transformations={name: transformation}
        )
        xy = painted.xy if name == "a" else painted.xy * [-1, 1] + [800, 0]
        shapes[f"spots_{name}"] = toy.circles(xy, np.arange(n), {name: Identity()})
    rng = np.random.default_rng(0)
    instances, region = np.tile(np.arange(n), 2), np.repeat(["spots_a", "spots_b"], n)
    order = rng.permutation(2 * n)
    sdata = SpatialData(images=images, shapes=shapes, tables={"table": toy.table_of(instances[order], region[order])})
    record = resolve(sdata, image=True)
    names = np.array(record.section_names)
    np.testing.assert_array_equal(names[record.section], region[order])
    assert [image.key for image in record.images] == [f"he_{name[-1]}" for name in names]
    np.testing.assert_allclose(record.xy, painted.xy[instances[order]])
    np.testing.assert_array_equal(toy.spot_of(PatchReader(record, size=20, pixels=10)[:]), instances[order])
    with pytest.raises(ValueError, match="image 'he_a' shares no coordinate system"):
        resolve(sdata, image_key="he_a")
    sdata["table"].obs["donor"] = "d"
    with pytest.raises(ValueError, match="regions 'spots_a', 'spots_b' share no coordinate system"):
        resolve(sdata, library_key="donor")


def test_names_of_regions_are_found_without_sorting_all_rows(make_sdata, monkeypatch):
    def unique(values, *args, find=np.unique, **kwargs):
        assert np.asarray(values).dtype != object, "a million rows take half a second"
        return find(values, *args, **kwargs)

    monkeypatch.setattr(np, "unique", unique)
    assert resolve(make_sdata(), image=True).section_names == ("spots",)


def test_two_regions_in_one_image(make_sdata, painted, toy):
    sdata = make_sdata()
    n = len(painted.xy)
    sdata.shapes["more"] = toy.circles(painted.xy * 2, np.arange(n), {"global": Scale([0.5, 0.5], axes=("x", "y"))}, 60)
    del sdata.tables["table"]
    region = np.where(np.arange(n) % 2, "spots", "more")
    sdata.tables["table"] = toy.table_of(np.arange(n), region)
    sdata["table"].obs["slide"] = "one"
    for key, names in ((None, {"more", "spots"}), ("slide", {"one"})):
        record = resolve(sdata, library_key=key, image=True)
        assert set(record.section_names) == names
        np.testing.assert_allclose(record.xy, painted.xy)
        np.testing.assert_allclose(record.diameter, 2 * toy.radius)


def cells(kind: str):
    """Two of 40 pixels, by the names 3 and 7."""
    if kind == "points":
        return PointsModel.parse(pd.DataFrame({"x": [2.0, 25.0], "y": [35.0, 12.0]}, index=[3, 7]))
    if kind == "polygons":
        return ShapesModel.parse(gpd.GeoDataFrame(geometry=[box(0, 30, 4, 40), box(20, 10, 30, 14)], index=[3, 7]))
    labels = np.zeros((50, 70), dtype=np.int32)
    labels[10:14, 20:30], labels[30:40, 0:4] = 7, 3
    steps = [2] if kind == "labels of two scales" else None
    return Labels2DModel.parse(labels, dims=("y", "x"), scale_factors=steps, chunks=(16, 16))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["labels", "labels of two scales", "polygons", "points"])
def test_cells_of_any_kind_lie_in_the_pixels_of_the_image(toy, kind):
    elements = {"he": rgb(100, 140, scale=0.5), "cells": cells(kind), "table": toy.table_of([7, 3], "cells")}
    record = resolve(SpatialData.init_from_elements(elements), image=True)
    np.testing.assert_allclose(record.xy, np.array([[25, 12], [2, 35]]) * 2)
    np.testing.assert_allclose(record.diameter, np.nan if kind == "points" else 4 * np.sqrt(40 / np.pi))


def test_coordinate_system_is_global_if_shared(make_sdata, painted, toy):
    sdata = make_sdata()
    for name in ("he", "spots"):
        set_transformation(sdata[name], Identity(), "a")
    set_transformation(sdata["spots"], toy.affine([[1, 0], [0, 1]], (3, 0)), "a")
    order = sdata["table"].obs["instance"].to_numpy()
    np.testing.assert_allclose(resolve(sdata).xy, painted.xy[order])
    np.testing.assert_allclose(resolve(sdata, image=False).xy, painted.xy[order])


def test_image_is_the_one_rgb_image_that_shares_a_coordinate_system(make_sdata):
    sdata = make_sdata()
    sdata.images["elsewhere"] = rgb(system="other")
    sdata.images["dapi"] = rgb(channels=1)
    sdata.images["stains"] = rgb(channels=3, names=["dapi", "cd3", "cd8"])
    sdata.images["many"] = rgb(channels=5)
    assert resolve(sdata, image=True).images[0].key == "he"
    sdata.images["he_normalized"] = sdata.images["he"]
    assert resolve(sdata).images[0].key == "he_normalized"
    assert resolve(sdata, prefer_normalized=False).images[0].key == "he"
    sdata.images["he2"] = sdata.images["he"]
    with pytest.raises(ValueError, match="several images fit.*'he', 'he_normalized', 'he2'"):
        resolve(sdata)
    assert resolve(sdata, image_key="he2").images[0].key == "he2"
    with pytest.raises(KeyError, match="image_key 'hires' not found in sdata.images; found: 'he', "):
        resolve(sdata, image_key="hires")
    with pytest.raises(ValueError, match="image 'elsewhere' shares no coordinate system"):
        resolve(sdata, image_key="elsewhere")
    with pytest.raises(ValueError, match="5 channels"):
        resolve(sdata, image_key="many")


def test_of_the_copies_of_space_ranger_the_finest_is_taken(make_sdata):
    sdata = make_sdata()
    sdata.images["id_lowres_image"] = sdata.images["he"]
    sdata.images["id_hires_image"] = sdata.images["he"]
    del sdata.images["he"]
    assert resolve(sdata).images[0].key == "id_hires_image"
    sdata.images["id_lowres_image_normalized"] = sdata.images["id_lowres_image"]
    assert resolve(sdata).images[0].key == "id_lowres_image_normalized"
    assert resolve(sdata, prefer_normalized=False).images[0].key == "id_hires_image"


@pytest.mark.parametrize(
    ("sizes", "suffix"),
    [
        (("full", "hires", "lowres"), ""),
        (("full", "hires", "lowres"), "_normalized"),
        (("hires", "lowres"), ""),
        (("lowres",), ""),
        ((), ""),
    ],
)
def test_the_image_of_the_cytassist_is_taken_only_by_name(make_sdata, sizes, suffix):
    sdata = make_sdata()
    image = sdata.images["he"]
    del sdata.images["he"]
    for size in ("cytassist", *sizes):
        sdata.images[f"id_{size}_image"] = image
    sdata.images[f"id_cytassist_image{suffix}"] = image
    found = resolve(sdata).images[0]
    assert found is None if not sizes else found.key == f"id_{sizes[0]}_image"
    assert resolve(sdata, image_key="id_cytassist_image").images[0].key == "id_cytassist_image"


def test_channels_named_in_another_order(make_sdata, painted):
    sdata = make_sdata()
    sdata.images["he"] = Image2DModel.parse(
        np.moveaxis(painted.image[..., ::-1], 2, 0), dims=("c", "y", "x"), c_coords=["b", "g", "r"]
    )
    np.testing.assert_array_equal(resolve(sdata).images[0].levels[0].compute(), painted.image)


def test_no_image_where_one_is_asked_for(make_sdata):
    sdata = make_sdata()
    set_transformation(sdata["he"], {"other": Identity()}, set_all=True)
    with pytest.raises(
        KeyError, match=r"no RGB image shares a coordinate system with section 'spots'; images: 'he' in 'other'"
    ):
        resolve(sdata, image=True)
    del sdata.images["he"]
    with pytest.raises(KeyError, match="images: none.*, or take another section"):
        resolve(sdata, image=True, instead="take another section")


def test_images_that_are_not_taken_are_warned_of_with_what_was_seen(make_sdata, caplog):
    sdata = make_sdata()
    set_transformation(sdata["he"], {"other": Identity()}, set_all=True)
    sdata.images["stains"] = rgb(channels=3, names=["dapi", "cd3", "cd8"])
    sdata.images["grey"] = rgb(channels=1)
    sdata.images["s_cytassist_image"] = rgb()
    resolve(sdata, image=False)
    assert not caplog.text
    assert resolve(sdata).images == (None,)
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    for seen in (
        "'he' in 'other', 3 channels;",
        "'stains' in 'global', 3 channels ('dapi', 'cd3', 'cd8')",
        "'grey' in 'global', 1 channel;",
        "'s_cytassist_image' in 'global', 3 channels, by its name no H&E",
        "spots: 'spots' in 'global'",
        "link it by spatialdata.transformations.set_transformation, name an image of 1, 3 or 4 channels by image_key",
    ):
        assert seen in told.getMessage()
    caplog.clear()
    sdata["table"].obsm["X_histology"] = np.ones((sdata["table"].n_obs, 2))
    resolve(sdata)
    assert not caplog.text, "by an encoder of one's own, any image may have been described"
    del sdata["table"].obsm["X_histology"], sdata.images["he"], sdata.images["stains"], sdata.images["grey"]
    del sdata.images["s_cytassist_image"]
    resolve(sdata)
    assert not caplog.text


def test_sections_without_an_image_are_warned_of_in_one_line(make_sdata, painted, toy, caplog):
    sdata = make_sdata()
    n = len(painted.xy)
    for name in "abcdefg":
        sdata.shapes[name] = toy.circles(painted.xy, np.arange(n), {name: Identity()})
        sdata.images[f"he_{name}"] = rgb(system="nowhere")
    del sdata.images["he"], sdata.tables["table"]
    sdata.tables["table"] = toy.table_of(np.arange(n), np.array(list("abcdefg"))[np.arange(n) % 7])
    resolve(sdata)
    (told,) = caplog.messages
    assert "with sections 'a', 'b', 'c', 'd', 'e' and 2 more; images: 'he_a' in 'nowhere'" in told


def test_without_image_coordinates_are_those_of_the_world(make_sdata, toy):
    world = toy.affine([[0, 2], [-2, 0]], (5, 5))
    sdata = make_sdata(world, toy.affine([[3, 1], [0, 1]]))
    record, pixels = resolve(sdata, image=False), resolve(sdata).xy
    np.testing.assert_allclose(record.xy, pixels @ np.array([[0, 2], [-2, 0]]).T + 5)
    np.testing.assert_allclose(record.diameter, 4 * toy.radius)


def test_microns_come_from_a_coordinate_system_of_that_name(make_sdata):
    sdata = make_sdata(scale_factors=[2])
    assert resolve(sdata).microns_per_pixel == (None,)
    for name in ("he", "spots"):
        set_transformation(sdata[name], Scale([0.25, 0.25], axes=("x", "y")), "microns")
    assert resolve(sdata).microns_per_pixel == pytest.approx((0.25,))
    assert resolve(sdata, image=False).microns_per_pixel == pytest.approx((0.25,))
    for name in ("he", "spots"):
        remove_transformation(sdata[name], "global")
    assert resolve(sdata, image=False).microns_per_pixel == pytest.approx((1.0,))


@pytest.mark.parametrize(
    ("reader", "name", "known"),
    [
        ("xenium", "cell_circles", True),
        ("xenium", "nucleus_boundaries", True),
        ("xenium", "cells", False),
        ("merscope", "s1_polygons", True),
        ("merscope", "cell_circles", False),
        ("visium", "cell_circles", False),
        (None, "cell_circles", False),
    ],
)
def test_some_readers_leave_shapes_in_micrometres(make_sdata, toy, reader, name, known):
    """Their shapes are four times as large in the pixels of the image, so that a pixel is a fourth of a micrometre."""
    sdata = make_sdata()
    sdata.attrs["spatialdata_io_reader"] = reader
    sdata[name] = toy.circles(np.zeros((2, 2)), [0, 1], {"global": Scale([4.0, 4.0], axes=("x", "y"))})
    assert resolve(sdata).microns_per_pixel == ((pytest.approx(0.25),) if known else (None,))
    elsewhere = toy.circles(np.zeros((2, 2)), [0, 1], {"else": Identity()})
    del sdata.shapes[name]
    sdata[name] = elsewhere
    assert resolve(sdata).microns_per_pixel == (None,)
