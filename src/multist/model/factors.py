"""Spatial factors: the combinations of features that the neighbourhood predicts best, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

_RIDGE = 1e-2  # of the mean variance: directions that hardly vary cannot become factors
_NOISE_LEFT = 0.05  # share of noise that averaging may leave in the factor below
_JUDGED = 2  # 0-based: the third factor, past the one or two contrasts that are plain in any neighbourhood
LEAST = 0.05  # share of a factor's variance that the neighbourhood has to predict beyond chance
_FEWEST_HOPS, _MOST_HOPS = 2, 12
ENOUGH = 20_000
"""Spots from which factors are found, since only matrices of p x p are estimated; with more, numbers are float32."""

_BLOCK = 2048  # spots whose neighbourhoods are held at once


class SpatialFactors(NamedTuple):
    """What :func:`spatial_factors` finds.

    Attributes
    ----------
    loadings
        (p, d) float64. Scaled so that the scores, averaged over the neighbourhood, have the predictability as standard deviation.
    predictability
        (d,) float64 from high to low. Share of a factor's variance at single spots that the neighbourhood predicts.
    """

    loadings: np.ndarray
    predictability: np.ndarray


def neighbourhood_mean(adjacency: sp.csr_matrix, *, with_self: bool) -> sp.csr_matrix:
    """(n, n) operator that averages over the neighbours; a spot without any keeps its own value."""
    if adjacency.shape[0] > ENOUGH and with_self:
        return _light_mean(sp.csr_matrix(adjacency))
    matrix = (sp.csr_matrix(adjacency) != 0).astype(np.float64)
    lonely = np.asarray(matrix.sum(axis=1)).ravel() == 0
    matrix = matrix + sp.diags(np.ones(len(lonely)) if with_self else lonely.astype(float))
    return (sp.diags(1 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix).tocsr()


def _light_mean(adjacency: sp.csr_matrix) -> sp.csr_matrix:
    """The same with the spot itself, in float32 and without intermediate matrices."""
    identity = sp.identity(adjacency.shape[0], dtype=np.float32, format="csr")
    near = adjacency.astype(np.float32)
    near.eliminate_zeros()
    near.data = np.ones_like(near.data)
    near = (near + identity).tocsr()
    near.data = np.repeat(1 / np.diff(near.indptr), np.diff(near.indptr)).astype(np.float32)
    return near


def smooth(features: np.ndarray, adjacency: sp.csr_matrix, n_hops: int) -> np.ndarray:
    """(n, p) features averaged ``n_hops`` times over each spot and its neighbours."""
    mean = neighbourhood_mean(adjacency, with_self=True)
    for _ in range(n_hops):
        features = mean @ features
    return features


def surroundings(features: np.ndarray, adjacency: sp.csr_matrix, n_hops: int, spots: np.ndarray) -> np.ndarray:
    """Features of some ``spots`` (m,) averaged as by :func:`smooth`, but without what returns to a spot of its own value.

    Returns (m, p); a spot without neighbours gets zeros, so that nothing is said of it.
    """
    mean = neighbourhood_mean(adjacency, with_self=True)
    around = []
    for rows in np.array_split(spots, -(-len(spots) // _BLOCK)):
        weights = mean[rows]
        for _ in range(n_hops - 1):
            weights = weights @ mean
        own = np.asarray(weights[np.arange(len(rows)), rows]).ravel()[:, None]
        others = (weights @ features - own * features[rows]) / np.maximum(1 - own, 1e-9)
        around.append(np.where(own < 1 - 1e-9, others, 0))
    return np.concatenate(around)


def spatial_factors(
    features: np.ndarray, adjacency: sp.csr_matrix, n_factors: int, *, n_hops: int = 2, random_state: int = 0
) -> SpatialFactors:
    """Canonical correlation of every spot's features with those of its neighbourhood.

    The spot itself is left out, so noise that is independent between spots is not predicted, however loud it is, where
    principal components would begin with the loudest. Factors that are predicted hardly better than the best factor of
    the same spots shuffled in space are left out, except for the first.

    Parameters
    ----------
    features
        (n, p), centred.
    adjacency
        (n, n) sparse neighbourhoods without the diagonal.
    n_factors
        Number of factors at most.
    n_hops
        Range of the neighbourhood.
    random_state
        Seed of the shuffle, and of the 20,000 spots that are judged where there are more.

    References
    ----------
    Hotelling, Biometrika 1936 (canonical correlation); Switzer & Green 1984 (spatial autocorrelation factors).
    """
    n, p = features.shape
    rng = np.random.default_rng(random_state)
    spots = np.sort(rng.choice(n, ENOUGH, replace=False)) if n > ENOUGH else np.arange(n)
    covariance = (features.T @ features).astype(np.float64) / n
    covariance.flat[:: p + 1] += _RIDGE * max(float(np.trace(covariance)) / p, 1e-12)
    variance, axes = np.linalg.eigh(covariance)
    whiten = axes / np.sqrt(variance)
    if n > ENOUGH:  # whitening commutes with averaging, and some spots are less than all
        own, around = features[spots] @ whiten, surroundings(features, adjacency, n_hops, spots) @ whiten
        shuffled = own[rng.permutation(len(spots))]
    else:
        own = features @ whiten
        around, shuffled = surroundings(own, adjacency, n_hops, spots), own[rng.permutation(spots)]
    around = around - around.mean(axis=0)
    chance = _predicted(shuffled, around)[0][0]
    predictability, rotation = _predicted(own, around)
    n_kept = int(np.clip((predictability > chance + LEAST * (1 - chance)).sum(), 1, n_factors))
    predictability = predictability[:n_kept].clip(0, 1)
    loadings = _signed(whiten @ rotation[:, :n_kept])
    spread = smooth(features @ loadings.astype(features.dtype), adjacency, n_hops).std(axis=0, dtype=np.float64)
    return SpatialFactors(loadings * predictability / np.maximum(spread, 1e-9), predictability)


def range_of_neighbourhood(features: np.ndarray, adjacency: sp.csr_matrix) -> int:
    """How many hops to average over, so that what remains of the noise of single spots is small.

    A Visium spot says much about its surroundings, a single cell little: its type differs from its neighbour's within one
    domain. The less the neighbourhood predicts of a factor, the more spots it takes to average the rest away.
    """
    predictability = spatial_factors(features, adjacency, _JUDGED + 1).predictability
    judged = max(float(predictability[-1]), 1e-3)
    wanted = (1 - judged) / judged / _NOISE_LEFT
    rows = np.linspace(0, adjacency.shape[0] - 1, min(64, adjacency.shape[0])).astype(int)
    mean = neighbourhood_mean(adjacency, with_self=True)
    weights = mean[rows]
    for n_hops in range(_FEWEST_HOPS, _MOST_HOPS + 1):
        weights = weights @ mean
        averaged = np.median(1 / np.asarray(weights.multiply(weights).sum(axis=1)))
        if averaged >= wanted:
            return n_hops
    return _MOST_HOPS


def joint_loadings(scores: np.ndarray, adjacency: sp.csr_matrix, n_factors: int, *, n_hops: int) -> np.ndarray:
    """(p, d) orthonormal principal axes of (n, p) factor scores averaged over the neighbourhood."""
    smoothed = smooth(scores, adjacency, n_hops)
    smoothed = smoothed - smoothed.mean(axis=0, dtype=np.float64).astype(smoothed.dtype)
    variance, axes = np.linalg.eigh((smoothed.T @ smoothed).astype(np.float64))
    return _signed(axes[:, np.argsort(variance)[::-1][:n_factors]])


def _predicted(white: np.ndarray, around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Explained shares, from high to low, and the rotation of the whitened features to them."""
    gram = around.T @ around
    gram.flat[:: len(gram) + 1] += _RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12)
    predicted = around @ scipy.linalg.solve(gram, around.T @ white, assume_a="pos")
    share, rotation = np.linalg.eigh(predicted.T @ predicted / len(white))
    return share[::-1], rotation[:, ::-1]


def _signed(axes: np.ndarray) -> np.ndarray:
    """Eigenvectors have no sign of their own: make the largest entry of each column positive."""
    return axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)
