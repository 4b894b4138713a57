"""Of a file with several images, everything that is read belongs to the slide: its levels, its size, its bits."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile

from multist.access.tiff import open_tiff


@pytest.fixture(scope="module")
def slide() -> np.ndarray:
    y, x = np.mgrid[:512, :512]
    return np.stack([x // 2, y // 2, (x + y) // 4], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def label() -> np.ndarray:
    image = np.zeros((128, 128, 3), np.uint8)
    image[::2] = 255
    return image


TILED = {"photometric": "rgb", "tile": (64, 64), "metadata": None}


@pytest.mark.parametrize(
    ("order", "pyramid"),
    [
        (("main", "macro", "label"), True),
        (("macro", "label", "main"), True),
        (("label", "main", "macro"), True),
        (("label", "macro", "main"), False),
    ],
)
def test_ome_metadata_is_that_of_the_image_that_is_read(tmp_path, slide, label, order, pyramid):
    images = {"main": (slide, 0.25), "macro": (slide[:300, :128], 16.0), "label": (label, 8.0)}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for name in order:
            pixels, size = images[name]
            metadata = {"axes": "YXS", "Name": name, "PhysicalSizeX": size, "PhysicalSizeY": size}
            levels = int(pyramid and name == "main")
            writer.write(pixels, photometric="rgb", tile=(64, 64), subifds=levels, metadata=metadata)
            if levels:
                writer.write(pixels[::4, ::4], photometric="rgb", tile=(64, 64), subfiletype=1)
    found = open_tiff(tmp_path / "a.ome.tif")
    assert found.microns_per_pixel == (0.25, 0.25)
    np.testing.assert_array_equal(found.levels[0].compute(), slide)
    assert len(found.levels) == 1 + pyramid


def test_two_images_of_one_size_have_each_their_own_metadata(tmp_path, slide):
    """Both are as large, so that only their pages tell which is which."""
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for size in (0.25, 0.5):
            writer.write(
                slide, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": size, "PhysicalSizeY": size}
            )
    assert open_tiff(tmp_path / "a.ome.tif").microns_per_pixel == (0.25, 0.25)


OTHERS = {
    "described": {"description": "label"},
    "described below": {"description": "Aperio Image Library v12\nmacro 1280x431"},
    "thumbnail": {"description": "Thumbnail of the slide", "subfiletype": 1},
    "marked as macro": {"subfiletype": 9},
    "said to be nothing": {},
}


@pytest.mark.parametrize(
    ("name", "first"), [*((name, False) for name in OTHERS), ("described", True), ("said to be nothing", True)]
)
def test_what_is_no_level_stays_out(tmp_path, slide, label, name, first):
    """A square label beside a square slide has the shape of a level, also where it is a fourth as wide."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        if first:
            writer.write(label, photometric="rgb", metadata=None, **OTHERS[name])
        writer.write(slide, **TILED)
        writer.write(slide[::2, ::2], subfiletype=1, **TILED)
        if not first:
            writer.write(label, photometric="rgb", metadata=None, **OTHERS[name])
    levels = open_tiff(tmp_path / "a.tif").levels
    assert [level.shape[0] for level in levels] == [512, 256]
    np.testing.assert_array_equal(levels[1].compute(), slide[::2, ::2])


@pytest.mark.parametrize(
    ("pixels", "photometric"),
    [
        (np.zeros((128, 100, 3), np.uint8), "rgb"),
        (np.zeros((128, 128), np.uint8), "minisblack"),
        (np.zeros((128, 128, 3), np.uint16), "rgb"),
        (np.zeros((600, 600, 3), np.uint8), "rgb"),
    ],
    ids=["another shape", "grey", "another depth", "larger"],
)
def test_a_marked_page_of_another_form_is_no_level(tmp_path, slide, pixels, photometric):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.tile(slide, (2, 2, 1)), **TILED)
        writer.write(pixels, photometric=photometric, metadata=None, subfiletype=1)
    levels = open_tiff(tmp_path / "a.tif").levels
    assert [level.shape[0] for level in levels] == ([1024] if pixels.shape[0] != 600 else [1024, 600])


@pytest.mark.parametrize("subfiletype", [0, 1])
def test_pages_below_that_of_the_slide_are_levels_whatever_their_factor(tmp_path, slide, subfiletype):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(slide, subifds=3, **TILED)
        for step in (2, 5, 16):
            writer.write(slide[::step, ::step], subfiletype=subfiletype, **TILED)
    levels = open_tiff(tmp_path / "a.tif").levels
    assert [level.shape[0] for level in levels] == [512, 256, 103, 32]


def test_a_page_that_nobody_declares_is_left_out_and_the_log_says_so(tmp_path, slide, caplog):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(slide, **TILED)
        writer.write(slide[::4, ::4], **TILED)
    with caplog.at_level(logging.INFO, "multist"):
        assert len(open_tiff(tmp_path / "a.tif").levels) == 1
    assert "an image of 128 x 128 pixels is no level" in caplog.text


UNITS = {
    "OME in nm": (
        ("a.ome.tif", {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}, {}),
        (0.25, 0.5),
    ),
    "OME of one side": (("a.ome.tif", {"PhysicalSizeX": 0.3}, {}), (0.3, 0.3)),
    "OME in pixels": (("a.ome.tif", {"PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "pixel"}, {}), None),
    "ImageJ": (("a.tif", {"unit": "um"}, {"imagej": True, "resolution": (2.0, 2.0)}), (0.5, 0.5)),
    "per cm": (("a.tif", None, {"resolution": (20_000, 40_000), "resolutionunit": "CENTIMETER"}), (0.5, 0.25)),
    "per inch": (("a.tif", None, {"resolution": (50_800, 50_800), "resolutionunit": "INCH"}), (0.5, 0.5)),
    "per nothing": (("a.tif", None, {"resolution": (20_000, 20_000), "resolutionunit": "NONE"}), None),
    "nothing": (("a.tif", None, {}), None),
}


@pytest.mark.parametrize("case", UNITS)
def test_sizes_in_every_unit(tmp_path, slide, case):
    (name, metadata, options), expected = UNITS[case]
    metadata = metadata if metadata is None or "unit" in metadata else {"axes": "YXS", **metadata}
    tifffile.imwrite(tmp_path / name, slide, photometric="rgb", metadata=metadata, **options)
    found = open_tiff(tmp_path / name).microns_per_pixel
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ("OME", float("nan")),
        ("OME", 353.0),
        ("Aperio", 0.0),
        ("Aperio", -0.25),
        ("resolution", float("inf")),
        ("resolution", 353.0),  # 72 to an inch, which is a printer's
    ],
)
def test_a_size_that_no_slide_has_is_left_out_with_a_warning(tmp_path, slide, size, source, caplog):
    path = tmp_path / ("a.ome.tif" if source == "OME" else "a.tif")
    options = {"metadata": None}
    if source == "OME":
        options = {"metadata": {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeXUnit": "µm"}}
    elif source == "Aperio":
        options["description"] = f"Aperio Image Library v12\n512x512 |AppMag = 20|MPP = {size}"
    else:
        resolution = 0 if np.isinf(size) else round(10_000 / size)
        options |= {"resolution": ((resolution, 1),) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, slide, photometric="rgb", tile=(64, 64), **options)
    if source == "OME":
        comment = tifffile.tiffcomment(path)
        tifffile.tiffcomment(path, comment.replace('PhysicalSizeX="0.25"', f'PhysicalSizeX="{size}"').encode())
    with caplog.at_level(logging.WARNING, "multist"):
        assert open_tiff(path).microns_per_pixel is None
    assert "says that a pixel is" in caplog.text and "left out" in caplog.text


def test_where_one_statement_cannot_be_true_the_next_is_asked(tmp_path, slide):
    head = "Aperio Image Library v12\n512x512 |AppMag = 20|MPP = 0"
    unit = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.svs", slide, description=head, **TILED, **unit)
    assert open_tiff(tmp_path / "a.svs").microns_per_pixel == pytest.approx((0.25, 0.25))


def test_decimal_commas_are_understood(tmp_path, slide):
    tifffile.imwrite(tmp_path / "a.svs", slide, description="Aperio\n|MPP = 0,2520|Left = 3", **TILED)
    assert open_tiff(tmp_path / "a.svs").microns_per_pixel == pytest.approx((0.252, 0.252))


@pytest.mark.parametrize("bits", [10, 14])
def test_bits_in_use_are_taken_from_the_file(tmp_path, slide, bits):
    deep = (slide.astype(np.uint16) << (bits - 8)).astype(np.uint16)
    metadata = {"axes": "YXS", "SignificantBits": bits}
    tifffile.imwrite(tmp_path / "a.ome.tif", deep, photometric="rgb", metadata=metadata)
    assert open_tiff(tmp_path / "a.ome.tif").white == 2**bits - 1
    tifffile.imwrite(tmp_path / "b.tif", deep, photometric="rgb")
    assert open_tiff(tmp_path / "b.tif").white is None
