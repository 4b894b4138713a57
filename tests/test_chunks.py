"""Windows of a lazy image cost each of its chunks about once, and little memory."""

from __future__ import annotations

from collections import Counter

import dask.array as da
import numpy as np
import pytest

from multist import _chunks
from multist._chunks import ChunkCache, strip_width

CHUNK = 100


def counted(shape: tuple[int, int], chunk: tuple[int, int] = (CHUNK, CHUNK)) -> tuple[da.Array, np.ndarray, Counter]:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    computed: Counter = Counter()

    def block(part: np.ndarray, block_info=None) -> np.ndarray:
        computed[block_info[0]["chunk-location"][:2]] += 1
        return part

    lazy = da.from_array(pixels, chunks=(*chunk, 3)).map_blocks(block, meta=np.empty((0, 0, 0), np.uint8))
    return lazy, pixels, computed


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 5 * CHUNK**2 * 3, 10**9])
def test_windows_are_those_of_the_image_whatever_fits(limit, monkeypatch):
    monkeypatch.setattr(_chunks, "CACHE_BYTES", limit)
    lazy, pixels, _ = counted((430, 520))
    cache = ChunkCache()
    rng = np.random.default_rng(1)
    for _ in range(15):
        top, bottom = np.sort(rng.integers(0, 431, 2))
        left, right = np.sort(rng.integers(0, 521, 2))
        found = cache.read(lazy, (top, bottom, left, right))
        np.testing.assert_array_equal(found, pixels[top:bottom, left:right])
        assert cache.nbytes <= max(limit, CHUNK**2 * 3)
        assert cache.nbytes == sum(chunk.nbytes for chunk in cache._held.values())


@pytest.mark.slow
def test_groups_give_every_window_once_and_compute_ahead(monkeypatch):
    monkeypatch.setattr(_chunks, "CACHE_BYTES", 40 * CHUNK**2 * 3)
    lazy, _, computed = counted((1000, 1000))
    boxes = [(y, y + 30, x, x + 30) for y in range(0, 970, 60) for x in range(0, 970, 60)]
    cache = ChunkCache()
    seen = []
    for group in cache.groups(lazy, boxes):
        before = computed.total()
        for position in group:
            cache.read(lazy, boxes[position])
        assert computed.total() == before, "the whole group was computed together"
        seen += group
    assert seen == list(range(len(boxes)))
    assert computed.total() <= 1.3 * len(computed)


@pytest.mark.slow
def test_a_walk_in_strips_computes_chunks_about_once(monkeypatch):
    """With a cache far smaller than a row of chunks under the windows."""
    lazy, _, computed = counted((900, 3000))
    monkeypatch.setattr(_chunks, "CACHE_BYTES", 36 * CHUNK**2 * 3)
    width = strip_width(lazy, 150)
    assert width == 10 * CHUNK, "twelve columns of three chunks fit, less the two that the next strip shares"
    boxes = [(y, y + 150, x, x + 150) for y in range(0, 750, 75) for x in range(0, 2850, 75)]
    boxes.sort(key=lambda box: (box[2] // width, box[0], box[2]))
    cache = ChunkCache()
    for group in cache.groups(lazy, boxes):
        for position in group:
            cache.read(lazy, boxes[position])
    assert len(computed) == 9 * 30
    assert computed.total() < 1.5 * len(computed)


@pytest.mark.parametrize("limit", [10**9, 1])
def test_a_strip_is_as_wide_as_fits_and_one_column_of_chunks_at_least(limit, monkeypatch):
    monkeypatch.setattr(_chunks, "CACHE_BYTES", limit)
    lazy, _, _ = counted((300, 800), (50, 800))
    assert strip_width(lazy, 20) == 800
