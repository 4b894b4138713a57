from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from multist.histology import stain_transfer
from multist.histology.stain_reference import StainReference
from multist.histology.stain_transfer import DensityTransfer, linear_transfer, recolour, tissue_moments
from multist.histology.stains import optical_density, stain_basis
from multist.histology.tissue import Overview

WHITE = np.array([240.0, 238.0, 242.0])


def stained(seed: int, n: int = 4000, h: float = 0.5, e: float = 0.5) -> np.ndarray:
    amounts = np.random.default_rng(seed).gamma(4, 1 / 4, (n, 2)) * [h, e]
    return np.clip(np.rint((WHITE + 1) * np.exp(-amounts @ stain_basis()[:2]) - 1), 0, 255).astype(np.uint8)


def test_mean_and_covariance_arrive():
    source, target = (optical_density(stained(seed, h=h), WHITE) for seed, h in ((0, 0.4), (1, 0.8)))
    matrix, offset = linear_transfer(tissue_moments(source), tissue_moments(target))
    moved = tissue_moments(source @ matrix + offset)
    np.testing.assert_allclose(moved[0], target.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(moved[1], np.cov(target.T), atol=2e-3)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)


def test_equal_statistics_are_the_identity():
    moments = tissue_moments(optical_density(stained(0), WHITE))
    matrix, offset = linear_transfer(moments, moments)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-9)
    rgb = stained(0).reshape(40, 100, 3)
    change = DensityTransfer(matrix, offset, WHITE, WHITE)
    assert np.abs(np.stack(change(rgb), -1) - rgb.astype(float)).max() < 0.01


def test_tables_give_the_formula():
    rng = np.random.default_rng(0)
    matrix, offset = np.eye(3) + rng.normal(0, 0.1, (3, 3)), np.array([0.05, 0.1, 0.02])
    rgb = stained(2).reshape(40, 100, 3)
    got = np.stack(DensityTransfer(matrix, offset, WHITE, WHITE - 10)(rgb), -1)
    expected = (WHITE - 9) * np.exp(-np.maximum(optical_density(rgb, WHITE) @ matrix + offset, 0)) - 1
    np.testing.assert_allclose(got, expected, atol=0.01)


@pytest.mark.slow
def test_only_tissue_changes_whatever_the_chunks():
    rgb = stained(0, 40_000).reshape(200, 200, 3)
    rgb[:, 150:] = WHITE.astype(np.uint8)
    rgb[:30] = 0
    rgb[100:103] = (20, 200, 30)
    tissue = np.zeros((100, 100), bool)
    tissue[:, 20:] = True
    overview = Overview(rgb[::2, ::2], 2.0, WHITE, tissue)
    change = DensityTransfer(np.eye(3) * 1.3, np.zeros(3), WHITE, WHITE)
    results = [recolour(da.from_array(rgb, chunks=(c, c, 3)), 1.0, overview, change).compute() for c in (200, 70, 33)]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    same = (results[0] == rgb).all(axis=2)
    assert same[:, :40].all() and same[:30].all() and same[100:103].all() and same[:, 150:].all()
    assert same[30:100, 40:150].mean() < 0.02


def test_too_few_pixels_are_an_error():
    with pytest.raises(ValueError, match="stained pixels"):
        tissue_moments(np.zeros((3, 3)))


def test_reference_is_checked_and_makes_the_round_trip():
    reference = StainReference("patches", white=WHITE, mean=np.ones(3), covariance=np.eye(3), patch_xy=np.ones((2, 2)))
    held = reference.to_dict()
    assert set(held) == {"method", "white", "mean", "covariance", "patch_xy"}
    again = StainReference.from_dict(held)
    assert again.method == "patches" and np.array_equal(again.covariance, np.eye(3))
    assert again.from_elsewhere().patch_xy is None
    for broken, message in (
        ({**held, "mean": np.full(3, np.nan)}, "mean"),
        ({"method": "macenko", "white": WHITE}, "stain_matrix"),
        ({**held, "method": "other"}, "other"),
        ({**held, "extra": 1}, "extra"),
        ({"white": WHITE}, "method"),
    ):
        with pytest.raises(ValueError, match=message):
            StainReference.from_dict(broken)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chunks", "matrix", "offset"),
    [
        ((64, 80, 3), np.eye(3) * 0.7 + 0.1, np.array([0.1, -0.05, 0.02])),
        ((200, 300, 3), np.eye(3) * 1.3, np.zeros(3)),
    ],
    ids=["several chunks", "one chunk"],
)
def test_the_table_of_all_colours_gives_the_same_bits(monkeypatch, chunks, matrix, offset):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    rgb[:50] = WHITE.astype(np.uint8)
    tissue = np.zeros((20, 30), bool)
    tissue[7:16, 4:22] = True
    overview = Overview(np.zeros((20, 30, 3), np.uint8), 10.0, WHITE, tissue)
    lazy = da.from_array(rgb, chunks=chunks)
    change = DensityTransfer(matrix, offset, WHITE, WHITE - 10)
    monkeypatch.setattr(stain_transfer, "_MIN_VALUES_FOR_TABLE", 2**40)
    expected = recolour(lazy, 1.0, overview, change).compute()
    monkeypatch.setattr(stain_transfer, "_MIN_VALUES_FOR_TABLE", 0)
    found = recolour(lazy, 1.0, overview, change).compute()
    np.testing.assert_array_equal(found, expected)
    assert (found[70:160, 40:220] != rgb[70:160, 40:220]).any()
    np.testing.assert_array_equal(found[:70], rgb[:70])
