"""The shape that domains are expected to have where a spot says little: that of differences between neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

_MIN_EDGES = 10  # for each dimension, below which chance shapes the differences
_MAX_SPOTS = 10_000  # whose neighbours are looked at
_MAX_WEIGHT = 0.95  # so that the points always have a say
_LEAST_VARIANCE = 1e-3  # of a direction in which neighbours hardly differ, as a share of the mean


class NeighbourPrior(NamedTuple):
    """What the covariance within domains is drawn to.

    Attributes
    ----------
    covariance
        (d, d) float64 of the differences between neighbours. Its shape counts, its size does not.
    weight
        Its share in the covariance of the mixture, above 0 and below 1.
    """

    covariance: np.ndarray
    weight: float

    def to_sphere(self, axes: np.ndarray) -> np.ndarray:
        """(r, r) map from coordinates on (d, r) ``axes`` to where the expected covariance is a sphere."""
        variance, turn = np.linalg.eigh(axes.T @ self.covariance @ axes)
        return turn / np.sqrt(np.maximum(variance, _LEAST_VARIANCE * variance.mean()))


def prior_weight(structured_share: float) -> float:
    """Weight of the prior where space structures a share, 0 to 1, of the variance of what was averaged.

    It is the share of noise less that of structure, ``(1 - share) - share``, and zero where structure has one half.
    """
    return float(np.clip(1 - 2 * structured_share, 0, _MAX_WEIGHT))


def neighbour_prior(points: np.ndarray, adjacency: sp.csr_matrix, structured_share: float) -> NeighbourPrior | None:
    """The prior of (n, d) points on a graph; None where it has no say, or too few are neighbours to tell a shape.

    In single cells the types of neighbours differ, and space structures only a small share of what is measured.
    Averages of so much noise vary within a domain as they vary from one neighbour to the next. A mixture that has to
    learn that shape from its own domains cuts thin slices along directions in which they happen to be narrow.

    Parameters
    ----------
    points
        (n, d) float64 embedding.
    adjacency
        (n, n) sparse spatial neighbourhoods.
    structured_share
        As :func:`prior_weight` takes it.
    """
    weight = prior_weight(structured_share)
    if not weight:
        return None
    step = -(-len(points) // _MAX_SPOTS)
    edges = sp.coo_matrix(sp.csr_matrix(adjacency)[::step])
    apart = points[edges.row * step] - points[edges.col]
    if len(apart) < _MIN_EDGES * points.shape[1] or not apart.any():
        return None
    return NeighbourPrior(apart.T @ apart / len(apart), weight)
