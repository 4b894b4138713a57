"""From raw feature matrices to what the network reads: spatial factors, those of the image weighed by reliability."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.model.config import MultiSTConfig
from multist.model.factors import LEAST, range_of_neighbourhood, smooth, spatial_factors
from multist.model.reliability import held_out_agreement

_CLIP = 5.0  # standard deviations; folds and debris are further out and would each become a domain


class Tokens(NamedTuple):
    """Features of one or more sections, row by row.

    Attributes
    ----------
    expression
        (n, p) float64 scores of the expression's spatial factors at single spots.
    image
        (n, q) float64 scores of the image's, each scaled by its reliability; None without a usable image.
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
    genes = expression @ spatial_factors(expression, adjacency, config.n_factors, n_hops=n_hops).loadings
    if image is None:
        return Tokens(genes, None, None, n_hops)
    components = _unit_variance(_principal(_standardize(image), config.n_image))
    picture = components @ spatial_factors(components, adjacency, config.n_factors, n_hops=n_hops).loadings
    if not config.weigh_image:
        return Tokens(genes, picture, np.ones(picture.shape[1]), n_hops)
    reliability = held_out_agreement(
        _scaled(smooth(picture, adjacency, n_hops)), _scaled(smooth(genes, adjacency, n_hops)), xy,
        random_state=random_state,
    )  # fmt: skip
    agreed = reliability > LEAST
    return Tokens(genes, (picture * reliability)[:, agreed] if agreed.any() else None, reliability, n_hops)


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
    return features @ axes[:, np.argsort(variance)[::-1][:n_components]]


def _unit_variance(features: np.ndarray) -> np.ndarray:
    """Centre, and scale by one number so that the variances add up to one; relative scales carry information."""
    features = np.asarray(features, dtype=np.float64)
    features = features - features.mean(axis=0)
    return features / max(float(np.sqrt((features**2).sum(axis=1).mean())), 1e-12)


def _scaled(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
