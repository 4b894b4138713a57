"""Tissue of any number of cells as arrays, with its truth; needs nothing but numpy and scipy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

N_DOMAINS, N_EXPRESSION, N_IMAGE = 10, 50, 32
COLUMNS = 2  # of wavy regions, five in each
N_NEIGHBORS = 8
BLOCK = 500_000  # cells that are made at once
# which domains look alike: 0 and 1 to the expression, 8 and 9 to the image
EXPRESSION_OF = np.array([0, 0, 2, 3, 4, 5, 6, 7, 8, 9])
IMAGE_OF = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8])
SIGNAL = {"expression": 0.3, "image": 0.35}  # spread of the domains' means, in standard deviations of a cell's noise
JITTER = 0.25  # of the distance between cells


class LargeTissue(NamedTuple):
    """``xy`` (n, 2) in cell distances, ``truth`` (n,), ``expression`` (n, 50) and ``image`` (n, 32) float32."""

    xy: np.ndarray
    truth: np.ndarray
    expression: np.ndarray
    image: np.ndarray


def large_tissue(n_cells: int, *, random_state: int = 0) -> LargeTissue:
    """Ten wavy regions whatever the number of cells, so that more cells mean finer sampling and not more tissue.

    Two regions are told apart by the image alone and two by expression alone.
    """
    rng = np.random.default_rng(random_state)
    means = {
        "expression": rng.normal(size=(N_DOMAINS, N_EXPRESSION))[EXPRESSION_OF] * SIGNAL["expression"],
        "image": rng.normal(size=(N_DOMAINS, N_IMAGE))[IMAGE_OF] * SIGNAL["image"],
    }
    side = int(np.ceil(np.sqrt(n_cells)))
    xy = np.stack(np.divmod(np.arange(n_cells), side)[::-1], axis=1) + rng.normal(size=(n_cells, 2)) * JITTER
    truth = regions(xy / side)
    features = {
        name: np.empty((n_cells, mean.shape[1]), np.float32) for name, mean in means.items()
    }  # filled block by block, so that no float64 of all cells is held
    for start in range(0, n_cells, BLOCK):
        rows = slice(start, start + BLOCK)
        for name, mean in means.items():
            drawn = rng.standard_normal((len(truth[rows]), mean.shape[1]), dtype=np.float32)
            features[name][rows] = drawn + mean.astype(np.float32)[truth[rows]]
    return LargeTissue(xy, truth, **features)


def regions(place: np.ndarray) -> np.ndarray:
    """(n,) domain at each (n, 2) place in the unit square."""
    x, y = place.T
    column = x + 0.06 * np.sin(9 * y) > 0.5
    row = np.floor(N_DOMAINS / COLUMNS * (y + 0.05 * np.sin(11 * x) * (1 - 2 * np.abs(y - 0.5)))).astype(np.int64)
    return np.clip(row, 0, N_DOMAINS // COLUMNS - 1) * COLUMNS + column


def nearest_cells(xy: np.ndarray) -> sp.csr_matrix:
    """(n, n) symmetric adjacency of the eight nearest cells, where squidpy is not at hand."""
    n_near = min(N_NEIGHBORS, len(xy) - 1)  # of neighbours that there are not, the tree gives indices out of bounds
    near = cKDTree(xy).query(xy, k=n_near + 1)[1][:, 1:].astype(np.int32)
    indptr = np.arange(0, near.size + 1, n_near, dtype=np.int32 if near.size < 2**31 else np.int64)
    one_sided = sp.csr_matrix((np.ones(near.size, np.float32), near.ravel(), indptr), shape=(len(xy), len(xy)))
    return one_sided.maximum(one_sided.T).tocsr()
