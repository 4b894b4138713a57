"""Spatial factors: the directions of the features that the neighbourhood predicts, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

_RIDGE = 1e-2  # of the mean predictor variance


class SpatialFactors(NamedTuple):
    """What :func:`spatial_factors` finds.

    Attributes
    ----------
    loadings
        (p, d) float64, orthonormal columns from the most to the least predictable variance.
    predicted_variance
        (d,) float64. Variance that the neighbourhood predicts along each factor, in the units of the features squared.
    """

    loadings: np.ndarray
    predicted_variance: np.ndarray


def neighbourhood_mean(adjacency: sp.csr_matrix, *, with_self: bool) -> sp.csr_matrix:
    """(n, n) operator that averages over the neighbours; a spot without any keeps its own value."""
    matrix = (sp.csr_matrix(adjacency) != 0).astype(np.float64)
    lonely = np.asarray(matrix.sum(axis=1)).ravel() == 0
    matrix = matrix + sp.diags(np.ones(len(lonely)) if with_self else lonely.astype(float))
    return (sp.diags(1 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix).tocsr()


def smooth(features: np.ndarray, adjacency: sp.csr_matrix, n_hops: int) -> np.ndarray:
    """(n, p) features averaged ``n_hops`` times over each spot and its neighbours."""
    mean = neighbourhood_mean(adjacency, with_self=True)
    for _ in range(n_hops):
        features = mean @ features
    return features


def spatial_factors(
    features: np.ndarray, adjacency: sp.csr_matrix, n_factors: int, *, n_hops: int = 2
) -> SpatialFactors:
    """Reduced-rank regression of every spot's features on those of its neighbourhood, the spot itself left out.

    Noise that is independent between spots cannot be predicted from neighbours, so it gets no factor however large its
    variance is; principal components would begin with it.

    Parameters
    ----------
    features
        (n, p), centred.
    adjacency
        (n, n) sparse neighbourhoods without the diagonal.
    n_factors
        Number of factors; fewer come back if the features allow no more.
    n_hops
        Range of the neighbourhood.

    References
    ----------
    Izenman, J. Multivariate Analysis 1975 (reduced-rank regression).
    """
    around = neighbourhood_mean(adjacency, with_self=False) @ smooth(features, adjacency, n_hops - 1)
    around = around - around.mean(axis=0)
    gram = around.T @ around
    gram.flat[:: len(gram) + 1] += _RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12)
    predicted = around @ scipy.linalg.solve(gram, around.T @ features, assume_a="pos")
    variance, axes = np.linalg.eigh(predicted.T @ predicted / len(predicted))
    order = np.argsort(variance)[::-1][: min(n_factors, len(variance))]
    axes = axes[:, order]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)
    return SpatialFactors(axes, variance[order].clip(min=0))
