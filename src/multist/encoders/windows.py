"""Averages over a window around every spot, of maps that are made tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

_SPOT_PIXELS = 24  # at least this many working pixels across a spot, if the image has them, and less than twice
_READ_SIDE = 10_000  # side, in source pixels, of what is read at once: 300 MB, so that big chunks are decoded once

Mask = Callable[[np.ndarray, np.ndarray], np.ndarray]
Maps = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


@dataclass
class WorkingImage:
    """A level of a slide, averaged down by a whole number, that is read in windows.

    Attributes
    ----------
    level
        (h, w, 3) uint8, dask or numpy.
    factor
        Pixels of the level across a working pixel.
    scale
        Width of a working pixel in intrinsic pixels.
    """

    level: da.Array
    factor: int
    scale: float
    _read: tuple[int, int, np.ndarray] | None = field(default=None, repr=False)

    def preload(self, y: int, x: int, height: int, width: int) -> None:
        """Read the source of a region at once; windows within it are then cut from memory."""
        full_height, full_width = self.level.shape[:2]
        y0, y1 = (int(np.clip(v * self.factor, 0, full_height)) for v in (y, y + height))
        x0, x1 = (int(np.clip(v * self.factor, 0, full_width)) for v in (x, x + width))
        self._read = (y0, x0, np.asarray(self.level[y0:y1, x0:x1]))

    def window(self, y: int, x: int, height: int, width: int, mask: Mask) -> tuple[np.ndarray, np.ndarray]:
        """(height, width, 3) uint8 at working pixel (y, x), its border repeated off the slide, and the mask there."""
        rows = np.clip(np.arange(y * self.factor, (y + height) * self.factor), 0, self.level.shape[0] - 1)
        columns = np.clip(np.arange(x * self.factor, (x + width) * self.factor), 0, self.level.shape[1] - 1)
        source = self._source(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
        if source.shape[:2] != (len(rows), len(columns)):
            source = source[rows - rows[0]][:, columns - columns[0]]
        at_y, at_x = ((start + np.arange(size) + 0.5) * self.scale for start, size in ((y, height), (x, width)))
        return _reduce(source, self.factor), mask(at_y, at_x)

    def _source(self, y0: int, y1: int, x0: int, x1: int) -> np.ndarray:
        if self._read is not None:
            top, left, block = self._read
            if y0 >= top and x0 >= left and y1 <= top + block.shape[0] and x1 <= left + block.shape[1]:
                return block[y0 - top : y1 - top, x0 - left : x1 - left]
        return np.asarray(self.level[y0:y1, x0:x1])


def working_image(levels: Sequence[da.Array], downsample: Sequence[float], diameter: float) -> WorkingImage:
    """The coarsest reading of a slide at which a spot is still at least 24 pixels wide; the finest level if none is."""
    fine_enough = [i for i, step in enumerate(downsample) if diameter / step >= _SPOT_PIXELS]
    i = fine_enough[-1] if fine_enough else 0
    factor = max(1, int(diameter / downsample[i] / _SPOT_PIXELS))
    return WorkingImage(levels[i], factor, float(downsample[i]) * factor)


def _reduce(source: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return source
    rows = source[::factor].astype(np.uint16)
    for i in range(1, factor):
        rows += source[i::factor]
    out = rows[:, ::factor].astype(np.uint32)
    for i in range(1, factor):
        out += rows[:, i::factor]
    return ((out + factor * factor // 2) // (factor * factor)).astype(np.uint8)


def window_means(
    image: WorkingImage,
    xy: np.ndarray,
    width: np.ndarray,
    maps: Maps,
    *,
    mask: Mask,
    halo: int,
    cell: int,
    tile: int,
) -> dict[str, np.ndarray]:
    """Average maps over a square window around every spot.

    Parameters
    ----------
    image
        The slide at its working resolution.
    xy, width
        (n, 2) and (n,) centres and widths of the windows in working pixels.
    maps
        From (h, w, 3) pixels and (h, w) mask to named maps of (h / cell, w / cell).
    mask
        From intrinsic rows and columns to a mask.
    halo
        Working pixels around a tile that the maps depend on.
    cell, tile
        Widths in working pixels; ``tile`` is a multiple of 16.

    Returns
    -------
    Name to (n,) float64.
    """
    n = len(xy)
    out: dict[str, np.ndarray] = {}
    for rows in _tiles(image, xy, width, halo, tile):
        reach = int(np.ceil(width[rows].max() / 2)) + halo
        low = np.floor((xy[rows].min(axis=0) - reach) / 16).astype(int) * 16
        high = np.ceil((xy[rows].max(axis=0) + reach) / 16).astype(int) * 16
        rgb, weight = image.window(low[1], low[0], high[1] - low[1], high[0] - low[0], mask)
        made = maps(rgb, weight)
        if not out:
            out = {name: np.zeros(n) for name in made}
        means = _box_means(np.stack(list(made.values())), (xy[rows] - low) / cell, width[rows] / cell)
        for name, values in zip(made, means, strict=True):
            out[name][rows] = values
    return out


def _tiles(image: WorkingImage, xy: np.ndarray, width: np.ndarray, halo: int, tile: int) -> Iterator[np.ndarray]:
    """Rows of the spots of each tile; what neighbouring tiles need is read from the slide together."""
    column, row = np.floor(xy / tile).astype(int).T
    per_read = max(1, _READ_SIDE // (image.factor * tile))
    order = np.lexsort((column, row, column // per_read, row // per_read))
    where = np.stack([row // per_read, column // per_read, row, column])[:, order]
    reads = np.flatnonzero((np.diff(where[:2], axis=1) != 0).any(axis=0)) + 1
    for read in np.split(order, reads):
        reach = int(np.ceil(width[read].max() / 2)) + halo + 16
        low, high = np.floor(xy[read].min(axis=0)) - reach, np.ceil(xy[read].max(axis=0)) + reach
        image.preload(int(low[1]), int(low[0]), int(high[1] - low[1]), int(high[0] - low[0]))
        tiles = np.stack([row[read], column[read]])
        yield from np.split(read, np.flatnonzero((np.diff(tiles, axis=1) != 0).any(axis=0)) + 1)


def _box_means(maps: np.ndarray, centre: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(f, n) means of (f, h, w) maps over boxes with fractional edges, from interpolated integral images."""
    integral = np.zeros((maps.shape[0], maps.shape[1] + 1, maps.shape[2] + 1))
    np.cumsum(np.cumsum(maps, axis=1, dtype=np.float64), axis=2, out=integral[:, 1:, 1:])
    x0, x1 = centre[:, 0] - width / 2, centre[:, 0] + width / 2
    y0, y1 = centre[:, 1] - width / 2, centre[:, 1] + width / 2
    total = _at(integral, y1, x1) - _at(integral, y0, x1) - _at(integral, y1, x0) + _at(integral, y0, x0)
    return total / width**2


def _at(integral: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    row, column = np.minimum(row, integral.shape[1] - 2), np.minimum(column, integral.shape[2] - 2)
    dy, dx = y - row, x - column
    top = integral[:, row, column] * (1 - dx) + integral[:, row, column + 1] * dx
    bottom = integral[:, row + 1, column] * (1 - dx) + integral[:, row + 1, column + 1] * dx
    return top * (1 - dy) + bottom * dy
