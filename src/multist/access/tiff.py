"""TIFF files of any size as lazy pyramids: only what is looked at is read."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import dask.array as da
import numpy as np

if TYPE_CHECKING:
    import tifffile

TILE = 2048
"""Side of the chunks, in pixels; tiles of a file are joined up to about this size."""

_STRIP_BYTES = 32 * 2**20  # of a chunk as wide as the image, where the file is made of strips
_MAX_SEGMENT = 2**30  # a compressed strip or tile is decoded whole
_MICRONS = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "inch": 25400.0}
_PLAUSIBLE = 20.0  # micrometres; a coarser pixel is a printer's resolution, such as 72 dpi, and not a microscope's


@dataclass(frozen=True)
class Slide:
    """What a file holds.

    Attributes
    ----------
    levels
        Lazy (height, width, channel) arrays, finest first.
    rgb
        Whether the file says that the channels are red, green, blue (and alpha).
    microns_per_pixel
        Width and height of a pixel of the finest level; None where the file does not say.
    """

    levels: tuple[da.Array, ...]
    rgb: bool
    microns_per_pixel: tuple[float, float] | None


@dataclass(frozen=True)
class TiffLevel:
    """One level of a TIFF file as dask reads it; opened once in every process, so that workers can be sent it."""

    path: str
    stamp: tuple[int, int]
    series: int
    level: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Pixels in the axes of the file."""
        try:
            found = np.asarray(_source(self.path, self.stamp, self.series, self.level)[index])
        except (OSError, ValueError, RuntimeError, struct.error) as error:
            raise OSError(f"{self.path} cannot be read at {index}: {error}") from error
        return found.astype(self.dtype, copy=False)  # the file may have another order of bytes


@dataclass(frozen=True)
class _Contiguous:
    """Pixels that lie in the file as in memory; mapped anew for each window, else what was read would stay in memory."""

    path: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[index])


def open_tiff(path: Path) -> Slide:
    """Open the largest image of a TIFF file, reading no pixel.

    Raises
    ------
    ValueError
        The file is cut short or no TIFF, or holds something else than a flat image of 1, 3 or 4 channels, or
        one strip or tile of it is too large to be decoded.
    ImportError
        The package that decodes its compression is not installed.
    """
    with _opened(path) as tif:
        series: Any  # tifffile's types know less than its documentation
        main, series = max(enumerate(tif.series), key=lambda one: float(np.prod(one[1].shape)))
        axes = _check_kind(path, series)
        places = [(main, k) for k in range(len(series.levels))]
        if len(places) == 1:
            places += [(i, 0) for i, one in enumerate(tif.series) if i != main and _is_smaller_copy(one, series)]
        places.sort(key=lambda place: -float(np.prod(tif.series[place[0]].levels[place[1]].shape)))
        stat = path.stat()
        stamp = stat.st_size, stat.st_mtime_ns
        levels = []
        for number, k in places:
            level = tif.series[number].levels[k]
            _check_segments(path, level, stat.st_size)
            source = TiffLevel(str(path), stamp, number, k, level.shape, level.dtype)
            name = f"tiff-{path.name}-{da.core.tokenize(source)}"
            array = da.from_array(
                source, chunks=_chunks(level, axes), name=name, meta=np.empty((0,) * len(axes), level.dtype)
            )
            array = array[..., None] if "C" not in axes else array
            levels.append(da.moveaxis(array, 0, 2) if axes[0] == "C" else array)
        rgb = series.keyframe.photometric.name in ("RGB", "YCBCR")
        return Slide(tuple(levels), rgb, _microns_per_pixel(tif, series))


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file with its directory read, or a ValueError that says what is wrong with it."""
    import tifffile

    complaints: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        with tifffile.TiffFile(path) as tif:
            _ = tif.series
            lost = [text for text in complaints if "invalid page offset" in text or "invalid value offset" in text]
            if lost or not tif.series:
                raise ValueError(_cut_short(path, lost[0] if lost else "it holds no image"))
            yield tif
    except (tifffile.TiffFileError, struct.error) as error:
        raise ValueError(f"{path} is no complete TIFF file: {error}") from error
    finally:
        logger.removeHandler(handler)


def _cut_short(path: Path, what: str) -> str:
    return f"{path} is cut short ({what}); copy or export it again"


def _check_kind(path: Path, series: Any) -> str:
    """The axes with "C" for the channels, ``"YX"``, ``"YXC"`` or ``"CYX"``."""
    axes, shape, page = series.axes, series.shape, series.keyframe
    unified = axes.replace("S", "C")
    if unified not in ("YX", "YXC", "CYX"):
        raise ValueError(
            f"{path} holds axes {axes} of sizes {shape}; a slide has height, width and colours only: export one plane of it"
        )
    channels = shape[unified.index("C")] if "C" in unified else 1
    if channels not in (1, 3, 4):
        raise ValueError(f"{path} has {channels} channels; histology has 1 (grey), 3 (RGB) or 4 (RGBA)")
    if series.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"{path} has pixels of type {series.dtype}; export it as 8 or 16 bit, or float32 in 0-1")
    if page.photometric.name not in ("RGB", "YCBCR", "MINISBLACK"):
        raise ValueError(f"{path} stores its colours as {page.photometric.name}; export it as RGB")
    return unified


def _is_smaller_copy(other: Any, series: Any) -> bool:
    """Whether a page that the file does not declare to be a level of the pyramid is one by its shape."""
    if other.axes != series.axes or other.dtype != series.dtype:
        return False
    places = [series.axes.index(axis) for axis in "YX"]
    large, small = (np.array([one.shape[place] for place in places]) for one in (series, other))
    factors = large / small
    return factors.min() > 1.5 and abs(factors[0] - factors[1]) <= factors.max() / small.min()


def _check_segments(path: Path, level: Any, size: int) -> None:
    """Raise if tiles or strips lie beyond the end of the file or cannot be decoded."""
    from tifffile import TIFF

    for page in level.pages:
        key = page.keyframe
        counts, offsets = page.databytecounts, page.dataoffsets
        expected = int(np.prod(key.chunked))
        # neighbouring strips of an uncompressed image are given as one
        missing = 0 if len(offsets) in (1, expected) else expected - len(offsets)
        missing += int((np.add(offsets, counts) > size).sum()) if len(offsets) else 0
        if missing or not len(offsets):
            kind = "tiles" if key.is_tiled else "strips"
            raise ValueError(
                _cut_short(path, f"{missing or expected} of {expected} {kind} lie beyond its end at {size:,} bytes")
            )
        if key.compression not in (1, None) and key.compression not in TIFF.DECOMPRESSORS:
            raise ImportError(f"{path} is compressed by {key.compression.name}: pip install imagecodecs")
        if key.compression != 1 and np.prod(key.chunks) * key.dtype.itemsize > _MAX_SEGMENT:
            raise ValueError(
                f"{path} is compressed in pieces of {key.chunks} pixels, each of which must be decoded whole; "
                "save it in tiles, for example by `vips tiffsave in.tif out.tif --tile --pyramid --compression jpeg`"
            )


def _chunks(level: Any, axes: str) -> tuple[int, ...]:
    """Multiples of the file's tiles or strips, so that none is decoded for two chunks."""
    page, shape = level.keyframe, dict(zip(axes, level.shape, strict=True))
    if level.dataoffset is not None:
        tall = wide = TILE  # pixels lie in the file as in memory, so that any window can be read
    elif page.is_tiled:
        tall, wide = (max(1, TILE // side) * side for side in (page.tilelength, page.tilewidth))
    else:
        row = shape["X"] * shape.get("C", 1) * level.dtype.itemsize
        rows = page.rowsperstrip
        tall, wide = max(1, _STRIP_BYTES // (row * rows)) * rows, shape["X"]
    size = {"Y": min(tall, shape["Y"]), "X": min(wide, shape["X"]), "C": shape.get("C", 1)}
    return tuple(size[axis] for axis in axes)


@lru_cache(maxsize=32)
def _source(path: str, stamp: tuple[int, int], series: int, level: int) -> Any:
    """An array that reads from the file, kept open; ``stamp`` tells a file from its successor of the same name."""
    import tifffile

    tif = tifffile.TiffFile(path)
    one = tif.series[series]
    page = one.levels[level]
    if page.dataoffset is not None:
        tif.close()
        return _Contiguous(path, page.dtype.newbyteorder(tif.byteorder), page.dataoffset, page.shape)
    import zarr

    return zarr.open_array(one.aszarr(level=level), mode="r")


def _microns_per_pixel(tif: tifffile.TiffFile, series: Any) -> tuple[float, float] | None:
    """From OME metadata, an Aperio description or the resolution tags, in this order."""
    if tif.ome_metadata:
        pixels = ElementTree.fromstring(tif.ome_metadata).find(".//{*}Pixels")
        if pixels is not None and "PhysicalSizeX" in pixels.attrib:
            sizes = [
                float(pixels.attrib.get(f"PhysicalSize{axis}", pixels.attrib["PhysicalSizeX"]))
                * _MICRONS.get(pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm"), np.nan)
                for axis in "XY"
            ]
            return (sizes[0], sizes[1]) if np.isfinite(sizes).all() else None
    page = series.keyframe
    stated = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", page.description)
    if stated:
        return float(stated[1]), float(stated[1])
    unit = {2: "inch", 3: "cm", 4: "mm", 5: "um"}.get(int(page.resolutionunit or 1))
    if unit is None or min(page.resolution) <= 0:
        return None
    width, height = (_MICRONS[unit] / number for number in page.resolution)
    return (width, height) if max(width, height) < _PLAUSIBLE else None
