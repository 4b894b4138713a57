"""TIFF files of every make are opened without reading them, and what is damaged is named at once."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

from multist.access import tiff
from multist.access.tiff import open_tiff

HEIGHT, WIDTH = 700, 900


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH))
    return np.stack([x % 256, y % 256, 180 + noise], axis=-1).astype(np.uint8)


LAYOUTS = {
    "one strip": {},
    "strips": {"rowsperstrip": 16},
    "compressed strips": {"rowsperstrip": 16, "compression": "zlib"},
    "odd strips": {"rowsperstrip": 37, "compression": "lzw", "predictor": True},
    "tiles": {"tile": (128, 128)},
    "compressed tiles": {"tile": (128, 256), "compression": "zlib"},
    "BigTIFF": {"bigtiff": True, "tile": (64, 64)},
    "big endian": {"byteorder": ">", "rowsperstrip": 16},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_pixels(tmp_path, rgb, layout, monkeypatch):
    monkeypatch.setattr(tiff, "TILE", 256)
    monkeypatch.setattr(tiff, "_STRIP_BYTES", 100 * WIDTH * 3)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", **LAYOUTS[layout])
    slide = open_tiff(tmp_path / "a.tif")
    assert slide.rgb and len(slide.levels) == 1 and slide.microns_per_pixel is None
    assert slide.levels[0].npartitions >= 6, "it is read in parts"
    np.testing.assert_array_equal(slide.levels[0].compute(), rgb)
    np.testing.assert_array_equal(slide.levels[0][301:420, 250:260].compute(), rgb[301:420, 250:260])


def test_chunks_are_whole_tiles_and_whole_strips(tmp_path, rgb, monkeypatch):
    """Else one tile would be decoded for several chunks."""
    monkeypatch.setattr(tiff, "TILE", 256)
    monkeypatch.setattr(tiff, "_STRIP_BYTES", 100 * WIDTH * 3)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", rowsperstrip=24, compression="zlib")
    tifffile.imwrite(tmp_path / "b.tif", rgb, photometric="rgb", tile=(112, 96), compression="zlib")
    strips, tiles = (open_tiff(tmp_path / name).levels[0].chunks for name in ("a.tif", "b.tif"))
    assert strips[1] == (WIDTH,) and set(strips[0][:-1]) == {96}
    assert set(tiles[0][:-1]) == {224} and set(tiles[1][:-1]) == {192}


@pytest.mark.parametrize(
    ("axes", "dtype"), [("YX", "u1"), ("YXS", "u2"), ("SYX", "u1"), ("CYX", "u2"), ("YXS", "f4"), ("RGBA", "u1")]
)
def test_axes_and_types(tmp_path, rgb, axes, dtype):
    pixels = rgb.astype(dtype) * (257 if dtype == "u2" else 1)
    arguments = {"photometric": "rgb"}
    if axes == "RGBA":
        pixels = np.dstack([pixels, np.full((HEIGHT, WIDTH), 255, np.uint8)])
        arguments["extrasamples"] = ["unassalpha"]
    stored = pixels
    if axes == "YX":
        pixels = pixels[..., :1]
        stored, arguments = pixels[..., 0], {"photometric": "minisblack"}
    if axes in ("SYX", "CYX"):
        stored = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
        arguments = {"photometric": "rgb", "planarconfig": "separate"}
    if axes == "CYX":
        arguments = {"photometric": "minisblack", "metadata": {"axes": "CYX"}, "ome": True}
    tifffile.imwrite(tmp_path / "a.tif", stored, tile=(128, 128), **arguments)
    slide = open_tiff(tmp_path / "a.tif")
    assert slide.rgb == (axes not in ("YX", "CYX"))
    assert slide.levels[0].dtype == pixels.dtype
    np.testing.assert_array_equal(slide.levels[0].compute(), pixels)


def test_the_other_order_of_bytes(tmp_path, rgb):
    deep = rgb.astype(np.uint16) * 200
    for name, layout in {"a.tif": {}, "b.tif": {"tile": (128, 128)}}.items():
        tifffile.imwrite(tmp_path / name, deep, photometric="rgb", byteorder=">", **layout)
        level = open_tiff(tmp_path / name).levels[0]
        np.testing.assert_array_equal(level.compute(), deep)
        assert level.compute().dtype == level.dtype == np.uint16 and level.compute().dtype.isnative


def write_pyramid(path: Path, rgb: np.ndarray, kind: str) -> None:
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 250.0, "PhysicalSizeYUnit": "nm"}
    tile = {"photometric": "rgb", "tile": (128, 128)}
    with tifffile.TiffWriter(path, bigtiff=kind == "OME") as writer:
        if kind == "OME":
            writer.write(rgb, subifds=2, metadata=metadata, **tile)
            for step in (2, 4):
                writer.write(rgb[::step, ::step], subfiletype=1, **tile)
        elif kind == "Aperio":
            head = f"Aperio Image Library v11\n{WIDTH}x{HEIGHT} |AppMag = 20|MPP = 0.2500"
            writer.write(rgb, description=head, metadata=None, **tile)
            writer.write(rgb[:70, :90], photometric="rgb", description=head, metadata=None)
            for step in (2, 4):
                writer.write(rgb[::step, ::step], description=head, metadata=None, **tile)
            writer.write(rgb[:50, :50], photometric="rgb", description=f"{head}\nlabel", metadata=None)
        else:
            for step in (1, 2, 4):
                marked = {"subfiletype": int(step > 1)}
                unit = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
                writer.write(rgb[::step, ::step], metadata=None, **tile, **marked, **unit)
            writer.write(rgb[:50, :50], photometric="rgb", metadata=None)  # the label, of another form


@pytest.mark.parametrize("kind", ["OME", "Aperio", "pages"])
def test_pyramids_and_the_size_of_a_pixel(tmp_path, rgb, kind):
    path = tmp_path / ("a.svs" if kind == "Aperio" else "a.ome.tif" if kind == "OME" else "a.tif")
    write_pyramid(path, rgb, kind)
    slide = open_tiff(path)
    assert len(slide.levels) == 3
    for level, step in zip(slide.levels, (1, 2, 4), strict=True):
        np.testing.assert_array_equal(level.compute(), rgb[::step, ::step])
    assert slide.microns_per_pixel == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize(
    ("layout", "share"),
    [
        *((layout, 0.6) for layout in LAYOUTS),
        *((layout, share) for layout in ("compressed strips", "tiles") for share in (0.999, 0.02)),
    ],
)
def test_a_truncated_file_is_named_at_once(tmp_path, rgb, layout, share):
    path = tmp_path / "broken.tif"
    tifffile.imwrite(path, rgb, photometric="rgb", **LAYOUTS[layout])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"broken\.tif is (cut short|no complete TIFF)"):
        open_tiff(path)


@pytest.mark.parametrize("kind", ["OME", "Aperio", "pages"])
def test_a_truncated_pyramid_is_named_at_once(tmp_path, rgb, kind):
    path = tmp_path / "broken.tif"
    write_pyramid(path, rgb, kind)
    whole = path.read_bytes()
    for share in (0.98, 0.8, 0.3, 0.001):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match=r"broken\.tif is (cut short|no complete TIFF)"):
            open_tiff(path)


def test_what_is_no_slide_is_named(tmp_path, rgb):
    path = tmp_path / "a.tif"
    (path).write_bytes(b"")
    with pytest.raises(ValueError, match="no complete TIFF"):
        open_tiff(path)
    path.write_bytes(b"hello, I am no image")
    with pytest.raises(ValueError, match="no complete TIFF"):
        open_tiff(path)
    cases = [
        (np.zeros((5, 64, 64), np.uint8), {"photometric": "minisblack"}, "axes QYX of sizes"),
        (np.zeros((5, 64, 64), np.uint8), {"photometric": "minisblack", "metadata": {"axes": "CYX"}}, "5 channels"),
        (np.zeros((64, 64), np.int32), {}, "type int32"),
        (np.zeros((64, 64), np.uint8), {"photometric": "miniswhite"}, "MINISWHITE; export it as RGB"),
    ]
    for pixels, arguments, message in cases:
        tifffile.imwrite(path, pixels, **arguments)
        with pytest.raises(ValueError, match=message):
            open_tiff(path)


def test_one_huge_compressed_strip_is_refused_and_says_what_to_do(tmp_path, rgb, monkeypatch):
    monkeypatch.setattr(tiff, "MOST_DECODED", 10**6)
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", compression="zlib", rowsperstrip=HEIGHT)
    with pytest.raises(ValueError, match="vips tiffsave"):
        open_tiff(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", rgb, photometric="rgb")
    assert open_tiff(tmp_path / "b.tif").levels[0].shape == rgb.shape, "what is not compressed is read in part"


def test_opening_reads_no_pixel_and_a_corner_little(tmp_path, monkeypatch):
    """A sparse BigTIFF of 12 GB, of which the disk holds only the directory and one tile."""
    side, tile = 65_536, 1024
    path = tmp_path / "huge.tif"
    empty = (np.full((tile, tile, 3), 77, np.uint8) if i == 0 else None for i in range((side // tile) ** 2))
    tifffile.imwrite(
        path,
        empty,
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(tile, tile),
        photometric="rgb",
        bigtiff=True,
        compression="zlib",
    )
    decoded = []
    original = tifffile.TiffPage.decode.func

    def counting(page):
        decode = original(page)

        def count(*args, **kwargs):
            decoded.append(args[1])
            return decode(*args, **kwargs)

        return count

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(counting))
    level = open_tiff(path).levels[0]
    assert level.shape == (side, side, 3) and decoded == []
    assert (level[:10, :10].compute() == 77).all()
    assert len(decoded) <= 4


def test_workers_can_be_sent_it_and_a_file_that_changed_is_read_anew(tmp_path, rgb):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, rgb, photometric="rgb", tile=(128, 128), compression="zlib")
    first = open_tiff(path).levels[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).compute(), rgb)
    tifffile.imwrite(path, 255 - rgb, photometric="rgb", tile=(128, 128), compression="zlib")
    second = open_tiff(path).levels[0]
    assert second.name != first.name
    np.testing.assert_array_equal(second.compute(), 255 - rgb)
