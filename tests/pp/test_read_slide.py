"""A file becomes an image of a SpatialData on which every step works, without being read."""

from __future__ import annotations

import logging

import dask.array as da
import numpy as np
import pytest
import tifffile
from spatialdata import read_zarr
from spatialdata.models import Image2DModel
from spatialdata.transformations import get_transformation

from multist.access import resolve
from multist.pp import embed_histology, normalize_histology, read_slide

SIDE, DIAMETER = 480, 24.0


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """Nuclei in a stroma, on glass."""
    rng = np.random.default_rng(0)
    density = np.zeros((SIDE, SIDE, 2))
    density[40:440, 40:440, 1] = 0.6
    for y, x in rng.integers(45, 430, (500, 2)):
        density[y : y + 6, x : x + 6] = 1.2, 0.1
    image = 240 * np.exp(-density @ [[0.65, 0.70, 0.29], [0.1, 0.95, 0.15]])
    return (image + rng.normal(0, 1, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def section(toy):
    """Lay spots over an image."""
    grid = np.arange(70, 420, 30.0)
    xy = np.column_stack([v.ravel() for v in np.meshgrid(grid, grid)])
    return lambda image: toy.slide(image, xy, DIAMETER)


@pytest.fixture
def pyramid(tmp_path, rgb):
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        size = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        writer.write(rgb, subifds=2, photometric="rgb", tile=(64, 64), metadata=size)
        for step in (2, 4):
            writer.write(rgb[::step, ::step], subfiletype=1, photometric="rgb", tile=(64, 64))
    return path


@pytest.mark.slow
def test_a_pyramid_is_a_multiscale_image_that_stays_lazy(pyramid, rgb, tmp_path, section):
    image = read_slide(pyramid)
    Image2DModel().validate(image)
    assert list(image.children) == ["scale0", "scale1", "scale2"]
    assert isinstance(image["scale0"]["image"].data, da.Array)
    assert list(image["scale0"]["image"].coords["c"].values) == ["r", "g", "b"]
    assert set(get_transformation(image, get_all=True)) == {"global", "um"}
    record = resolve(section(image), image=True)
    assert record.images[0].downsample == (1, 2, 4) and record.microns_per_pixel == (0.5,)
    np.testing.assert_array_equal(record.images[0].levels[0].compute(), rgb)
    section(image).write(tmp_path / "s.zarr")
    back = resolve(read_zarr(tmp_path / "s.zarr"))
    assert back.images[0].downsample == (1, 2, 4) and back.microns_per_pixel == (0.5,)
    np.testing.assert_array_equal(back.images[0].levels[1].compute(), rgb[::2, ::2])


@pytest.mark.slow
def test_every_step_works_on_it_as_on_the_pixels(pyramid, rgb, section):
    opened = section(read_slide(pyramid))
    steps = [rgb[::step, ::step] for step in (1, 2, 4)]
    plain = section(Image2DModel.parse(np.moveaxis(steps[0], 2, 0), dims=("c", "y", "x"), c_coords=["r", "g", "b"]))
    for sdata in (opened, plain):
        normalize_histology(sdata)
        embed_histology(sdata)
    expected, found = (s["table"].obsm["X_histology"] for s in (plain, opened))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_size_of_a_pixel_can_be_given(pyramid, rgb, section):
    assert resolve(section(read_slide(pyramid, microns_per_pixel=0.2))).microns_per_pixel == pytest.approx((0.2,))
    with pytest.raises(ValueError, match="microns_per_pixel must be positive"):
        read_slide(pyramid, microns_per_pixel=0)
    tifffile.imwrite(pyramid.parent / "plain.tif", rgb, photometric="rgb")
    assert resolve(section(read_slide(pyramid.parent / "plain.tif"))).microns_per_pixel == (None,)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_other_formats_are_read_whole(tmp_path, rgb, suffix, section):
    image_module = pytest.importorskip("PIL.Image")
    path = tmp_path / f"slide.{suffix}"
    image_module.fromarray(rgb).save(path)
    sdata = section(read_slide(path))
    assert np.abs(resolve(sdata).images[0].levels[0].compute().astype(int) - rgb).mean() < 8
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"slide\.{suffix} cannot be read; it may be cut short"):
        read_slide(path)


def test_what_cannot_be_opened_is_named(tmp_path, pyramid):
    with pytest.raises(FileNotFoundError, match=r"no slide at .*missing\.tif"):
        read_slide(tmp_path / "missing.tif")
    (tmp_path / "slide.czi").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"unknown format '\.czi'; known: \.tif, "):
        read_slide(tmp_path / "slide.czi")
    pyramid.write_bytes(pyramid.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"slide\.ome\.tif is cut short"):
        read_slide(pyramid)


def test_the_log_says_what_was_opened(pyramid, caplog):
    with caplog.at_level(logging.INFO, "multist"):
        read_slide(str(pyramid))
    assert "480 x 480 pixels, 3 channels, 3 levels, 0.5 um a pixel" in caplog.text
