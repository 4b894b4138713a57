"""Mixtures of many points: searched for on a sample, polished on all of them, block by block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multist._rows import row_slices
from multist.cluster.distinct import telling_sample
from multist.cluster.expectation import linear_rule, to_posteriors
from multist.cluster.mixture import fit_mixture, whitening
from multist.cluster.neighbour_prior import NeighbourPrior

ENOUGH = 10_000
"""Points that the starts see: all, up to so many. More would make few points take longer than many."""

_MAX_ROUNDS = 20  # of EM on all points at most
_SETTLED_SHARE = 1e-3  # share of the points that a round still moves when it is the last one
_BLOCK_ENTRIES = 2**20  # entries of a block of responsibilities: 4 MB


class Partition(NamedTuple):
    """A division of points into components.

    Attributes
    ----------
    labels
        (n,) int64.
    confidence
        (n,) floating point. Posterior probability of the label.
    repeated
        Whether two searches came to the same likelihood.
    """

    labels: np.ndarray
    confidence: np.ndarray
    repeated: bool


def sampled_mixture(
    points: np.ndarray,
    n_components: int,
    *,
    prior: NeighbourPrior | None = None,
    random_state: int = 0,
) -> Partition:
    """Partition of many points by a tied-covariance mixture, the likeliest one of a sample polished on all points.

    Time and memory grow linearly with the points: no more than a block of responsibilities is held, and a mixture that
    fits the sample is so close to one that fits all that a few rounds suffice.

    Parameters
    ----------
    points
        (n, d) float, finite, with at least ``n_components`` different rows.
    n_components
        Number of components.
    prior
        As :func:`multist.cluster.mixture.fit_mixture` takes it.
    random_state
        Seed of the sample and of the starts.
    """
    generator = np.random.default_rng(random_state)
    rows = np.sort(generator.choice(len(points), min(ENOUGH, len(points)), replace=False))
    rows = telling_sample(points, rows, n_components, generator)
    fit = fit_mixture(points[rows], n_components, prior=prior, random_state=random_state)
    weights = np.ascontiguousarray(fit.responsibilities.T)
    center, whiten = whitening(points, prior)
    roundness = prior.weight if prior else 0.0
    white = np.empty((len(points), whiten.shape[1]), dtype=np.float32)
    for block in row_slices(len(points)):
        white[block] = (points[block] - center).astype(np.float32) @ whiten.astype(np.float32)
    some, count = white[rows], weights.sum(axis=1, dtype=np.float64)
    rule = _float_rule(count, weights @ some, (some.T @ some).astype(np.float64), roundness)
    return Partition(*_polish(white, rule, count / len(rows), roundness), fit.repeated)


def _polish(
    x: np.ndarray, rule: tuple[np.ndarray, np.ndarray], share: np.ndarray, roundness: float
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable components and their probability, after EM on all points until hardly any mass moves."""
    n, k = len(x), len(share)
    step = max(1, _BLOCK_ENTRIES // k)
    blocks = [x[begin : begin + step] for begin in range(0, n, step)]
    scatter = sum((block.T @ block).astype(np.float64) for block in blocks)
    for _ in range(_MAX_ROUNDS):
        count, total = np.zeros(k), np.zeros((k, x.shape[1]))
        for block in blocks:
            weights = _posteriors(block, rule)
            count += weights.sum(axis=1, dtype=np.float64)
            total += weights @ block
        rule = _float_rule(count, total, scatter, roundness)
        moved = np.abs(count / n - share).sum() / 2
        share = count / n
        if moved < _SETTLED_SHARE:
            break
    labels, sure = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.float32)
    for number, block in enumerate(blocks):
        weights = _posteriors(block, rule)
        rows = slice(number * step, number * step + len(block))
        labels[rows], sure[rows] = weights.argmax(axis=0), weights.max(axis=0)
    return labels, sure


def _posteriors(block: np.ndarray, rule: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(k, n) probabilities of the components at (n, d) points."""
    slope, offset = rule
    logit = slope @ block.T
    logit += offset[:, None]
    to_posteriors(logit[None])
    return logit


def _float_rule(
    count: np.ndarray, total: np.ndarray, scatter: np.ndarray, roundness: float
) -> tuple[np.ndarray, np.ndarray]:
    """(k, d) slopes and (k,) offsets of one mixture."""
    slope, offset, _ = linear_rule(count[None], total[None], scatter, roundness)
    return slope[0].astype(np.float32), offset[0].astype(np.float32)
