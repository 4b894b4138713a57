"""Where one more stroke would tell most."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from multist._neighbourhood import neighbourhood_mean

_LEAST_DOUBT = 1.0  # of the mean doubt: what a few strokes make certain may be wrong
_MOST = 2_000  # spots that are looked at, as suggestions and as what these speak for


def suggest(
    embedding: np.ndarray, probability: np.ndarray, adjacency: sp.csr_matrix, labels: np.ndarray, n: int
) -> np.ndarray:
    """Spots that speak for much doubtful tissue for which no stroke speaks yet.

    Doubt is the entropy of the classes, averaged with that of the neighbours, with a floor. A spot speaks for those
    that are like it, by a Gaussian of the distance between their embeddings that is as wide as if strokes and
    suggestions shared the spots equally. One after the other, the spot is taken that adds most doubt spoken for
    (facility location, Wei, Iyer and Bilmes, ICML 2015), and none within two steps of another one as long as there are
    others. The most doubtful spots themselves lie on borders, and tell little about what is inside.

    Parameters
    ----------
    embedding
        (m, d), in which alike spots are close.
    probability
        (m, k), rows summing to one.
    adjacency
        (m, m) sparse neighbourhoods.
    labels
        (m,) int, -1 where there is no stroke.
    n
        How many.

    Returns
    -------
    (n,) int64 rows, the most telling first; fewer where fewer spots have no stroke.
    """
    embedding, probability = (np.asarray(each, dtype=np.float64) for each in (embedding, probability))
    strokes, free = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    if len(free) > max(_MOST, n):
        free = np.sort(np.random.default_rng(0).choice(free, max(_MOST, n), replace=False))
    width = _width(embedding, len(strokes) + n)
    doubt = _doubt(probability, adjacency)[free]
    alike = np.exp(-0.5 * cdist(embedding[free], embedding[free], "sqeuclidean") / width**2)
    spoken_for = np.zeros(len(free))
    if len(strokes):
        spoken_for = np.exp(-0.5 * (cKDTree(embedding[strokes]).query(embedding[free])[0] / width) ** 2)
    one_step = sp.csr_matrix(adjacency, dtype=bool)
    beside = np.zeros(len(labels), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(n, len(free))):
        gain = doubt @ np.maximum(alike - spoken_for[:, None], 0)
        gain[beside[free]] -= float(doubt.sum())  # after all others
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
        spoken_for = np.maximum(spoken_for, alike[:, chosen[-1]])
        near = one_step[[free[chosen[-1]]]].indices
        beside[near] = beside[one_step[near].indices] = True
    return free[chosen]


def _doubt(probability: np.ndarray, adjacency: sp.csr_matrix) -> np.ndarray:
    """(m,) entropy of the classes around each spot, with a floor."""
    doubt = -(probability * np.log(np.maximum(probability, 1e-12))).sum(axis=1)
    doubt = neighbourhood_mean(adjacency, with_self=True) @ doubt
    return doubt + max(_LEAST_DOUBT * float(doubt.mean()), 1e-9)


def _width(embedding: np.ndarray, parts: int) -> float:
    """Of the Gaussian: the distance within which a spot has the ``parts``-th part of all others."""
    look = embedding[:: max(1, len(embedding) // 200)]
    part = max(2, len(embedding) // parts)
    if len(embedding) > _MOST:
        part, embedding = max(2, part * _MOST // len(embedding)), embedding[:: len(embedding) // _MOST]
    return max(float(np.median(cKDTree(embedding).query(look, [min(part, len(embedding))])[0])), 1e-12)
