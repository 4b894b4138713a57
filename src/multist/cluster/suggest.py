"""Where one more stroke would tell most."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans

_LEAST_DOUBT = 1.0  # of the mean doubt: what a few strokes make certain may be wrong
_MAX_CANDIDATES = 20_000  # spots among which centers are sought


def suggest(
    probability: np.ndarray, adjacency: sp.csr_matrix, labels: np.ndarray, n: int, xy: np.ndarray
) -> np.ndarray:
    """Spots in the middle of much doubt, far from strokes and from each other.

    Doubt is the entropy of the classes, with a floor, averaged with that of the neighbours; close to strokes it counts
    less. Weighted k-means on the tissue divides it into ``n`` regions, and the spot nearest to the center of each is
    suggested (weighted clustering of uncertain points, Zhdanov 2019): the most doubtful spots themselves lie on
    borders, and tell little about what is inside.

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
    doubt = near @ doubt / np.asarray(near.sum(axis=1)).ravel()
    doubt = doubt + max(_LEAST_DOUBT * float(doubt.mean()), 1e-9)
    strokes, free = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    free = free[:: max(1, -(-len(free) // _MAX_CANDIDATES))]
    weight, place = doubt[free], xy[free]
    if len(free) <= n:
        return free[np.argsort(-weight, kind="stable")]
    if len(strokes):
        distance = cKDTree(xy[strokes]).query(place)[0]
        weight = weight * -np.expm1(-0.5 * (distance / _radius(place, n)) ** 2)
    regions = KMeans(n, n_init=3, random_state=0).fit(place, sample_weight=weight)
    chosen = cKDTree(place).query(regions.cluster_centers_)[1]
    mass = np.bincount(regions.labels_, weights=weight, minlength=n)
    ordered = chosen[np.argsort(-mass, kind="stable")]
    return free[list(dict.fromkeys(ordered.tolist()))]


def _radius(place: np.ndarray, n: int) -> float:
    """Within which a stroke speaks for others: a quarter of that of a region, if ``n`` shared the tissue equally."""
    part = max(2, min(len(place), len(place) // n))
    look = place[:: max(1, len(place) // 200)]
    return max(0.25 * float(np.median(cKDTree(place).query(look, part)[0][:, -1])), 1e-12)
