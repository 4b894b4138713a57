"""Domains in tissue that nobody named."""

from __future__ import annotations

import numpy as np

from multist.cluster.stroke_views import ScaledViews

_N_SEEDINGS = 10  # of k-means, the best of which is kept
_KMEANS_STEPS = 15  # of each
_ANCHOR = 0.5  # of the strokes' mean in the center of a named class


def further_domains(
    tissue: ScaledViews, rows: np.ndarray, belief: np.ndarray, n_classes: int, n_more: int, rng: np.random.Generator
) -> np.ndarray:
    """(m, k) one-hot start of a mixture in which ``n_more`` domains have no strokes.

    k-means on the averaged views, in which named classes are held near the mean of their strokes and the other centers
    are free (seeded k-means, Basu et al. 2002); the best of ten seedings after Arthur & Vassilvitskii (2007).

    Parameters
    ----------
    tissue
        Views.
    rows
        (m,) spots, strokes first.
    belief
        (s, k) of the strokes.
    n_classes, n_more
        Named and further classes.
    rng
        Of the seedings.
    """
    # a spot by itself is noisy; what counts is what surrounds it
    points = tissue.points(rows)[:, tissue.widths[0] if len(tissue.groups) > 1 else 0 :]
    drawn = belief[:, :n_classes] / belief[:, :n_classes].sum(axis=1, keepdims=True)
    named = (drawn.T @ points[: len(belief)]) / drawn.sum(axis=0)[:, None]
    square = (points * points).sum(axis=1)[:, None]
    stroke = np.arange(len(points)) < len(belief)

    def distance(centers: np.ndarray) -> np.ndarray:
        return np.maximum(square - 2 * points @ centers.T + (centers * centers).sum(axis=1), 0)

    best, least = np.zeros(len(points), dtype=np.int64), np.inf
    for _ in range(_N_SEEDINGS):
        centers = named
        for _ in range(n_more):
            far = np.where(stroke, 0, distance(centers).min(axis=1)) + 1e-12
            centers = np.vstack([centers, points[rng.choice(len(far), p=far / far.sum())]])
        for _ in range(_KMEANS_STEPS):
            away = distance(centers)
            away[stroke, n_classes:] = np.inf
            nearest = away.argmin(axis=1)
            centers = centers.copy()
            for number in np.unique(nearest):
                centers[number] = points[nearest == number].mean(axis=0)
            centers[:n_classes] += _ANCHOR * (named - centers[:n_classes])
        if (inertia := away.min(axis=1).sum()) < least:
            best, least = nearest, inertia
    return np.eye(n_classes + n_more)[best]
