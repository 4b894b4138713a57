"""Averages over the graph of neighbours."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from multist._neighbourhood import neighbourhood_mean

ENOUGH = 20_000
"""Spots from which numbers of the whole tissue are estimated; tables with more are held in float32."""


def as_floats(features: np.ndarray) -> np.ndarray:
    """Of few spots every digit is kept; of many, half of the memory counts for more."""
    return np.asarray(features, dtype=np.float64 if len(features) <= ENOUGH else np.float32)


def smooth(features: np.ndarray, adjacency: sp.csr_matrix, n_hops: int) -> np.ndarray:
    """(n, p) features averaged ``n_hops`` times over each spot and its neighbours."""
    mean = neighbourhood_mean(adjacency, with_self=True)
    for _ in range(n_hops):
        features = mean @ features
    return features


def second_ring(adjacency: sp.csr_matrix, rows: np.ndarray) -> sp.csr_matrix:
    """(m, n) pattern of the spots that are exactly two steps away from each of the (m,) ``rows``."""
    near = sp.csr_matrix(adjacency, dtype=np.float32) != 0
    first = near[rows]
    reached = (first @ near).astype(np.float32)
    itself = sp.csr_matrix((np.ones(len(rows), np.float32), (np.arange(len(rows)), rows)), shape=reached.shape)
    inside = reached.multiply((first + itself) != 0)
    ring = sp.csr_matrix(reached - inside)
    ring.eliminate_zeros()
    ring.data = np.ones_like(ring.data)
    return ring
