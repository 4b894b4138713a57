"""Windows of lazy images: every chunk is computed about once, however many windows lie on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

CACHE_BYTES = 512 * 2**20
"""Chunks of an image that are kept for the next windows, in bytes."""

Box = tuple[int, int, int, int]
"""Top, bottom, left and right of a window in pixels, the ends past the last pixel."""

Key = tuple[str, int, int]


class ChunkCache:
    """The chunks that were used last.

    Slicing a dask array computes every chunk that the slice touches, and computes it again for the next slice. Here the
    chunks of neighbouring windows are computed together, so in parallel and on whatever dask client is active,
    and kept until newer ones fill ``CACHE_BYTES``; one is always kept. Not to be shared between threads.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self._held: OrderedDict[Key, np.ndarray] = OrderedDict()

    def read(self, array: da.Array, box: Box) -> np.ndarray:
        """The pixels of a window that lies on the image."""
        top, bottom, left, right = box
        self.fetch(array, [box])
        window = np.empty((bottom - top, right - left, *array.shape[2:]), array.dtype)
        for i, y0, y1, start_y in _overlaps(array.chunks[0], top, bottom):
            for j, x0, x1, start_x in _overlaps(array.chunks[1], left, right):
                key = (array.name, i, j)
                if key not in self._held:  # the window is larger than the cache
                    self._compute(array, [key])
                part = self._held[key][y0 - start_y : y1 - start_y, x0 - start_x : x1 - start_x]
                window[y0 - top : y1 - top, x0 - left : x1 - left] = part
        return window

    def fetch(self, array: da.Array, boxes: Sequence[Box]) -> None:
        """Compute together what some windows need and the cache lacks, as far as it fits."""
        missing: list[Key] = []
        size = 0
        for key in dict.fromkeys(key for box in boxes for key in _touched(array, box)):
            if key in self._held:
                self._held.move_to_end(key)
            elif size + _nbytes(array, key) <= CACHE_BYTES or not missing:
                missing.append(key)
                size += _nbytes(array, key)
        if missing:
            self._compute(array, missing)

    def groups(self, array: da.Array, boxes: Sequence[Box]) -> Iterator[list[int]]:
        """Fetch runs of consecutive windows whose chunks fill half of the cache at most, and give their positions."""
        start, size, keys = 0, 0, set[Key]()
        for position, box in enumerate(boxes):
            new = set(_touched(array, box)) - keys
            more = sum(_nbytes(array, key) for key in new)
            if position > start and size + more > CACHE_BYTES / 2:
                self.fetch(array, boxes[start:position])
                yield list(range(start, position))
                start, keys = position, set()
                new = set(_touched(array, box))
                size, more = 0, sum(_nbytes(array, key) for key in new)
            size, keys = size + more, keys | new
        self.fetch(array, boxes[start:])
        yield list(range(start, len(boxes)))

    def _compute(self, array: da.Array, keys: list[Key]) -> None:
        import dask

        # room is made first, so that old and new chunks together stay within the limit
        self._forget(sum(_nbytes(array, key) for key in keys))
        # one cut around all of them, since each cut of a large graph takes time
        top, left = min(i for _, i, _ in keys), min(j for _, _, j in keys)
        bottom, right = max(i for _, i, _ in keys) + 1, max(j for _, _, j in keys) + 1
        around = array.blocks[top:bottom, left:right].to_delayed()
        blocks = dask.compute(*(around[i - top, j - left].item() for _, i, j in keys))
        for key, block in zip(keys, blocks, strict=True):
            self._held[key] = block
            self.nbytes += block.nbytes

    def _forget(self, room: int) -> None:
        while self._held and self.nbytes + room > CACHE_BYTES:
            self.nbytes -= self._held.popitem(last=False)[1].nbytes


def columns_that_fit(array: da.Array, height: float) -> float:
    """How many columns of pixels fit a cache with all chunks under a window of this height."""
    tall = max(array.chunks[0])
    rows = min(np.ceil(height / tall) + 1, len(array.chunks[0]))
    bytes_per_column = rows * tall * array.dtype.itemsize * int(np.prod(array.shape[2:]))
    return float(CACHE_BYTES / bytes_per_column)


def strip_width(array: da.Array, height: float) -> float:
    """How wide a strip of an image may be so that the chunks under a window of this height, all along it, fit a cache.

    A walk through the image strip by strip, and from top to bottom within each, computes a chunk again only where it
    lies across two strips.
    """
    fits = columns_that_fit(array, height)
    if fits >= array.shape[1]:
        return float(array.shape[1])
    wide = max(array.chunks[1])
    return float(max(fits - 2 * wide, wide))  # the last two chunks of a strip are needed by the next one too


def _touched(array: da.Array, box: Box) -> list[Key]:
    top, bottom, left, right = box
    columns = _overlaps(array.chunks[1], left, right)
    return [(array.name, i, j) for i, *_ in _overlaps(array.chunks[0], top, bottom) for j, *_ in columns]


def _nbytes(array: da.Array, key: Key) -> int:
    pixels = array.chunks[0][key[1]] * array.chunks[1][key[2]]
    return int(pixels * np.prod(array.shape[2:]) * array.dtype.itemsize)


def _overlaps(sizes: tuple[int, ...], start: int, stop: int) -> list[tuple[int, int, int, int]]:
    """(chunk, first pixel, past the last pixel, first pixel of the chunk) of the chunks that a range meets."""
    ends = np.cumsum(sizes)
    if stop <= max(start, 0) or start >= ends[-1]:
        return []
    first, last = np.searchsorted(ends, [max(start, 0), min(stop, ends[-1]) - 1], side="right")
    return [
        (k, max(start, int(ends[k] - sizes[k])), min(stop, int(ends[k])), int(ends[k] - sizes[k]))
        for k in range(int(first), int(last) + 1)
    ]
