"""Which patches of a slide its stain is best taken from: arrays in, rows out."""

from __future__ import annotations

import numpy as np

from multist.histology.stains import CLEAR, optical_density, unstained_pixels

WEIGHTS = {"tissue": 0.3, "balance": 0.25, "contrast": 0.2, "texture": 0.15, "spread": 0.1}
"""Share of each quality in a patch's score, those of MultiST (arXiv 2601.13331)."""

BEST = 0.3
"""Share of the patches, by score, among which the reference is chosen."""

CHOSEN = 0.05
"""Share of all patches that become the reference."""

MIN_CHOSEN = 4

FOREIGN = 3.0
"""Robust standard deviations from the slide's hue beyond which a pixel shows neither stain.

From 2 to 4.5 the densities of a reference without blood move by 0.01 at most, and with much of it by 0.1.
"""


def patch_densities(patches: np.ndarray, white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optical densities (n, p, p, 3) of (n, p, p, 3) uint8 patches, and (n, p, p) bool of the stained pixels.

    ``white`` is the glass, (3,). The patches are those of one slide, which decides what counts as blood.
    """
    density = optical_density(patches, white)
    stained = (density.mean(axis=-1) > CLEAR) & ~unstained_pixels(patches, white)
    return density, stained & ~foreign_pixels(density, stained)


def foreign_pixels(density: np.ndarray, stained: np.ndarray) -> np.ndarray:
    """Blood and brown pigment, (n, p, p) bool: they absorb more blue beside green than either stain does.

    A pixel counts if it lies far from the slide's typical pixel both in that ratio, which pale pixels alone have by
    noise, and in the density of blue that it has too much, which dark pixels alone have by their darkness.
    """
    blue, green = density[..., 2], np.maximum(density[..., 1], 1e-3)
    if not stained.any():
        return np.zeros_like(stained)
    ratio = blue / green
    typical = np.median(ratio[stained])
    foreign = np.ones_like(stained)
    for distance in (ratio - typical, blue - typical * green):
        near = distance[stained]
        foreign &= distance > FOREIGN * 1.4826 * np.median(np.abs(near - np.median(near)))
    return foreign


def score_patches(density: np.ndarray, stained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well each patch shows the slide's stain.

    Five qualities in [0, 1]: the share of *tissue*; the *balance* of bluish and pink pixels, split at the slide's
    median hue in optical density; *contrast* (standard deviation of the density); *texture* (mean gradient of the
    density); colour *spread* (standard deviation of the differences between channels). The last three are scaled
    between the 5th and 95th percentile of the slide. All are taken over stained pixels only.

    Parameters
    ----------
    density
        (n, p, p, 3) optical densities.
    stained
        (n, p, p) bool.

    Returns
    -------
    score
        (n,) in [0, 1]; 0 where nothing is stained.
    features
        (n, 9) mean and standard deviation of the densities, balance, texture and spread, to tell patches apart.
    """
    weight = stained.astype(np.float32)
    count = np.maximum(weight.sum(axis=(1, 2)), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        shape = (slice(None), *[None] * (values.ndim - 3))
        total = np.einsum("nij...,nij->n...", values, weight)
        return total / count[shape] if values.ndim > 3 else total / count

    def deviation(values: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(mean(values**2) - mean(values) ** 2, 0))

    grey = density.mean(axis=-1)
    tissue = weight.mean(axis=(1, 2))
    hue = density[..., 0] / np.maximum(density[..., 1], 1e-3)  # haematoxylin absorbs red, eosin hardly does
    bluish = mean((hue > (np.median(hue[stained]) if stained.any() else 1.0)).astype(np.float32))
    balance = 4 * bluish * (1 - bluish)
    gradient = np.zeros_like(grey)
    gradient[:, :-1, :-1] = np.hypot(np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1])
    texture, contrast = mean(gradient), deviation(grey)
    spread = deviation(density - grey[..., None]).mean(axis=-1)
    qualities = {
        "tissue": tissue,
        "balance": balance,
        "contrast": _unit_range(contrast),
        "texture": _unit_range(texture),
        "spread": _unit_range(spread),
    }
    score = sum((WEIGHTS[name] * value for name, value in qualities.items()), start=np.zeros(len(density)))
    features = np.column_stack([mean(density), deviation(density), balance, texture, spread])
    return np.where(stained.any(axis=(1, 2)), score, 0.0), features


def _unit_range(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, [5, 95])
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def choose_patches(score: np.ndarray, features: np.ndarray, *, random_state: int = 0) -> np.ndarray:
    """Rows of a diverse set of good patches: the medoids of k-means among the best.

    Parameters
    ----------
    score, features
        (n,) and (n, d) from :func:`score_patches`.
    random_state
        Seed of k-means.

    Returns
    -------
    (k,) sorted rows; k is a twentieth of n, but at least 4 where there are as many with a score above 0.
    """
    from sklearn.cluster import KMeans

    usable = np.flatnonzero(score > 0)
    n_best = min(len(usable), max(MIN_CHOSEN, round(BEST * len(score))))
    best = usable[np.argsort(-score[usable], kind="stable")[:n_best]]
    count = min(len(best), max(MIN_CHOSEN, round(CHOSEN * len(score))))
    if count == len(best):
        return np.sort(best)
    points = features[best]
    points = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-9)
    fit = KMeans(count, n_init=1, random_state=random_state).fit(points)
    distance = np.linalg.norm(points - fit.cluster_centers_[fit.labels_], axis=1)
    order = np.lexsort((distance, fit.labels_))
    first = np.concatenate([[True], np.diff(fit.labels_[order]) != 0])
    return np.sort(best[order[first]])
