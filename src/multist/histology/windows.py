"""Averages over a window around every spot, of maps that are made tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from multist._chunks import Box, ChunkCache, columns_that_fit, strip_width
from multist._progress import progress_bar

if TYPE_CHECKING:
    import dask.array as da

_MIN_STRIP_ROWS = 64  # working pixels; below, the halo would cost more than chunks that are computed twice
_SPOT_PIXELS = 24  # at least this many working pixels across a spot, if the image has them, and less than twice

Mask = Callable[[np.ndarray, np.ndarray], np.ndarray]
Maps = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]
Place = tuple[int, int, int, int]
"""Row, column, height and width of a window in working pixels."""


@dataclass
class WorkingImage:
    """A level of a slide, averaged down by a whole number, that is read in windows.

    Attributes
    ----------
    level
        (h, w, 3) uint8.
    factor
        Pixels of the level across a working pixel.
    scale
        Width of a working pixel in intrinsic pixels.
    chunks
        What was read last.
    """

    level: da.Array
    factor: int
    scale: float
    chunks: ChunkCache = field(default_factory=ChunkCache, repr=False)

    def box(self, place: Place) -> Box:
        """What is read of the level for a window; where the window is off the slide, the border."""
        rows, columns = (self._pixels(self._working(place, axis), axis) for axis in (0, 1))
        return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1

    def window(self, place: Place, mask: Mask) -> tuple[np.ndarray, np.ndarray]:
        """(height, width, 3) uint8, its border repeated off the slide, and the mask there."""
        working = [self._working(place, axis) for axis in (0, 1)]
        rows, columns = (self._pixels(at, axis) for axis, at in enumerate(working))
        source = self.chunks.read(self.level, self.box(place))
        if source.shape[:2] != (len(rows), len(columns)):
            source = source[rows - rows[0]][:, columns - columns[0]]
        pixels = _reduce(source, self.factor)
        if pixels.shape[:2] != place[2:]:
            pixels = pixels[working[0] - working[0][0]][:, working[1] - working[1][0]]
        at_y, at_x = ((place[axis] + np.arange(place[axis + 2]) + 0.5) * self.scale for axis in (0, 1))
        return pixels, mask(at_y, at_x)

    def _working(self, place: Place, axis: int) -> np.ndarray:
        """Rows or columns of a window in working pixels.

        Off the slide the first one there, since they are all alike.
        """
        start, size = place[axis], place[axis + 2]
        return np.clip(np.arange(start, start + size), -1, -(-self.level.shape[axis] // self.factor))

    def _pixels(self, working: np.ndarray, axis: int) -> np.ndarray:
        """The pixels of the level under them, its border where they are off the slide."""
        pixels = np.arange(working[0] * self.factor, (working[-1] + 1) * self.factor)
        return np.clip(pixels, 0, self.level.shape[axis] - 1)


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
    tile = _low_tile(image, float(width.max()), halo, tile)
    tiles = _tiles(image, xy, width, halo, tile)
    ends = -(-np.array(image.level.shape[1::-1]) // image.factor)
    places = []
    for rows in tiles:
        reach = int(np.ceil(width[rows].max() / 2)) + halo
        # nothing counts off the slide, so windows end there, with what the maps need of the border
        low = np.clip(xy[rows].min(axis=0) - reach, -halo, ends)
        high = np.clip(xy[rows].max(axis=0) + reach, 0, ends + halo)
        left, top = np.floor(low / 16).astype(int) * 16
        right, bottom = np.ceil(high / 16).astype(int) * 16
        places.append((int(top), int(left), int(bottom - top), int(right - left)))
    with progress_bar(n, "texture around spots", "spots") as bar:
        for group in image.chunks.groups(image.level, [image.box(place) for place in places]):
            for position in group:
                rows, place = tiles[position], places[position]
                made = maps(*image.window(place, mask))
                if not out:
                    out = {name: np.zeros(n) for name in made}
                centre = (xy[rows] - [place[1], place[0]]) / cell
                means = _box_means(list(made.values()), centre, width[rows] / cell)
                for name, values in zip(made, means, strict=True):
                    out[name][rows] = values
                bar.update(len(rows))
    return out


def _low_tile(image: WorkingImage, width: float, halo: int, tile: int) -> int:
    """A tile so low that the chunks beside it fit the cache; those of striped files are as wide as the slide."""
    needed = min(image.level.shape[1], 2 * max(image.level.chunks[1]))
    while tile > _MIN_STRIP_ROWS and columns_that_fit(image.level, (tile + 2 * halo + width) * image.factor) < needed:
        tile = max(_MIN_STRIP_ROWS, tile // 32 * 16)
    return tile


def _tiles(image: WorkingImage, xy: np.ndarray, width: np.ndarray, halo: int, tile: int) -> list[np.ndarray]:
    """Rows of the spots of each tile, in an order that goes strip by strip and to and fro within each."""
    column, row = np.floor(xy / tile).astype(int).T
    height = (tile + 2 * halo + float(width.max())) * image.factor
    per_strip = max(1, int(strip_width(image.level, height) // (tile * image.factor)))
    strip = column // per_strip
    order = np.lexsort((np.where(row % 2, -column, column), row, strip))
    places = np.stack([row, column])[:, order]
    return np.split(order, np.flatnonzero((np.diff(places, axis=1) != 0).any(axis=0)) + 1)


def _box_means(maps: Sequence[np.ndarray], centre: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(f, n) means of f maps (h, w) over boxes with fractional edges, from interpolated integral images."""
    height, breadth = maps[0].shape
    integral = np.zeros((height + 1, breadth + 1))
    boxes = _box_corners(integral.shape, centre, width)
    means = np.empty((len(maps), len(centre)))
    for mean, each in zip(means, maps, strict=True):
        np.cumsum(each, axis=1, dtype=np.float64, out=integral[1:, 1:])
        for row in range(2, height + 1):  # numpy's sum down the columns jumps through the memory
            integral[row] += integral[row - 1]
        mean[:] = boxes @ integral.ravel()
    return means / width**2


def _box_corners(shape: tuple[int, int], centre: np.ndarray, width: np.ndarray) -> sp.csr_matrix:
    """(n, h * w) signed weights of the pixels of an integral image that make the sum over each box."""
    low, high = centre - width[:, None] / 2, centre + width[:, None] / 2
    pixels, weights = [], []
    for sign, x, y in ((1, high, high), (-1, high, low), (-1, low, high), (1, low, low)):
        column, row = np.clip(x[:, 0], 0, shape[1] - 1), np.clip(y[:, 1], 0, shape[0] - 1)
        left, top = np.minimum(column.astype(int), shape[1] - 2), np.minimum(row.astype(int), shape[0] - 2)
        part_x, part_y = column - left, row - top
        for down, part_down in ((0, 1 - part_y), (1, part_y)):
            for along, part_along in ((0, 1 - part_x), (1, part_x)):
                pixels.append((top + down) * shape[1] + left + along)
                weights.append(sign * part_down * part_along)
    ends = np.arange(0, len(pixels) * len(centre) + 1, len(pixels))
    return sp.csr_matrix(
        (np.stack(weights, axis=1).ravel(), np.stack(pixels, axis=1).ravel(), ends),
        shape=(len(centre), shape[0] * shape[1]),
    )
