"""Domains that are known, recognised in points that were not there when they were found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from multist._rows import row_slices
from multist.cluster.mixture import whitening, with_sphere
from multist.cluster.neighbour_prior import NeighbourPrior

_RIDGE = 1e-6  # of the mean variance
_SMALL = 1e-12  # least variance that a ridge is taken of, and least share of a domain


class DomainClassifier(NamedTuple):
    """Linear discriminant of Gaussian domains that share a covariance, as in the mixture that found them.

    Not scikit-learn's, which refuses domains of one point each, and takes twice the memory to be as precise on float32.

    Attributes
    ----------
    slope
        (k, d) float64.
    offset
        (k,) float64.
    """

    slope: np.ndarray
    offset: np.ndarray

    @classmethod
    def fit(
        cls, points: np.ndarray, labels: np.ndarray, n_domains: int, prior: NeighbourPrior | None = None
    ) -> DomainClassifier:
        """From (n, d) points and their (n,) labels, 0 to ``n_domains - 1``, none without a point (Fisher, 1936).

        ``prior`` is that of the mixture.
        """
        count = np.bincount(labels, minlength=n_domains).astype(np.float64)
        mean = np.stack([points[labels == k].mean(axis=0, dtype=np.float64) for k in range(n_domains)])
        covariance = np.zeros((points.shape[1], points.shape[1]))
        for rows in row_slices(len(points)):
            centred = points[rows] - mean[labels[rows]]
            covariance += centred.T @ centred
        covariance /= len(points)
        if prior is not None:
            covariance = with_sphere(covariance, whitening(points, prior)[1], prior.weight)
        return cls.of_gaussians(mean, covariance, count / len(points))

    @classmethod
    def of_gaussians(cls, means: np.ndarray, covariance: np.ndarray, weights: np.ndarray) -> DomainClassifier:
        """From (k, d) means, the (d, d) covariance that they share, and (k,) shares of the points."""
        width = len(covariance)
        ridge = _RIDGE * max(float(np.trace(covariance)) / width, _SMALL)
        slope = np.linalg.solve(covariance + ridge * np.eye(width), means.T).T
        return cls(slope, np.log(weights.clip(_SMALL)) - 0.5 * (slope * means).sum(axis=1))

    def scores(self, points: np.ndarray) -> np.ndarray:
        """(n, k) log-probability of each domain at (n, d) points, up to a constant of each point."""
        return np.asarray(points, dtype=np.float64) @ self.slope.T + self.offset

    def predict(self, points: np.ndarray) -> np.ndarray:
        """(n, k) probability of each domain at (n, d) points."""
        return softmax(self.scores(points), axis=1)
