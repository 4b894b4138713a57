"""Expectation maximisation of tied-covariance mixtures, many at once, and ways out of a local optimum."""

from __future__ import annotations

import numpy as np

MIN_COUNT = 1e-6
"""Points that a component without any counts as."""

_FIRST_RUN, _SECOND_RUN = 3, 20  # iterations after which only the likeliest mixtures go on
_SHARE_AFTER_FIRST = 8  # of so many mixtures one has a second run
_POLISHED = 2  # mixtures that run to convergence
_RIDGE = 1e-5  # of unit variance, which keeps the covariance of collapsed components invertible
_BLOCK_ENTRIES = 2**18  # entries of a block of responsibilities: 1 MB, so that what is made of it stays in the cache
_MIN_LOG_RESPONSIBILITY = -60.0
_SIZE_ROUNDS, _SIZE_SETTLED = 50, 1e-6  # of Newton's method for the size of a sphere, and the error that ends it
_MOVES_A_ROUND = 40  # ways of splitting one component and merging two others that are tried in a round
_MIN_SPLIT_POINTS = 10  # points of a component that can be split


class TiedMixtures:
    """Mixtures of the same points, each with one covariance for all its components.

    Parameters
    ----------
    points
        (n, d) float32, whitened.
    max_iter
        Iterations of a mixture at most.
    tol
        Gain of the log-likelihood per point that ends them.
    roundness
        Share of a sphere in the covariance, see :func:`rounded`.

    Attributes
    ----------
    scatter
        (d, d) float64 sum of the products of all points.
    """

    def __init__(self, points: np.ndarray, *, max_iter: int, tol: float, roundness: float = 0.0) -> None:
        self.points, self.max_iter, self.tol, self.roundness = points, max_iter, tol, roundness
        self.scatter = (points.T @ points).astype(np.float64)

    def climb(self, weights: np.ndarray, max_iter: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Alternate M and E step for all starts.

        Weights are (starts, k, n) float32; the likelihood (starts,) is of the last E step, less what
        :func:`oblong_cost` takes off it.

        The weights that are given are overwritten: to get memory for others takes longer than to fill it.
        """
        x, scatter, roundness = self.points, self.scatter, self.roundness
        n, d = x.shape
        n_starts, k, _ = weights.shape
        step = max(1, _BLOCK_ENTRIES // (n_starts * k))
        blocks = [weights[..., begin : begin + step] for begin in range(0, n, step)]
        flat = weights.reshape(n_starts * k, n)
        count = weights.sum(axis=-1, dtype=np.float64)
        previous = np.full(n_starts, -np.inf)
        for _ in range(self.max_iter if max_iter is None else max_iter):
            total = (flat @ x).reshape(n_starts, k, d)
            slope, offset, precision = linear_rule(count, total, scatter, roundness)
            offset = offset.astype(np.float32)[..., None]
            np.matmul(slope.reshape(n_starts * k, d).astype(np.float32), x.T, out=flat)
            count, evidence = np.zeros_like(count), np.zeros(n_starts)
            for block in blocks:
                block += offset
                evidence += to_posteriors(block).sum(axis=-1, dtype=np.float64)
                count += block.sum(axis=-1, dtype=np.float64)
            likelihood = evidence - 0.5 * (
                (precision * scatter).sum(axis=(1, 2)) - n * np.linalg.slogdet(precision)[1] + n * d * np.log(2 * np.pi)
            )
            if roundness:
                likelihood -= n * oblong_cost(precision, roundness)
            if np.abs(likelihood - previous).max() < self.tol * n:
                break
            previous = likelihood
        return weights, likelihood

    def split_and_merge(self, current: np.ndarray) -> tuple[np.ndarray, float] | None:
        """The likeliest mixture after splitting a component along its widest axis and merging two others.

        Responsibilities are (k, n) before and after, where the log-likelihood comes with them. None where there is no
        way.

        The ways are ranked by roughly what the split gains less what the merger costs, in log-likelihood.
        """
        from scipy.spatial.distance import cdist

        x, (k, n) = self.points, current.shape
        count = current.sum(axis=1, dtype=np.float64).clip(MIN_COUNT)
        mean = (current @ x).astype(np.float64) / count[:, None]
        covariance = self.scatter / n - (mean * count[:, None]).T @ mean / n + _RIDGE * np.eye(x.shape[1])
        if self.roundness:
            covariance = rounded(covariance, self.roundness)
        try:
            root = np.linalg.cholesky(np.linalg.inv(covariance))
        except np.linalg.LinAlgError:  # components are points but for rounding, and a point has no widest axis
            return None
        white, centers, label = (x @ root).astype(np.float32), mean @ root, current.argmax(axis=0)
        cost = 0.5 * count[:, None] * count / (count[:, None] + count) * cdist(centers, centers, "sqeuclidean")
        upper: dict[int, np.ndarray] = {}
        gain: dict[int, float] = {}
        for parent in range(k):
            rows = np.flatnonzero(label == parent)
            if len(rows) < _MIN_SPLIT_POINTS:
                continue
            points = white[rows] - white[rows].mean(axis=0)
            variance, axes = np.linalg.eigh((points.T @ points).astype(np.float64) / len(rows))
            along = points @ axes[:, -1].astype(np.float32)
            upper[parent] = rows[along > np.median(along)]
            gain[parent] = len(rows) * float(np.log(max(variance[-1], 1)))
        ways = [
            (float(cost[i, j]) - gain[parent], i, j, parent)
            for i in range(k)
            for j in range(i)
            for parent in gain
            if parent not in (i, j)
        ]
        if not ways:
            return None
        ways = sorted(ways)[:_MOVES_A_ROUND]
        weights = np.repeat(current[None], len(ways), axis=0)
        for changed, (_, i, j, parent) in zip(weights, ways, strict=True):
            changed[i] += changed[j]
            changed[j] = 0
            changed[j, upper[parent]] = changed[parent, upper[parent]]
            changed[parent, upper[parent]] = 0
        return self.likeliest(weights)

    def likeliest(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """(k, n) responsibilities and the log-likelihood of the best of (m, k, n) mixtures, which are overwritten.

        All run three iterations; an eighth of them, but two at least, some more; and two to convergence.
        """
        kept = (max(_POLISHED, len(weights) // _SHARE_AFTER_FIRST), _POLISHED)
        for n_kept, n_iterations in zip(kept, (_FIRST_RUN, _SECOND_RUN), strict=True):
            weights, likelihood = self.climb(weights, n_iterations)
            weights = weights[np.argsort(-likelihood, kind="stable")[:n_kept]]
        weights, likelihood = self.climb(weights)
        return weights[likelihood.argmax()], float(likelihood.max())


def linear_rule(
    count: np.ndarray, total: np.ndarray, scatter: np.ndarray, roundness: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M step: as the covariance is shared, log-posteriors are linear in the points.

    Parameters
    ----------
    count
        (starts, k) float64 sums of the weights.
    total
        (starts, k, d) sums of the weighted points.
    scatter
        (d, d) float64 sum of the products of all points.
    roundness
        Share of a sphere in the covariance, see :func:`rounded`.

    Returns
    -------
    (starts, k, d) slopes, (starts, k) offsets and (starts, d, d) inverse covariances, float64.
    """
    n = count[0].sum()
    count = np.maximum(count, MIN_COUNT)
    mean = total / count[..., None]
    covariance = (scatter - total.swapaxes(1, 2) @ mean) / n + _RIDGE * np.eye(len(scatter))
    if roundness:
        covariance = rounded(covariance, roundness)
    precision = np.linalg.inv(covariance)
    slope = mean @ precision
    offset = np.log(count / n) - 0.5 * (slope * mean).sum(axis=-1)
    return slope, offset, precision


def rounded(covariance: np.ndarray, roundness: float) -> np.ndarray:
    """(..., d, d) covariances with a share of a sphere, whose size is the likeliest one.

    They maximise the likelihood less :func:`oblong_cost`. That penalty has the form of an inverse Wishart's prior
    around a sphere (Fraley & Raftery, Journal of Classification 2007), with as many degrees of freedom as
    ``roundness / (1 - roundness)`` times the points.
    """
    rest = (1 - roundness) * np.maximum(np.linalg.eigvalsh(covariance), _RIDGE)
    # at the likeliest size, size times the mean of the inverse variances is one; from below Newton's method rises to it
    size = 1 / ((1 - roundness) * (1 / rest).mean(axis=-1, keepdims=True))
    for _ in range(_SIZE_ROUNDS):
        variance = rest + roundness * size
        excess = (size / variance).mean(axis=-1, keepdims=True) - 1
        size = size - excess / (rest / variance**2).mean(axis=-1, keepdims=True)
        if np.abs(excess).max() < _SIZE_SETTLED:
            break
    return (1 - roundness) * covariance + roundness * size[..., None] * np.eye(covariance.shape[-1])


def oblong_cost(precision: np.ndarray, roundness: float) -> np.ndarray:
    """(...,) cost of the shape of (..., d, d) inverse covariances, in nats per point: zero for a sphere."""
    d = precision.shape[-1]
    mean = np.trace(precision, axis1=-2, axis2=-1) / d
    return 0.5 * roundness / (1 - roundness) * (d * np.log(mean) - np.linalg.slogdet(precision)[1])


def to_posteriors(logit: np.ndarray) -> np.ndarray:
    """Softmax along the middle of (m, k, n) in place; returns the (m, n) logarithms of the sums."""
    top = logit.max(axis=1, keepdims=True)
    logit -= top
    # floored where it no longer counts: powers so small, and arithmetic on them, are several times slower
    np.maximum(logit, _MIN_LOG_RESPONSIBILITY, out=logit)
    np.exp(logit, out=logit)
    total = logit.sum(axis=1, keepdims=True)
    logit /= total
    return (np.log(total) + top)[:, 0]
