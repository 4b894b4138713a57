"""How much of its surroundings a spot's estimate takes, factor by factor: the best linear estimate on the graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist._neighbourhood import neighbourhood_mean
from multist.model.features.neighbourhood import ENOUGH, second_ring

STEPS = (1, 2, 4, 8, 16)
"""Lengths of the averages, in steps on the graph. They double, so that one of them is near any width of a domain."""

_RIDGE = 1e-3  # of the mean variance of the averages, which resemble each other
_MAX_STEEPNESS = 2.0  # ratio of the covariances of two rings, beyond which the farther one is chance
_N_PROBES = 400_000  # random signs that tell how much of a spot's own value returns to it; the error is below .002
_MOST_PROBES = 400  # for each spot, where spots are few
_COLUMNS_AT_ONCE = 8  # factors of many spots that are averaged at once


class Averaging(NamedTuple):
    """Weights of a spot's own value and of the averages around it.

    A value is the sum of a part that space structures and of noise that is independent between spots. Of the first,
    this is the linear estimate with the least squared error (Matheron's kriging, with covariances read off the graph).

    Attributes
    ----------
    center
        (p,) float64 mean of each factor.
    weights
        (p, m) float64: of the own value, of the average along attention if there is one, and of those of :data:`STEPS`.
    structured
        (p,) float64 share of each factor's variance that space structures.
    """

    center: np.ndarray
    weights: np.ndarray
    structured: np.ndarray

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        adjacency: sp.csr_matrix,
        attention: sp.csr_matrix | None = None,
        *,
        random_state: int = 0,
    ) -> Averaging:
        """Weights from the covariances of (n, p) ``features`` with averages of themselves.

        The covariance of a spot with its neighbours holds no noise, that of a spot with itself does. The structured
        part of the latter is extrapolated from the first and second ring to distance zero: ``cov1**2 / cov2``, from
        ``cov1`` to twice as much, as between layers two spots thick. The noise is at most what leaves the estimate no
        larger than the structured part (Capon's bound ``1 / (r' C^-1 r)``).

        Parameters
        ----------
        features
            (n, p) float.
        adjacency
            (n, n) spatial neighbourhoods without the diagonal.
        attention
            (n, n) weights of other spots, rows summing to one; None averages over all neighbours alike only.
        random_state
            Seed of the spots that are looked at where there are many, and of the random signs.

        References
        ----------
        Matheron, Economic Geology 1963 (kriging and the nugget); Hutchinson, Commun. Stat. 1989 (the diagonal by random
        signs).
        """
        rng = np.random.default_rng(random_state)
        n, p = features.shape
        center = features.mean(axis=0, dtype=np.float64)
        structured = _structured_variance(features - center.astype(features.dtype), adjacency, rng)
        signs = rng.choice(np.array([-1, 1], features.dtype), (n, min(-(-_N_PROBES // n), _MOST_PROBES)))
        returned = np.array([float((signs * each).mean()) for each in _averages(signs, adjacency, attention)])
        weights = np.zeros((p, len(returned)))
        variance = np.zeros(p)
        for columns in _column_blocks(features):
            values = features[:, columns] - center[columns].astype(features.dtype)
            stack = np.stack(_averages(values, adjacency, attention))
            for place, column in enumerate(range(p)[columns]):
                seen = stack[:, :, place]
                covariance = (seen @ seen.T).astype(np.float64) / n
                variance[column] = covariance[0, 0]
                ridge = _RIDGE * np.trace(covariance) / len(covariance)
                if ridge > 0:
                    with_value = covariance[0].copy()
                    covariance.flat[:: len(covariance) + 1] += ridge
                    most = 1 / (returned @ np.linalg.solve(covariance, returned))
                    noise = np.clip(variance[column] - structured[column], 0, most)
                    structured[column] = max(variance[column] - noise, 0.0)
                    weights[column] = np.linalg.solve(covariance, with_value - returned * noise)
        return cls(center, weights, np.clip(structured / np.maximum(variance, 1e-30), 0, 1))

    def __call__(
        self, features: np.ndarray, adjacency: sp.csr_matrix, attention: sp.csr_matrix | None = None
    ) -> np.ndarray:
        """(n, p) estimates of the structured part, centred."""
        result = np.empty_like(features)
        for columns in _column_blocks(features):
            values = features[:, columns] - self.center[columns].astype(features.dtype)
            weights = self.weights[columns].astype(features.dtype)
            result[:, columns] = sum(
                weights[:, place] * average for place, average in enumerate(_averages(values, adjacency, attention))
            )
        return result


def _averages(values: np.ndarray, adjacency: sp.csr_matrix, attention: sp.csr_matrix | None) -> list[np.ndarray]:
    """The values themselves, their average along attention, and those over more and more steps.

    The first step leaves the spot out.
    """
    averages = [values] if attention is None else [values, (attention @ values).astype(values.dtype)]
    mean = neighbourhood_mean(adjacency, with_self=True)
    average = neighbourhood_mean(adjacency, with_self=False) @ values
    for step in range(1, STEPS[-1] + 1):
        average = average if step == 1 else mean @ average
        if step in STEPS:
            averages.append(average)
    return averages


def _structured_variance(values: np.ndarray, adjacency: sp.csr_matrix, rng: np.random.Generator) -> np.ndarray:
    """(p,) variance of the part of centred values that space structures."""
    n = len(values)
    rows = np.sort(rng.choice(n, ENOUGH, replace=False)) if n > ENOUGH else np.arange(n)
    centred = values[rows].astype(np.float64)
    first = sp.csr_matrix(adjacency, dtype=np.float32)[rows]
    variance = (centred**2).mean(axis=0)
    near, far = (_covariance(centred, ring, values) for ring in (first != 0, second_ring(adjacency, rows)))
    near = np.clip(near, 0, variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        steepness = np.where(far > 0, near / far, _MAX_STEEPNESS)
    return np.minimum(near * np.clip(steepness, 1, _MAX_STEEPNESS), variance)


def _covariance(centred: np.ndarray, ring: sp.csr_matrix, values: np.ndarray) -> np.ndarray:
    """(p,) mean product of a spot's value and the mean of its ring, over spots that have one."""
    count = np.asarray(ring.sum(axis=1)).ravel()
    if not count.any():
        return np.zeros(centred.shape[1])
    mean = (ring @ values)[count > 0] / count[count > 0, None]
    return (centred[count > 0] * mean).mean(axis=0)


def _column_blocks(features: np.ndarray) -> list[slice]:
    n, p = features.shape
    width = p if n <= ENOUGH else _COLUMNS_AT_ONCE
    return [slice(start, min(start + width, p)) for start in range(0, p, width)]
