"""Where one more stroke would tell most."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

_STEPS = 3  # of averaging: a doubt that a single spot has tells little about others


def suggest(
    probability: np.ndarray, adjacency: sp.csr_matrix, labels: np.ndarray, n: int, xy: np.ndarray
) -> np.ndarray:
    """Spots that are in doubt, in the middle of much doubt, and far from strokes and from each other.

    Doubt is the entropy of the classes, averaged over three steps, so that large doubtful regions count more than lone spots. Around
    each stroke and each suggestion it fades like a Gaussian whose width is the radius that each would have if all of them
    shared the tissue equally; the spot with most doubt left is suggested, again and again (uncertainty sampling,
    Lewis & Gale 1994, with density and diversity, Settles 2009).

    Parameters
    ----------
    probability
        (m, k), rows summing to one.
    adjacency
        (m, m) sparse neighbourhoods.
    labels
        (m,) int, -1 where there is no stroke.
    n
        How many.
    xy
        (m, p) coordinates; sections far apart.

    Returns
    -------
    (n,) int64 rows, the most telling first; fewer where fewer spots have no stroke.

    Raises
    ------
    ValueError
        If the shapes disagree or ``n`` is not positive.
    """
    probability, labels = np.asarray(probability, dtype=np.float64), np.asarray(labels)
    xy = np.asarray(xy, dtype=np.float64)
    m = len(probability)
    if labels.shape != (m,) or len(xy) != m or adjacency.shape != (m, m):
        raise ValueError(
            f"probability has {m} rows; got labels {labels.shape}, xy {xy.shape}, adjacency {adjacency.shape}"
        )
    if n < 1:
        raise ValueError(f"n must be positive; got {n}")
    doubt = -(probability * np.log(np.maximum(probability, 1e-12))).sum(axis=1)
    near = sp.csr_matrix(adjacency, dtype=np.float64) + sp.identity(m, format="csr")
    near.data[:] = 1
    size = np.asarray(near.sum(axis=1)).ravel()
    for _ in range(_STEPS):
        doubt = near @ doubt / size
    strokes = np.flatnonzero(labels >= 0)
    free = labels < 0
    tree = cKDTree(xy)
    width = _radius(tree, strokes, n)
    if len(strokes):
        doubt = doubt * (1 - np.exp(-0.5 * (cKDTree(xy[strokes]).query(xy)[0] / width) ** 2))
    doubt = np.where(free, doubt, -1.0)
    chosen = []
    for _ in range(min(n, int(free.sum()))):
        best = int(doubt.argmax())
        chosen.append(best)
        around = np.array(tree.query_ball_point(xy[best], 4 * width))
        away = ((xy[around] - xy[best]) ** 2).sum(axis=1) / width**2
        doubt[around] = np.where(doubt[around] > 0, doubt[around] * (1 - np.exp(-0.5 * away)), doubt[around])
        doubt[best] = -1.0
    return np.array(chosen, dtype=np.int64)


def _radius(tree: cKDTree, strokes: np.ndarray, n: int) -> float:
    """Radius within which a spot has as many others as each of ``n`` suggestions would have to speak for."""
    points = tree.data
    part = max(2, min(len(points), len(points) // (2 * n)))
    look = points[:: max(1, len(points) // 200)]
    return float(max(np.median(tree.query(look, part)[0][:, -1]), 1e-12))
