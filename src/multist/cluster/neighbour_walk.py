"""A spatial prior that stops at borders: probabilities of classes walk along edges between spots that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.cluster.stroke_lesson import LEAST

_STRENGTHS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)  # that are tried where strokes are held out
_WALK_STEPS = 20
_HALO = 6  # steps around held-out strokes within which strengths are compared
_UNTOLD = 1.0  # strength where no stroke could be held out


class HeldOut(NamedTuple):
    """What is said of strokes by models that have not seen them.

    Attributes
    ----------
    rows, classes
        (m,) rows of the strokes, and class of each.
    probability
        (m, k) of each class.
    """

    rows: np.ndarray
    classes: np.ndarray
    probability: np.ndarray


def similar_edges(scores: np.ndarray, adjacency: sp.csr_matrix) -> sp.csr_matrix:
    """Edges weighted by how alike the (n, k) scores of their ends are: ``exp(-d^2 / median d^2)``."""
    edges = adjacency.tocoo()
    distance = np.zeros(edges.nnz)
    for column in scores.T:
        distance += (column[edges.row] - column[edges.col]) ** 2
    weight = np.exp(-distance / max(float(np.median(distance)) if edges.nnz else 1.0, 1e-12))
    return sp.csr_matrix((weight, (edges.row, edges.col)), shape=adjacency.shape)


def walk_to_neighbours(
    probability: np.ndarray,
    edges: sp.csr_matrix,
    strength: float,
    fixed: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Twenty steps towards the solution of ``(I + strength L) f = p`` (random walker with priors, Grady 2005).

    Unlike a vote it adds up probabilities, and little of them crosses an edge between spots that differ: a duct one
    spot wide stays.

    Parameters
    ----------
    probability
        (n, k), p.
    edges
        (n, n) weights, of which L is the Laplacian.
    strength
        0 changes nothing.
    fixed
        Rows that keep their probabilities, and these.
    """
    walked = probability.copy()
    if fixed is not None:
        walked[fixed[0]] = fixed[1]
    if strength == 0:
        return walked
    total = 1 + strength * np.asarray(edges.sum(axis=1)).ravel()[:, None]
    for _ in range(_WALK_STEPS):
        walked = (probability + strength * (edges @ walked)) / total
        if fixed is not None:
            walked[fixed[0]] = fixed[1]
    return walked


def strength_from_held_out(probability: np.ndarray, edges: sp.csr_matrix, deals: Sequence[HeldOut]) -> float:
    """The strength with which strokes are recognised best while they are held out.

    Parameters
    ----------
    probability
        (n, k) of all spots.
    edges
        (n, n) weights.
    deals
        Of strokes to folds; the mean over them counts.
    """
    told = [_recognised(probability, edges, deal) for deal in deals if len(deal.rows)]
    if not told:
        return _UNTOLD
    return _STRENGTHS[int(np.argmax(np.mean(told, axis=0)))]


def _recognised(probability: np.ndarray, edges: sp.csr_matrix, deal: HeldOut) -> list[float]:
    """Mean logarithm of the probability of the class that was drawn, after a walk of each strength."""
    reach = np.zeros(len(probability), dtype=bool)
    reach[deal.rows] = True
    for _ in range(_HALO):
        reach |= edges @ reach.astype(np.float32) > 0
    near = np.flatnonzero(reach)
    place = np.searchsorted(near, deal.rows)
    start = probability[near]
    start[place] = deal.probability
    inner = edges[near][:, near]
    of_drawn_class = [walk_to_neighbours(start, inner, strength)[place, deal.classes] for strength in _STRENGTHS]
    return [float(np.log(each + LEAST).mean()) for each in of_drawn_class]
