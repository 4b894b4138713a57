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
