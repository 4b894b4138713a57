"""How many different points there are, as far as it matters."""

from __future__ import annotations

import numpy as np


def count_distinct(points: np.ndarray, enough: int) -> int:
    """Number of distinct rows of (n, d) points, or some number from ``enough`` upwards if there are at least that many.

    Looks at a few rows first: sorting all of a large table takes longer than many a fit.
    """
    few = max(10 * enough, 1000)
    while few < len(points):
        n_distinct = len(np.unique(points[:: -(-len(points) // few)], axis=0))
        if n_distinct >= enough:
            return n_distinct
        few *= 10
    return len(np.unique(points, axis=0))


def telling_sample(points: np.ndarray, sample: np.ndarray, enough: int, rng: np.random.Generator) -> np.ndarray:
    """The (m,) rows of a ``sample``, or of different points, at most m, where it has fewer than ``enough`` of these.

    Then nearly all points are equal, and the others are few.
    """
    if count_distinct(points[sample], enough) >= enough:
        return sample
    return rng.permutation(np.unique(points, axis=0, return_index=True)[1])[: len(sample)]
