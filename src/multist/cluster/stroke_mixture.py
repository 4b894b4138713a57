"""A mixture of Gaussians that starts from strokes and learns from the spots that have none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

N_ROUNDS = 12
_FREE_WEIGHT = 0.01  # of a spot without a stroke in the mean of a class; a stroke weighs one
_COMMON = 0.5  # share of all spots in the covariance within classes; the strokes give the rest
_TEMPERATURE = 1.5  # neighbours and scales repeat each other, so that likelihoods claim too much
_SHRINK = 0.01  # towards equal variances
_SMALL = 1e-12


class Discriminant(NamedTuple):
    """Linear scores of classes.

    Attributes
    ----------
    slope
        (d, k) float64.
    offset
        (k,) float64.
    share
        (s, k) float64. Share of each class in each section.
    """

    slope: np.ndarray
    offset: np.ndarray
    share: np.ndarray

    def scores(self, points: np.ndarray) -> np.ndarray:
        """(n, k) logarithms of likelihoods, up to a constant of each point."""
        return (points @ self.slope + self.offset) / _TEMPERATURE

    def probability(self, points: np.ndarray, section: np.ndarray) -> np.ndarray:
        """(n, k) posterior probabilities of (n, d) points in the (n,) sections that were fitted."""
        return softmax(self.scores(points) + np.log(self.share)[section])


def softmax(scores: np.ndarray) -> np.ndarray:
    """Rows of (n, k) scores as probabilities."""
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def class_shares(total: np.ndarray) -> np.ndarray:
    """(s, k) shares of classes in sections, from how many spots each has; a section with few leans on all together."""
    everywhere = (total.sum(axis=0) + 1) / (total.sum() + total.shape[1])
    return (total + 10 * everywhere) / (total.sum(axis=1, keepdims=True) + 10)


def fit_strokes(
    points: np.ndarray, strokes: np.ndarray, belief: np.ndarray, section: np.ndarray, *, start: np.ndarray | None = None
) -> Discriminant:
    """Fit classes with one covariance to strokes and to the spots without any.

    The mean of a class is that of its strokes, with a little of every spot in proportion to its probability; the covariance
    within classes is half that of the strokes (shrunken after Ledoit & Wolf, 2004) and half that of all spots about the means,
    which tells how much a class varies where nobody drew; how large a class is in a section is read from
    the probabilities of the spots without a stroke (Saerens et al., Neural Computation 2002), since people draw on thin layers and thick ones alike.

    Parameters
    ----------
    points
        (n, d), centred.
    strokes
        (m,) rows of points with a stroke.
    belief
        (m, k) probability of each class at each stroke as it was drawn: one-hot where strokes are certain.
    section
        (n,) int code.
    start
        (n, k) probabilities to start from; those of the strokes alone if None.
    """
    n, width = points.shape
    total_scatter = points.T @ points
    drawn, log_belief = points[strokes], np.log(np.maximum(belief, _SMALL))
    certain = bool(((belief == 0) | (belief == 1)).all())
    weight = belief
    free = np.ones(n, dtype=bool)
    free[strokes] = False
    members = [np.flatnonzero(free & (section == code)) for code in range(section.max() + 1)]
    probability, model = start, None
    for _ in range(N_ROUNDS + (start is None)):
        count, sums = weight.sum(axis=0), weight.T @ drawn
        if probability is None:
            mean = sums / np.maximum(count, _SMALL)[:, None]
            covariance = _among_strokes(drawn, weight, mean, total_scatter / n)
            share = np.tile((count + 1) / (count + 1).sum(), (len(members), 1))
        else:
            size, all_sums = probability.sum(axis=0), probability.T @ points
            mean = (_FREE_WEIGHT * all_sums + (1 - _FREE_WEIGHT) * sums) / np.maximum(
                _FREE_WEIGHT * size + (1 - _FREE_WEIGHT) * count, _SMALL
            )[:, None]
            cross = all_sums.T @ mean
            spread = (total_scatter - cross - cross.T + (mean * size[:, None]).T @ mean) / n
            spread = (1 - _SHRINK) * spread + _SHRINK * np.trace(spread) / width * np.eye(width)
            stroke_mean = sums / np.maximum(count, _SMALL)[:, None]
            covariance = _COMMON * spread + (1 - _COMMON) * _among_strokes(drawn, weight, stroke_mean, spread)
            share = class_shares(np.stack([probability[rows].sum(axis=0) for rows in members]))
        slope = np.linalg.solve(covariance, mean.T)
        model = Discriminant(slope, -0.5 * (slope.T * mean).sum(axis=1), share)
        probability = model.probability(points, section)
        if not certain:
            weight = softmax(np.log(np.maximum(probability[strokes], _SMALL)) + log_belief)
        probability[strokes] = weight
    assert model is not None
    return model


def _among_strokes(drawn: np.ndarray, weight: np.ndarray, mean: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Shrunken covariance of strokes about the means of their classes, or ``otherwise`` where a class has one spot each."""
    own = weight.argmax(axis=1)
    degrees = len(drawn) - len(np.unique(own))
    if degrees < 2:
        return otherwise
    residual = drawn - mean[own]
    scale = np.maximum(residual.std(axis=0), 1e-6 * np.sqrt(np.diag(otherwise).max()))
    residual = residual / scale
    shrink = ledoit_wolf_shrinkage(residual, assume_centered=True)
    covariance = residual.T @ residual / len(drawn)
    covariance = (1 - shrink) * covariance + shrink * np.trace(covariance) / len(scale) * np.eye(len(scale))
    return covariance * np.outer(scale, scale)
