"""From raw feature matrices to what the network reads: scaled expression, weighed image factors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.model.config import MultiSTConfig
from multist.model.factors import smooth, spatial_factors
from multist.model.reliability import held_out_agreement

_CLIP = 5.0  # standard deviations; folds and debris are further out and would each become a domain


class Tokens(NamedTuple):
    """Features of one or more sections, row by row.

    Attributes
    ----------
    expression
        (n, p) float64, centred, total variance one.
    image
        (n, q) float64 image factors, each scaled by its reliability; None without a usable image.
    reliability
        (q,) share of each image factor that expression predicts on held-out tissue; None without an image.
    """

    expression: np.ndarray
    image: np.ndarray | None
    reliability: np.ndarray | None


def make_tokens(
    expression: np.ndarray,
    image: np.ndarray | None,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    config: MultiSTConfig,
    *,
    random_state: int = 0,
) -> Tokens:
    """Scale the (n, p) expression and reduce the (n, q) image features to factors that tissue types explain."""
    expression = _unit_variance(expression[:, : config.n_expression])
    if image is None:
        return Tokens(expression, None, None)
    components = _unit_variance(_principal(_standardize(image), config.n_image))
    factors = _projected(components, adjacency, config)
    if not config.weigh_image:
        return Tokens(expression, factors / np.sqrt(factors.shape[1]), np.ones(factors.shape[1]))
    reliability = held_out_agreement(
        _scaled(smooth(factors, adjacency, config.n_hops)),
        _scaled(smooth(_projected(expression, adjacency, config), adjacency, config.n_hops)),
        xy,
        random_state=random_state,
    )
    if not reliability.any():
        return Tokens(expression, None, reliability)
    return Tokens(expression, factors * reliability / np.sqrt(factors.shape[1]), reliability)


def _projected(features: np.ndarray, adjacency: sp.csr_matrix, config: MultiSTConfig) -> np.ndarray:
    """Spatial factors of single spots, scaled so that their neighbourhood means have unit variance."""
    loadings = spatial_factors(features, adjacency, config.n_factors, n_hops=config.n_hops).loadings
    projected = features @ loadings
    spread = smooth(projected, adjacency, config.n_hops).std(axis=0)
    return projected / np.maximum(spread, 1e-9)


def _standardize(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float64)
    scale = features.std(axis=0)
    varied = scale > 1e-9 * max(float(np.abs(features).max(initial=0)), 1e-30)
    centred = features[:, varied] - np.median(features[:, varied], axis=0)
    return np.clip(centred / scale[varied], -_CLIP, _CLIP)


def _principal(features: np.ndarray, n_components: int) -> np.ndarray:
    if features.shape[1] == 0:
        return np.zeros((len(features), 1))
    features = features - features.mean(axis=0)
    variance, axes = np.linalg.eigh(features.T @ features)
    order = np.argsort(variance)[::-1][:n_components]
    axes = axes[:, order]
    return features @ (axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0))


def _unit_variance(features: np.ndarray) -> np.ndarray:
    """Centre, and scale by one number so that the variances add up to one; relative scales carry information."""
    features = np.asarray(features, dtype=np.float64)
    features = features - features.mean(axis=0)
    return features / max(float(np.sqrt((features**2).sum(axis=1).mean())), 1e-12)


def _scaled(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
