"""OME-Zarr folders of every version that ome-zarr writes are slides; other folders are named as what they are."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import zarr
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.writer import write_multiscale
from spatialdata import SpatialData
from spatialdata.models import Image2DModel

from multist.access import ome_zarr
from multist.access.images import element_image
from multist.access.ome_zarr import open_ome_zarr
from multist.pp import read_slide


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def write(path, rgb, axes="cyx", fmt=None, unit="micrometer", size=0.5, steps=(1, 2)):
    fmt = fmt or FormatV05()
    group = zarr.open_group(str(path), mode="w", zarr_format=fmt.zarr_format)
    levels, transformations = [], []
    for step in steps:
        level = np.moveaxis(rgb[::step, ::step], 2, 0)
        level = level[:, None] if axes == "czyx" else level[None, :, None] if axes == "tczyx" else level
        levels.append(level)
        scale = [size * step if axis in "yx" else 1.0 for axis in axes]
        transformations.append([{"type": "scale", "scale": scale}])
    kinds = {"t": "time", "c": "channel"}
    named = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
    named = [{**axis, "unit": unit} if unit and axis["type"] == "space" else axis for axis in named]
    write_multiscale(levels, group, axes=named, coordinate_transformations=transformations, fmt=fmt)
    # some versions of ome-zarr leave the units out
    attributes = group.attrs.asdict()
    attributes.get("ome", attributes)["multiscales"][0]["axes"] = named
    group.attrs.put(attributes)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("axes", "fmt"), [("cyx", FormatV05()), ("czyx", FormatV05()), ("tczyx", FormatV04())])
def test_an_ome_zarr_image_is_a_lazy_slide(tmp_path, rgb, fmt, axes):
    image = read_slide(write(tmp_path / "a.ome.zarr", rgb, axes, fmt))
    record = element_image("he", image)
    assert record.downsample == (1, 2) and isinstance(image["scale0"]["image"].data, da.Array)
    for level, step in zip(record.levels, (1, 2), strict=True):
        np.testing.assert_array_equal(level.compute(), rgb[::step, ::step])
    assert open_ome_zarr(tmp_path / "a.ome.zarr").microns_per_pixel == (0.5, 0.5)


@pytest.mark.parametrize(
    ("unit", "size", "expected"),
    [("nanometer", 250.0, 0.25), ("millimeter", 0.0005, 0.5), (None, 0.5, None), ("micrometer", 353.0, None)],
)
def test_sizes_in_every_unit(tmp_path, rgb, unit, size, expected):
    found = open_ome_zarr(write(tmp_path / "a.zarr", rgb, unit=unit, size=size)).microns_per_pixel
    assert found is None if expected is None else found == pytest.approx((expected, expected))


def test_of_several_images_in_a_folder_the_largest_is_taken(tmp_path, rgb):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    write(tmp_path / "a.zarr" / "0", rgb[:20, :20])
    write(tmp_path / "a.zarr" / "1", rgb)
    np.testing.assert_array_equal(open_ome_zarr(tmp_path / "a.zarr").levels[0].compute(), rgb)


def test_other_folders_are_named_as_what_they_are(tmp_path, rgb):
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.zarr").mkdir()
    (tmp_path / "old.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    SpatialData(images={"he": Image2DModel.parse(np.moveaxis(rgb, 2, 0), dims=("c", "y", "x"))}).write(
        tmp_path / "s.zarr"
    )
    deep = np.concatenate([rgb, rgb], axis=2)
    for path, message in {
        tmp_path / "empty": "is a folder, and no OME-Zarr",
        tmp_path / "old.zarr": "is a zarr folder without the metadata of an OME-Zarr image",
        tmp_path / "s.zarr": "holds a SpatialData: open it by spatialdata.read_zarr",
        write(tmp_path / "six.zarr", deep): "1, 3 or 4 channels",
    }.items():
        with pytest.raises(ValueError, match=message):
            read_slide(path)
    np.testing.assert_array_equal(open_ome_zarr(tmp_path / "s.zarr" / "images" / "he").levels[0].compute(), rgb)


@pytest.mark.parametrize(
    ("axes", "shape", "flat"),
    [
        ("yx", (4, 6), (4, 6, 1)),
        ("cyx", (3, 4, 6), (4, 6, 3)),
        ("yxc", (4, 6, 4), (4, 6, 4)),
        ("xy", (6, 4), (4, 6, 1)),
        ("tzyx", (1, 1, 4, 6), (4, 6, 1)),
    ],
)
def test_planes_of_any_order_of_axes(axes, shape, flat):
    array = da.from_array(np.arange(np.prod(shape)).reshape(shape))
    found = ome_zarr._flat("a", array, list(axes))
    assert found.shape == flat
    assert found[1, 2, 0].compute() == array[tuple({"y": 1, "x": 2}.get(axis, 0) for axis in axes)].compute()


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("cx", (3, 6)), ("zx", (4, 6)), ("zyx", (2, 4, 6)), ("cyx", (2, 4, 6)), ("yx", (3, 4, 6)), ("yy", (4, 6))],
)
def test_what_is_no_plane_is_refused(axes, shape):
    with pytest.raises(ValueError, match="a slide has height, width and 1, 3 or 4 channels"):
        ome_zarr._flat("a", da.zeros(shape), list(axes))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": [3, 2**31, 2**31]}, r"declares the shape .*; sides of a slide have 1 to 4,194,304 pixels"),
        ({"shape": [3, 0, 0]}, r"declares the shape \(3, 0, 0\)"),
        ({"shape": [3, 60_000, 60_000], "chunks": [3, 60_000, 60_000]}, "pieces .*; save it in smaller chunks"),
    ],
)
def test_a_few_bytes_that_declare_too_much_are_refused(tmp_path, rgb, change, said):
    path = write(tmp_path / "a.zarr", rgb, fmt=FormatV04())
    record = next(path.glob("*/.zarray"))
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    with pytest.raises(ValueError, match=said):
        read_slide(path)
