"""From raw feature matrices to what the network reads: spatial factors, those of the image weighed by reliability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.model.config import MultiSTConfig
from multist.model.factors import ENOUGH, LEAST, range_of_neighbourhood, smooth, spatial_factors
from multist.model.reliability import held_out_agreement

_CLIP = 5.0  # standard deviations; folds and debris are further out and would each become a domain


class Tokens(NamedTuple):
    """Features of one or more sections, row by row.

    Attributes
    ----------
    expression
        (n, p) float64 scores of the expression's spatial factors at single spots; float32 of more than 20,000 spots.
    image
        (n, q) scores of the image's, each scaled by its reliability; None without a usable image.
    reliability
        (q,) share of each image factor that expression predicts on held-out tissue; None without an image.
    n_hops
        Range of a neighbourhood.
    """

    expression: np.ndarray
    image: np.ndarray | None
    reliability: np.ndarray | None
    n_hops: int


def make_tokens(
    expression: np.ndarray,
    image: np.ndarray | None,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    config: MultiSTConfig,
    *,
    random_state: int = 0,
) -> Tokens:
    """Reduce (n, p) expression and (n, q) image features to the spatial factors that the network reads."""
    expression = _unit_variance(expression[:, : config.n_expression])
    n_hops = config.n_hops or range_of_neighbourhood(expression, adjacency)
    genes = _scores(expression, adjacency, config, n_hops)
    if image is None:
        return Tokens(genes, None, None, n_hops)
    components = _unit_variance(_principal(_standardize(image), config.n_image))
    picture = _scores(components, adjacency, config, n_hops)
    del expression, components
    if not config.weigh_image:
        return Tokens(genes, picture, np.ones(picture.shape[1]), n_hops)
    rows = np.arange(len(xy))
    if len(xy) > ENOUGH:
        rows = np.sort(np.random.default_rng(random_state).choice(len(xy), ENOUGH, replace=False))
    smooth_image, smooth_genes = (
        _scaled(smooth(each, adjacency, n_hops)[rows].astype(np.float64)) for each in (picture, genes)
    )
    reliability = held_out_agreement(smooth_image, smooth_genes, xy[rows], random_state=random_state)
    agreed = reliability > LEAST
    weighed = (picture * reliability.astype(picture.dtype))[:, agreed] if agreed.any() else None
    return Tokens(genes, weighed, reliability, n_hops)


def _scores(features: np.ndarray, adjacency: sp.csr_matrix, config: MultiSTConfig, n_hops: int) -> np.ndarray:
    loadings = spatial_factors(features, adjacency, config.n_factors, n_hops=n_hops).loadings
    return features @ loadings.astype(features.dtype)


def _floats(features: np.ndarray) -> np.ndarray:
    """Of few spots every digit is kept; of many, half of the memory counts for more."""
    return np.asarray(features, dtype=np.float64 if len(features) <= ENOUGH else np.float32)


def _mean(features: np.ndarray) -> np.ndarray:
    return features.mean(axis=0, dtype=np.float64).astype(features.dtype)


def _standardize(features: np.ndarray) -> np.ndarray:
    features = _floats(features)
    scale = features.std(axis=0, dtype=np.float64).astype(features.dtype)
    varied = scale > 1e-9 * max(float(np.abs(features).max(initial=0)), 1e-30)
    centred = features[:, varied]
    centred = centred - np.median(centred, axis=0)
    return np.clip(centred / scale[varied], -_CLIP, _CLIP)


def _principal(features: np.ndarray, n_components: int) -> np.ndarray:
    if features.shape[1] == 0:
        return np.zeros((len(features), 1), features.dtype)
    features = features - _mean(features)
    variance, axes = np.linalg.eigh((features.T @ features).astype(np.float64))
    return features @ axes[:, np.argsort(variance)[::-1][:n_components]].astype(features.dtype)


def _unit_variance(features: np.ndarray) -> np.ndarray:
    """Centre, and scale by one number so that the variances add up to one; relative scales carry information."""
    features = _floats(features)
    features = features - _mean(features)
    spread = float(np.sqrt((features**2).sum(axis=1).mean(dtype=np.float64)))
    features /= max(spread, 1e-12)
    return features


def _scaled(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
