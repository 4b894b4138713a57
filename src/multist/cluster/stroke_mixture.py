"""A mixture of Gaussians that starts from strokes and learns from the spots that have none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_EM_ROUNDS = 13  # of expectation and maximisation
_FREE_WEIGHT = 0.01  # of a spot without a stroke in the mean of a class; a stroke weighs one
_COMMON = 0.5  # share of all spots in the covariance within classes; the strokes give the rest
_TEMPERATURE = 1.5  # neighbours and scales repeat each other, so that likelihoods claim too much
_SHRINK = 0.05  # of the covariance of all spots towards equal variances
_RIDGE = 1e-6  # the same of what is inverted, so that it can be
_SMALL = 1e-12  # least value of what is divided by, or of which the logarithm is taken


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
        """(n, k) float32 logarithms of likelihoods at (n, d) float32 points, up to a constant of each point."""
        scores = points @ (self.slope / _TEMPERATURE).astype(np.float32)
        scores += (self.offset / _TEMPERATURE).astype(np.float32)
        return scores

    def probability(self, points: np.ndarray, section: np.ndarray) -> np.ndarray:
        """(n, k) float32 posterior probabilities of (n, d) float32 points in the (n,) sections that were fitted."""
        return softmax(self.scores(points) + np.log(self.share).astype(np.float32)[section])


def softmax(scores: np.ndarray) -> np.ndarray:
    """Rows of (n, k) scores as probabilities.

    Classes are few and points many, and along the points this is several times faster than scipy's along the classes.
    """
    probability = np.ascontiguousarray(scores.T)
    probability = probability - probability.max(axis=0)
    np.exp(probability, out=probability)
    probability /= probability.sum(axis=0)
    return probability.T


def class_shares(total: np.ndarray) -> np.ndarray:
    """(s, k) shares of classes in sections, from how many spots each has; a section with few leans on all together."""
    everywhere = (total.sum(axis=0) + 1) / (total.sum() + total.shape[1])
    return (total + 10 * everywhere) / (total.sum(axis=1, keepdims=True) + 10)


def fit_strokes(
    points: np.ndarray,
    scatter: np.ndarray,
    strokes: np.ndarray,
    belief: np.ndarray,
    section: np.ndarray,
    *,
    start: np.ndarray | None = None,
) -> Discriminant:
    """Fit classes with one covariance to strokes and to the spots without any.

    The mean of a class is that of its strokes, with a little of every spot in proportion to its probability; the
    covariance within classes is half that of the strokes (shrunken after Ledoit & Wolf, 2004) and half that of all
    spots about the means, which tells how much a class varies where nobody drew; how large a class is in a section is
    read from the probabilities of the spots without a stroke (Saerens et al., Neural Computation 2002), since people
    draw on thin layers and on thick ones alike.

    Parameters
    ----------
    points
        (n, d) float32, centred.
    scatter
        (d, d) float64 :func:`products` of the points, which are the same whichever strokes are learnt from.
    strokes
        (m,) rows of the points that have a stroke.
    belief
        (m, k) probability of each class at each stroke as it was drawn: one-hot where strokes are certain.
    section
        (n,) int code from zero.
    start
        (n, k) probabilities to start from; those of the strokes alone if None.
    """
    n = len(points)
    drawn, log_belief = points[strokes].astype(np.float64), np.log(np.maximum(belief, _SMALL))
    certain = bool(((belief == 0) | (belief == 1)).all())
    weight, probability = belief, None if start is None else start.astype(np.float32)
    free = np.ones(n, dtype=bool)
    free[strokes] = False
    members = [np.flatnonzero(free & (section == code)) for code in range(section.max() + 1)]
    floor = 1e-3 * np.sqrt(np.diag(scatter) / n) + _SMALL
    for turn in range(_EM_ROUNDS):
        count, sums = weight.sum(axis=0), weight.T @ drawn
        stroke_mean = sums / np.maximum(count, _SMALL)[:, None]
        if turn == 0 or not certain:
            among = _among_strokes(drawn, weight, stroke_mean, floor)
        if probability is None:
            mean, share = stroke_mean, np.tile((count + 1) / (count + 1).sum(), (len(members), 1))
            covariance = _rounder(scatter / n, 1.0) if among is None else among
        else:
            size = probability.sum(axis=0, dtype=np.float64)
            all_sums = (probability.T @ points).astype(np.float64)
            total = _FREE_WEIGHT * size + (1 - _FREE_WEIGHT) * count
            mean = (_FREE_WEIGHT * all_sums + (1 - _FREE_WEIGHT) * sums) / np.maximum(total, _SMALL)[:, None]
            cross = all_sums.T @ mean
            spread = _rounder((scatter - cross - cross.T + (mean * size[:, None]).T @ mean) / n, _SHRINK)
            covariance = spread if among is None else _COMMON * spread + (1 - _COMMON) * among
            share = class_shares(np.stack([probability[rows].sum(axis=0, dtype=np.float64) for rows in members]))
        slope = np.linalg.solve(_rounder(covariance, _RIDGE), mean.T)
        model = Discriminant(slope, -0.5 * (slope.T * mean).sum(axis=1), share)
        probability = model.probability(points, section)
        if not certain:
            weight = softmax(np.log(np.maximum(probability[strokes], _SMALL)) + log_belief)
        probability[strokes] = weight
    return model


def products(points: np.ndarray) -> np.ndarray:
    """(d, d) float64 sum of the products of (n, d) float32 points."""
    return (points.T @ points).astype(np.float64)


def _rounder(covariance: np.ndarray, part: float) -> np.ndarray:
    """A little shrunken towards equal variances."""
    width = len(covariance)
    shrunken = (1 - part) * covariance
    shrunken.flat[:: width + 1] += part * max(np.trace(covariance) / width, _SMALL)
    return shrunken


def _among_strokes(drawn: np.ndarray, weight: np.ndarray, mean: np.ndarray, floor: np.ndarray) -> np.ndarray | None:
    """Shrunken covariance of strokes about the means of their classes.

    None where each class has one spot, or all but one.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    class_of = weight.argmax(axis=1)
    degrees = len(drawn) - len(np.unique(class_of))
    if degrees < 2:
        return None
    residual = drawn - mean[class_of]
    scale = np.maximum(residual.std(axis=0), floor)
    residual = residual / scale
    shrink = ledoit_wolf_shrinkage(residual, assume_centered=True)
    covariance = residual.T @ residual / len(drawn)
    covariance = (1 - shrink) * covariance + shrink * np.trace(covariance) / len(scale) * np.eye(len(scale))
    return covariance * np.outer(scale, scale)
