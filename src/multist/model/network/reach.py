"""Who can answer whom: the spots within two steps on the graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from multist._settings import settings
from multist.model.network.graph import SpatialGraph, build_graph

_ONE_STEP = 2.0**16  # more than there are ways of two steps from a spot to another
_SPOTS_HELD = 20_000  # whose surroundings are kept, rather than looked up each time


class Hidden(NamedTuple):
    """Spots that are asked for, and all that they can see.

    Attributes
    ----------
    graph
        Edges of the asking spots only; the spots are numbered from the first of ``spots``.
    far
        (n_edges,) bool: whether the sender is two steps away rather than one.
    ring_weight
        (n_edges, 2) equal weights of the spots one step away, and of those two steps away.
    spots
        (m,) int64 rows of the table, first those that ask.
    n_asking
        Number of these.
    """

    graph: SpatialGraph
    far: Tensor
    ring_weight: Tensor
    spots: np.ndarray
    n_asking: int


class Reach:
    """Who can answer whom: all within two steps on the graph, the spot itself left out.

    Parameters
    ----------
    adjacency
        (n, n) spatial neighbourhoods without the diagonal.
    device
        Torch device.
    """

    def __init__(self, adjacency: sp.csr_matrix, device: torch.device) -> None:
        self._near = sp.csr_matrix(adjacency != 0, dtype=np.float32)
        self._device = device
        n = self._near.shape[0]
        self._place = np.full(n, -1, dtype=np.int64)
        self._everywhere = self._within(np.arange(n)) if n <= _SPOTS_HELD else None

    def of(self, rows: np.ndarray) -> Hidden:
        """What the (m,) ``rows`` see."""
        within = self._within(rows) if self._everywhere is None else self._everywhere[rows]
        seen = np.zeros(len(self._place), dtype=bool)
        seen[within.indices] = True
        seen[rows] = False
        spots = np.concatenate([rows, np.flatnonzero(seen)]).astype(np.int64)
        self._place[spots] = np.arange(len(spots))
        receiver = np.repeat(np.arange(len(rows)), np.diff(within.indptr))
        sender = self._place[within.indices]
        self._place[spots] = -1
        kept = sender != receiver
        shape = (len(spots), len(spots))
        pattern = sp.csr_matrix((within.data[kept], (receiver[kept], sender[kept])), shape=shape)
        pattern.sort_indices()  # as the graph has its edges
        graph = build_graph(pattern, backend=settings.graph_backend, device=self._device)
        far, start = pattern.data < _ONE_STEP, np.repeat(np.arange(len(spots)), np.diff(pattern.indptr))
        ring = np.stack([~far, far], axis=1).astype(np.float32)
        count = np.stack([np.bincount(start, of_ring, minlength=len(spots)) for of_ring in ring.T], axis=1)
        ring /= np.maximum(count[start], 1)
        return Hidden(
            graph,
            torch.as_tensor(far, device=self._device),
            torch.as_tensor(ring, device=self._device),
            spots,
            len(rows),
        )

    def _within(self, rows: np.ndarray) -> sp.csr_matrix:
        """(m, n) ways of two steps from each row, and :data:`_ONE_STEP` more where one step is enough."""
        first = self._near[rows]
        return sp.csr_matrix(_ONE_STEP * first + first @ self._near)
