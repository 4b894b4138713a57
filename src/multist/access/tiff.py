"""TIFF files of any size as lazy pyramids: only what is looked at is read."""

from __future__ import annotations

import logging
import struct
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from multist.access.colours import over_white, read_scale
from multist.access.pyramid import MOST_DECODED, TILE, Slide
from multist.access.tiff_colours import read_colours
from multist.access.tiff_metadata import tiff_microns, used_white
from multist.access.tiff_pages import largest_image, level_places

if TYPE_CHECKING:
    import tifffile

_STRIP_BYTES = 32 * 2**20  # of a chunk as wide as the image, where the file is made of strips
_BROKEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
)
"""What tifffile and parsers of XML raise where a file says what cannot be."""


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
        except (*_BROKEN, OSError, ValueError) as error:
            raise OSError(f"{self.path} cannot be read at {index}: {error}") from error
        return found.astype(self.dtype, copy=False)  # the file may have another order of bytes


@dataclass(frozen=True)
class _Contiguous:
    """Pixels that lie in the file as in memory.

    Mapped anew for each window, else what was read would stay in memory.
    """

    path: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[index])


def open_tiff(path: Path) -> Slide:
    """Open the largest image of a TIFF file, reading no pixel.

    Levels, colours and the size of a pixel are those of this image, whatever other images the file holds.

    Raises
    ------
    ValueError
        The file is cut short or no TIFF, or holds something else than a flat image of 1, 3 or 4 channels, or
        one strip or tile of it is too large to be decoded.
    ImportError
        The package that decodes its compression is not installed.
    """
    with _opened(path) as tif:
        series: Any = tif.series  # tifffile's types know less than its documentation
        main = largest_image(series)
        finest = read_colours(path, series[main])
        stat = path.stat()
        stamp = stat.st_size, stat.st_mtime_ns
        levels: list[da.Array] = []
        for number, k in level_places(path, series, main):
            level = series[number].levels[k]
            colours = finest if not levels else read_colours(path, level)
            _check_segments(path, level, stat.st_size)
            source = TiffLevel(str(path), stamp, number, k, level.shape, level.dtype)
            name = f"tiff-{path.name}-{da.core.tokenize(source)}"
            meta = np.empty((0,) * len(colours.axes), level.dtype)
            array = da.from_array(source, chunks=_chunks(level, colours.axes), name=name, meta=meta)
            levels.append(colours.decoded(array))
        white = used_white(tif, series[main])
        if finest.premultiplied:
            opaque = read_scale(levels[-1], path.name).opaque if white is None else white
            levels = [over_white(level, opaque) for level in levels]
        return Slide(tuple(levels), finest.rgb, tiff_microns(path, tif, series[main]), white)


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
        with ExitStack() as stack:
            try:
                tif = stack.enter_context(tifffile.TiffFile(path))
                _ = tif.series
            except ValueError as error:
                raise ValueError(f"{path} is no complete TIFF file: {error}") from error
            lost = [text for text in complaints if "invalid page offset" in text or "invalid value offset" in text]
            if lost or not tif.series:
                raise ValueError(_cut_short(path, lost[0] if lost else "it holds no image"))
            yield tif
    except (*_BROKEN, tifffile.TiffFileError) as error:
        raise ValueError(f"{path} is no complete TIFF file: {error}") from error
    finally:
        logger.removeHandler(handler)


def _cut_short(path: Path, what: str) -> str:
    return f"{path} is cut short ({what}); copy or export it again"


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
            raise ImportError(f"{path} is compressed by {key.compression.name}: pip install 'multist[slides]'")
        if key.compression != 1 and np.prod(key.chunks) * key.dtype.itemsize > MOST_DECODED:
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

    array = zarr.open_array(one.aszarr(level=level), mode="r")
    weakref.finalize(array, tif.close)  # when the last chunk that is read lets go of it
    return array
