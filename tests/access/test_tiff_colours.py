"""Whatever the colour model and the codec, RGB comes out, or the file is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from multist.access.images import element_image
from multist.access.tiff import open_tiff
from multist.pp import read_slide


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))


def shown(path) -> np.ndarray:
    return element_image("he", read_slide(path)).levels[0].compute().astype(int)


TILES, STRIPS = {"tile": (64, 64)}, {"rowsperstrip": 16}


@pytest.mark.parametrize(
    ("codec", "layout"),
    [(None, TILES), ("zlib", STRIPS), ("lzw", TILES), ("packbits", STRIPS), ("zstd", TILES), ("lzma", STRIPS)],
)
def test_ycbcr_becomes_rgb_under_every_codec(tmp_path, rgb, codec, layout):
    stored = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="ycbcr", compression=codec, subsampling=(1, 1), **layout)
    assert np.abs(shown(tmp_path / "a.tif") - rgb).max() <= 3, "rounding to whole numbers twice"


def test_ycbcr_in_planes(tmp_path, rgb):
    stored = np.ascontiguousarray(np.moveaxis(np.asarray(Image.fromarray(rgb).convert("YCbCr")), 2, 0))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="ycbcr", planarconfig="separate", subsampling=(1, 1))
    assert np.abs(shown(tmp_path / "a.tif") - rgb).max() <= 3, "rounding to whole numbers twice"


def test_ycbcr_of_a_video_has_another_black_and_white(tmp_path, rgb):
    full = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(float)
    studio = np.rint(
        np.stack([16 + full[..., 0] * 219 / 255, *(128 + (full[..., i] - 128) * 224 / 254 for i in (1, 2))], -1)
    )
    reference = tuple(v for n in (16, 235, 128, 240, 128, 240) for v in (n, 1))
    tifffile.imwrite(
        tmp_path / "a.tif",
        studio.astype(np.uint8),
        photometric="ycbcr",
        subsampling=(1, 1),
        extratags=[(532, 5, 6, reference, True)],
    )
    assert np.abs(shown(tmp_path / "a.tif") - rgb).max() <= 4


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2), (2, 1)])
def test_jpeg_is_decoded_once(tmp_path, rgb, subsampling):
    options = {"compression": "jpeg", "compressionargs": {"level": 95}, "subsampling": subsampling, "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", **options)
    assert np.abs(shown(tmp_path / "a.tif") - rgb).mean() < 12


def test_subsampled_samples_without_jpeg_are_refused(tmp_path, rgb):
    stored = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="ycbcr", compression="zlib", subsampling=(1, 1))
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags[530].overwrite((2, 2))
    with pytest.raises(ValueError, match="subsampled YCbCr of uint8 under ADOBE_DEFLATE; export it as RGB"):
        open_tiff(path)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((64, 64, 4), np.uint8), {"photometric": "separated"}, "SEPARATED; export it as RGB"),
        (np.zeros((64, 64, 3), np.uint8), {"photometric": "cielab"}, "CIELAB; export it as RGB"),
        (
            np.zeros((64, 64), np.uint8),
            {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "PALETTE; export",
        ),
        (np.zeros((64, 64, 3), np.uint16), {"photometric": "ycbcr", "subsampling": (1, 1)}, "YCbCr of uint16"),
    ],
    ids=["CMYK", "Lab", "palette", "deep YCbCr"],
)
def test_what_is_not_converted_is_refused(tmp_path, pixels, options, message):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(ValueError, match=message):
        open_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize(("dtype", "colours"), [("u1", 1), ("u1", 3), ("u2", 3), ("f4", 3)])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_transparent_glass_is_white_whether_premultiplied_or_not(tmp_path, rgb, dtype, kind, colours):
    top = {"u1": 255, "u2": 65535, "f4": 1.0}[dtype]
    alpha = np.ones(rgb.shape[:2])
    alpha[:40], alpha[40:80] = 0, 0.5
    colour = rgb[..., :colours] / 255
    stored = np.dstack([colour * alpha[..., None] if kind == "assocalpha" else colour, alpha]) * top
    stored = stored.astype(dtype) if dtype == "f4" else np.rint(stored).astype(dtype)
    photometric = "rgb" if colours == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric, planarconfig="contig", extrasamples=[kind])
    expected = (colour * alpha[..., None] + 1 - alpha[..., None]) * 255
    assert np.abs(shown(tmp_path / "a.tif") - expected).max() <= 1.5


def test_a_fourth_sample_of_no_known_kind_is_left_out(tmp_path, rgb, caplog):
    stored = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(shown(tmp_path / "a.tif"), rgb)
    assert "last of 4 samples" in caplog.text


def test_white_may_be_given(tmp_path, rgb):
    """A dim slide of twelve bits: its brightest pixel is a third of white."""
    tifffile.imwrite(tmp_path / "a.tif", (rgb // 4).astype(np.uint16) * 16, photometric="rgb")
    assert element_image("he", read_slide(tmp_path / "a.tif", white=4095)).levels[0].compute().max() in (62, 63)
    for white in (0, -1, np.nan):
        with pytest.raises(ValueError, match="white must be a positive number"):
            read_slide(tmp_path / "a.tif", white=white)


def test_levels_may_have_codecs_of_their_own(tmp_path, rgb):
    """A level is decoded by what its own page says, not by what that of the finest one says."""
    stored = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    jpeg = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 95}, "subsampling": (1, 1)}
    plain = {"photometric": "ycbcr", "compression": "zlib", "subsampling": (1, 1)}
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(rgb, tile=(64, 64), metadata=None, **jpeg)
        writer.write(np.ascontiguousarray(stored[::2, ::2]), tile=(64, 64), metadata=None, subfiletype=1, **plain)
    levels = open_tiff(tmp_path / "a.tif").levels
    assert len(levels) == 2
    assert np.abs(levels[1].compute().astype(int) - rgb[::2, ::2]).max() <= 3


@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_premultiplied_colours_have_the_scale_of_their_alpha(tmp_path, rgb, top):
    alpha = np.full(rgb.shape[:2], top)
    alpha[:40] = 0
    stored = np.dstack([rgb.astype(int) * top // 255 * (alpha > 0)[..., None], alpha]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    found = shown(tmp_path / "a.tif")
    assert (found[:40] == 255).all() and np.abs(found[40:] - rgb[40:]).max() <= 1


def test_a_fourth_sample_that_nobody_speaks_of_is_left_out(tmp_path, rgb):
    stored = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["unassalpha"])
    path, bare = tmp_path / "a.tif", tmp_path / "b.tif"
    # the number of ExtraSamples (338) becomes that of a private tag
    bare.write_bytes(
        path.read_bytes().replace(
            (338).to_bytes(2, "little") + b"\x03\x00", (65000).to_bytes(2, "little") + b"\x03\x00", 1
        )
    )
    np.testing.assert_array_equal(shown(bare), rgb)
