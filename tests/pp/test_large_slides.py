"""Slides larger than memory: each chunk is made about once, on whatever dask client is active, with the same bits."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import tqdm.auto
from spatialdata import SpatialData
from spatialdata.models import Image2DModel

import multist as mt
from multist import _chunks, _progress
from multist.histology import tissue
from multist.pp import embed_histology, normalize_histology

pytestmark = pytest.mark.slow

SIDE, CHUNK, DIAMETER = 1320, 160, 40.0
MADE: list[tuple[int, int]] = []
"""Chunks in the order in which this process made them; threads may append."""


def texture(side: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    h = 0.05 + 1.1 * ((x // 7 * 5 + y // 9 * 3) % 11 < 2)
    e = 0.5 + 0.3 * np.sin(x / 37) * np.cos(y / 29)
    rgb = 238 * np.exp(-np.stack([h, e], -1) @ [[0.65, 0.70, 0.29], [0.1, 0.95, 0.15]])
    return (rgb + rng.normal(0, 1.5, rgb.shape)).clip(0, 255).astype(np.uint8)


def block(pixels: np.ndarray, block_info=None) -> np.ndarray:
    (top, bottom), (left, right), _ = block_info[None]["array-location"]
    MADE.append((top, left))
    if top < CHUNK or bottom > SIDE - CHUNK:
        return np.full((bottom - top, right - left, 3), 238, np.uint8)
    part = pixels[: bottom - top, np.arange(left, right) % CHUNK] - np.uint8(top // CHUNK)
    part[:, np.arange(left, right) < CHUNK] = 238
    return part


@pytest.fixture
def slide(toy):
    """A lazy slide in chunks that nobody holds, or in bands as in files of strips, with glass around the tissue."""

    def make(*, n_spots: int = 150, bands: bool = False):
        sizes = (*[CHUNK] * (SIDE // CHUNK), SIDE % CHUNK)
        rows = (CHUNK // 4,) * (SIDE // (CHUNK // 4)) if bands else sizes
        columns = (SIDE,) if bands else sizes
        meta = np.empty((0, 0, 0), np.uint8)
        image = da.map_blocks(block, texture(CHUNK), chunks=(rows, columns, (3,)), dtype=np.uint8, meta=meta)
        xy = np.random.default_rng(1).uniform(230, SIDE - 270, (n_spots, 2))
        return toy.slide(Image2DModel.parse(da.moveaxis(image, 2, 0), dims=("c", "y", "x")), xy, DIAMETER)

    return make


def mean_colour(batch):
    return batch.mean(dim=(2, 3))


mean_colour.pixels = 64


@pytest.mark.parametrize(
    ("encoder", "held", "bands"), [("texture", 26, False), ("texture", 26, True), (mean_colour, 12, True)]
)
def test_chunks_are_made_about_once_for_each_step(monkeypatch, encoder, held, bands, slide):
    """With a cache that is as small beside the slide as the real one is beside a slide of 60,000 pixels."""
    monkeypatch.setattr(_chunks, "CACHE_BYTES", held * CHUNK**2 * 3)
    sdata = slide(bands=bands)
    n_chunks = SIDE // (CHUNK // 4) if bands else (SIDE // CHUNK + 1) ** 2
    for step in (normalize_histology, lambda data: embed_histology(data, encoder)):
        MADE.clear()
        step(sdata)
        # for the overview of the slide and for the spots; strips of the cache's width overlap a little
        assert len(MADE) <= 2.6 * n_chunks
    assert list(sdata["table"].uns["multist"]["histology"]["image_key"]) == ["he_normalized"]


def test_the_overview_of_what_was_just_normalised_is_not_read_again(monkeypatch, slide):
    sdata = slide(n_spots=40)
    normalize_histology(sdata)
    MADE.clear()
    embed_histology(sdata)
    with_memory = len(MADE)
    expected = sdata["table"].obsm["X_histology"].copy()
    monkeypatch.setattr(tissue, "_REMEMBERED", {})
    MADE.clear()
    embed_histology(sdata)
    assert with_memory < len(MADE)
    np.testing.assert_array_equal(sdata["table"].obsm["X_histology"], expected)


def test_the_cache_changes_no_bit(monkeypatch, slide):
    results = []
    for limit in (1, 2**30):
        monkeypatch.setattr(_chunks, "CACHE_BYTES", limit)
        sdata = slide(n_spots=60)
        normalize_histology(sdata)
        embed_histology(sdata, mean_colour)
        results.append(sdata["table"].obsm["X_histology"])
    np.testing.assert_array_equal(*results)


def steps_on(sdata: SpatialData, client: bool) -> tuple[np.ndarray, ...]:
    normalize_histology(sdata)
    corner = sdata.images["he_normalized"].data[:, 200:500, 200:500].compute()
    embed_histology(sdata, mean_colour, key_added="network")
    embed_histology(sdata)
    table = sdata["table"]
    assert (not MADE) == client, "with a client, chunks are made by its workers"
    return corner, table.obsm["network"], table.obsm["X_histology"], table.uns["multist"]["stain_reference"]["mean"]


def test_two_workers_give_the_same_bits(two_workers, slide):
    MADE.clear()
    expected = steps_on(slide(n_spots=80), client=False)
    MADE.clear()
    with two_workers(__name__) as client:
        found = steps_on(slide(n_spots=80), client=True)
        assert len(client.scheduler_info()["workers"]) == 2
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_long_work_shows_the_time_left(monkeypatch, capsys, slide):
    monkeypatch.setattr(_progress, "DELAY", 0)
    monkeypatch.setattr(tqdm.auto.tqdm, "monitor_interval", 0)
    sdata = slide(n_spots=60)
    monkeypatch.setattr(mt.settings, "progress", True)
    normalize_histology(sdata)
    embed_histology(sdata)
    embed_histology(sdata, mean_colour)
    shown = capsys.readouterr().err
    for what in ("overview of the slide", "stain of the patches", "texture around spots", "patches by mean_colour"):
        assert what in shown
    assert "100%" in shown or "60/60" in shown
    assert "<" in shown, "time gone < time left"
