from __future__ import annotations

from collections import Counter

import dask.array as da
import numpy as np
import pytest

from multist.histology import texture
from multist.histology.spots import typical_diameter
from multist.histology.stains import stain_basis
from multist.histology.texture import feature_names, texture_features
from multist.histology.windows import _box_means

SIDE, DIAMETER = 600, 30.0


def tissue(rng: np.random.Generator, side: int = SIDE, strength: float = 1.0) -> np.ndarray:
    """Left: few nuclei; right: many; a third of it glass at the bottom."""
    y, x = np.mgrid[:side, :side]
    h = np.full((side, side), 0.25)
    e = np.full((side, side), 0.5)
    n = side * side // 250
    for cx, cy in rng.uniform(0, side, (n, 2)):
        if cx > side / 2 or rng.random() < 0.15:
            x0, y0 = max(0, int(cx) - 5), max(0, int(cy) - 5)
            block = np.s_[y0 : y0 + 11, x0 : x0 + 11]
            h[block] += 0.9 * np.exp(-((x[block] - cx) ** 2 + (y[block] - cy) ** 2) / 6)
    density = strength * np.stack([h, e], -1) @ stain_basis()[:2]
    density[int(side * 0.7) :] = 0
    rgb = 240 * np.exp(-density) + rng.normal(0, 1.5, density.shape)
    return rgb.clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return tissue(np.random.default_rng(0))


@pytest.fixture(scope="module")
def xy() -> np.ndarray:
    x, y = np.meshgrid(np.arange(30, 590, 35.0), np.arange(30, 400, 35.0))
    return np.column_stack([x.ravel(), y.ravel()])


def features_of(levels, xy, downsample=(1.0,), diameter=DIAMETER) -> np.ndarray:
    """Features of patches two spots wide."""
    levels = [da.asarray(level) for level in levels]
    return texture_features(levels, downsample, xy, diameter, np.full(len(xy), 2.0 * diameter))


@pytest.fixture(scope="module")
def plain(image, xy) -> np.ndarray:
    """Features of the spots."""
    return features_of([image], xy)


@pytest.fixture(scope="module")
def framed(image) -> np.ndarray:
    """The image with a black frame at its left."""
    framed = image.copy()
    framed[:, :100] = 0
    return framed


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, feature_names().index(name)]


@pytest.mark.slow
def test_nuclei_and_stain_are_told_apart(plain, xy):
    names = feature_names()
    assert plain.shape == (len(xy), len(names))
    assert plain.dtype == np.float32 and np.isfinite(plain).all()
    assert 30 <= len(names) <= 60 and len(set(names)) == len(names)
    right = xy[:, 0] > SIDE / 2 + 30
    left = xy[:, 0] < SIDE / 2 - 30
    for name in ("nuclei_density", "nuclei_area", "H_mean", "H_band_0"):
        assert np.quantile(column(plain, name)[right], 0.05) > np.quantile(column(plain, name)[left], 0.95), name


@pytest.mark.slow
def test_result_depends_on_neither_tiles_nor_chunks_nor_row_order(image, plain, xy, monkeypatch):
    lazy = da.from_array(image, chunks=(170, 130, 3))
    with monkeypatch.context() as patch:
        patch.setattr(texture, "_TILE", 64)
        np.testing.assert_allclose(features_of([lazy], xy), plain, atol=1e-5)
    order = np.random.default_rng(1).permutation(len(xy))
    np.testing.assert_allclose(features_of([image], xy[order]), plain[order], atol=1e-6)
    assert np.array_equal(features_of([image], xy), plain)


@pytest.mark.slow
def test_borders_glass_and_black_give_finite_numbers(framed):
    xy = np.array([[0.0, 0.0], [599, 599], [300, 560], [50, 50], [300, 100], [101, 200], [450, 200]])
    features = features_of([framed], xy)
    assert np.isfinite(features).all()
    assert column(features, "tissue")[[0, 3]].max() < 0.01
    assert column(features, "tissue")[4] > 0.99
    assert 0.3 < column(features, "tissue")[5] < 0.6, "half of the patch lies in the frame"


@pytest.mark.slow
def test_black_frame_does_not_leak_into_a_patch_beside_it(framed):
    xy = np.array([[x, y] for x in (115.0, 180, 240, 400, 500) for y in (60.0, 120, 180, 240, 300)])
    features = features_of([framed], xy)
    beside, far = xy[:, 0] == 115, (xy[:, 0] == 180) | (xy[:, 0] == 240)
    for name in ("H_mean", "E_mean", "R_mean", "H_above_q90", "nuclei_density"):
        spread = column(features, name)[xy[:, 0] < 300].std() + np.ptp(column(features, name)) / 10
        assert abs(column(features, name)[beside].mean() - column(features, name)[far].mean()) < 3 * spread, name


@pytest.mark.slow
def test_a_stronger_stain_is_not_another_texture(xy):
    slides = (tissue(np.random.default_rng(0), strength=strength) for strength in (0.7, 1.2))
    weak, strong = (features_of([slide], xy) for slide in slides)
    for name in ("H_sd", "H_band_1", "nuclei_area", "H_above_surroundings"):
        a, b = column(weak, name), column(strong, name)
        assert np.corrcoef(a, b)[0, 1] > 0.9, name
        assert 0.6 < np.ptp(a) / np.ptp(b) < 1.6, name


@pytest.mark.slow
def test_pyramid_and_scale_of_the_image_hardly_matter(image, plain, xy):
    fine = da.from_array(image.repeat(2, axis=0).repeat(2, axis=1), chunks=800)
    pyramid = features_of([fine, image], xy * 2, [1.0, 2.0], 60)
    averaged = features_of([fine], xy * 2, diameter=60)
    for other in (pyramid, averaged):
        for name in ("H_mean", "nuclei_density", "H_band_1"):
            assert np.corrcoef(column(plain, name), column(other, name))[0, 1] > 0.95, name


@pytest.mark.slow
def test_only_the_chunks_under_spots_are_read():
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"][:2])
        return np.full((500, 500, 3), 200, np.uint8)

    chunks = ((500,) * 10, (500,) * 10, (3,))
    level = da.map_blocks(block, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    coarse = np.full((1250, 1250, 3), 200, np.uint8)
    coarse[:300] = 240
    xy = np.array([[700.0, 1800], [800, 1800]])
    features_of([level, coarse], xy, [1.0, 4.0])
    assert set(read) <= {(3, 0), (3, 1), (3, 2)} and read


def test_box_means_are_exact_for_fractional_windows():
    maps = np.random.default_rng(0).random((2, 20, 30))
    got = _box_means(maps, np.array([[10.25, 8.5]]), np.array([4.5]))[:, 0]
    fine = maps.repeat(4, axis=1).repeat(4, axis=2)  # quarter cells make the edges whole
    expected = fine[:, round((8.5 - 2.25) * 4) : round((8.5 + 2.25) * 4), round((10.25 - 2.25) * 4) : round(12.5 * 4)]
    np.testing.assert_allclose(got, expected.mean(axis=(1, 2)))


def test_typical_diameter_falls_back_to_the_spacing():
    xy = np.array([[0.0, 0], [10, 0], [20, 0]])
    assert typical_diameter(np.array([5, np.nan, 7]), xy) == 6
    assert typical_diameter(np.full(3, np.nan), xy) == 10
    with pytest.raises(ValueError, match="diameter"):
        typical_diameter(np.array([np.nan]), xy[:1])


@pytest.mark.slow
def test_chunks_are_read_for_the_glass_and_for_the_texture_however_many_patches_overlap():
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"][:2])
        return np.full((200, 200, 3), 200, np.uint8)

    level = da.map_blocks(
        block, chunks=((200,) * 3, (200,) * 3, (3,)), dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)
    )
    grid = np.linspace(20, 580, 50)
    xy = np.column_stack([v.ravel() for v in np.meshgrid(grid, grid)])
    features_of([level], xy, diameter=24)
    assert Counter(read) == {(row, col): 2 for row in range(3) for col in range(3)}
