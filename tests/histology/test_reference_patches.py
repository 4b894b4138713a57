from __future__ import annotations

import numpy as np
import pytest

from multist.histology.reference_patches import choose_patches, patch_densities, score_patches
from multist.histology.stains import stain_basis

WHITE = np.array([240.0, 240.0, 240.0])


def patches(rng: np.random.Generator, n: int, nuclei: float, stain: float = 1.0) -> np.ndarray:
    h = (rng.random((n, 16, 16)) < nuclei) * 0.9 + 0.05
    e = np.full((n, 16, 16), 0.5)
    density = stain * np.stack([h, e], -1) @ stain_basis()[:2]
    return np.rint(240 * np.exp(-density)).astype(np.uint8)


def test_good_tissue_beats_glass_black_and_flat_stain():
    rng = np.random.default_rng(0)
    good, flat = patches(rng, 5, 0.4), patches(rng, 5, 0.0)
    glass, black = np.full((5, 16, 16, 3), 240, np.uint8), np.zeros((5, 16, 16, 3), np.uint8)
    half = good.copy()
    half[:, :8] = 240
    score, features = score_patches(*patch_densities(np.concatenate([good, flat, glass, black, half]), WHITE))
    good_, flat_, glass_, black_, half_ = score.reshape(5, 5)
    assert good_.min() > half_.max() > 0.3
    assert good_.min() > flat_.max()
    assert (glass_ == 0).all() and (black_ == 0).all()
    assert np.isfinite(features).all() and (score <= 1).all()


def test_score_is_of_each_patch_alone():
    stack = patches(np.random.default_rng(0), 30, 0.3)
    score, _ = score_patches(*patch_densities(stack, WHITE))
    order = np.random.default_rng(1).permutation(30)
    again, _ = score_patches(*patch_densities(stack[order], WHITE))
    np.testing.assert_allclose(again, score[order], rtol=1e-5)


@pytest.mark.slow
def test_chosen_patches_are_good_diverse_and_repeatable():
    rng = np.random.default_rng(0)
    kinds = [patches(rng, 40, 0.3, 0.8), patches(rng, 40, 0.5, 1.2), np.full((120, 16, 16, 3), 240, np.uint8)]
    density, stained = patch_densities(np.concatenate(kinds), WHITE)
    score, features = score_patches(density, stained)
    rows = choose_patches(score, features)
    assert len(rows) == 10 == len(set(rows)), "a twentieth of 200"
    assert (rows < 80).all(), "no glass"
    assert score[rows].min() >= np.sort(score)[::-1][59]
    assert np.array_equal(rows, choose_patches(score, features))


def test_few_patches_give_a_few_and_glass_gives_none():
    density, stained = patch_densities(patches(np.random.default_rng(0), 6, 0.3), WHITE)
    assert len(choose_patches(*score_patches(density, stained))) == 4
    glass = patch_densities(np.full((6, 16, 16, 3), 240, np.uint8), WHITE)
    assert len(choose_patches(*score_patches(*glass))) == 0


def test_each_patch_is_measured_against_its_own_glass():
    stack = patches(np.random.default_rng(0), 4, 0.3)
    dim = (stack * 0.7).round().astype(np.uint8)
    (density, _), (dimmed, _) = patch_densities(stack, WHITE), patch_densities(dim, WHITE * 0.7)
    assert np.abs(density - dimmed).max() < 0.05


@pytest.mark.parametrize("rows", [1, 4, 8])
def test_blood_is_no_stain_and_no_reference(rows: int):
    rng = np.random.default_rng(0)
    tissue, lake = patches(rng, 100, 0.3), patches(rng, 100, 0.3)
    blood = np.zeros((100, 16, 16), bool)
    blood[:, :rows] = True
    lake[blood] = 240 * np.exp(-np.array([0.4, 1.3, 1.4]))
    noise = rng.integers(-4, 5, (200, 16, 16, 3))
    stack = (np.concatenate([tissue, lake]).astype(int) + noise).clip(0, 240).astype(np.uint8)
    density, stained = patch_densities(stack, WHITE)
    assert stained[:100].mean() > 0.97, "of tissue nearly all counts"
    assert stained[100:][blood].mean() < 0.03 and stained[100:][~blood].mean() > 0.97
    score, _ = score_patches(density, stained)
    assert score[:100].mean() > score[100:].mean()
