"""What the network is given at a time: all of a small table, tiles of a large one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from multist._settings import settings
from multist.model.factors import ENOUGH
from multist.model.graph import SpatialGraph, build_graph, with_self
from multist.model.tiles import Tiler, divide_space
from multist.model.tokens import Tokens

FULL = ENOUGH
"""Spots up to which a table is one batch; larger ones are cut into tiles, about so many spots of them per step."""

_TILES_PER_STEP = 4
_ON_ACCELERATOR = 500_000  # spots of a tile that is only read off


class Batch(NamedTuple):
    """Spots that go through the network together.

    Attributes
    ----------
    graph
        Their neighbourhoods.
    expression, image
        (m, p) and (m, q) features; ``image`` is None without one.
    section
        (m,) int64.
    n_own
        The first so many spots are the batch's own, the others the halo around them, for which nothing is learned or kept.
    spots
        (m,) rows of the table.
    """

    graph: SpatialGraph
    expression: Tensor
    image: Tensor | None
    section: Tensor
    n_own: int
    spots: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """(n_own,) rows of the table that are the batch's own."""
        return self.spots[: self.n_own]


class Batches:
    """Batches of one table on one device.

    Parameters
    ----------
    tokens
        Features of the n spots.
    adjacency
        (n, n) sparse neighbourhoods.
    xy
        (n, 2) coordinates along which tiles are cut; None cuts along the order of the rows, which gives the same result
        but larger halos.
    device
        Torch device.
    """

    def __init__(self, tokens: Tokens, adjacency: sp.csr_matrix, xy: np.ndarray | None, device: torch.device) -> None:
        self.n_spots, self.device = len(tokens.expression), device
        self.expression = torch.as_tensor(tokens.expression, dtype=torch.float32, device=device)
        self.image = None
        if tokens.image is not None:
            self.image = torch.as_tensor(tokens.image, dtype=torch.float32, device=device)
        self.section = torch.as_tensor(tokens.section, device=device)
        self.variance = sum(float(x.square().sum(1).mean()) for x in (self.expression, self.image) if x is not None)
        self.is_full = self.n_spots <= FULL
        if self.is_full:
            graph = build_graph(adjacency, backend=settings.graph_backend, device=device)
            self._full = Batch(graph, self.expression, self.image, self.section, self.n_spots, np.arange(self.n_spots))
            return
        self.indptr = with_self(adjacency).indptr.astype(np.int64)  # of the edges of all spots, their own included
        self._tiler = Tiler(adjacency, tokens.n_hops)
        self._xy = np.arange(self.n_spots)[:, None] if xy is None else xy
        self._tiles = divide_space(self._xy, FULL // _TILES_PER_STEP)

    def steps(self, epochs: int) -> int:
        """How many steps: one per epoch, but of many spots enough for each to be seen."""
        return epochs if self.is_full or not epochs else max(epochs, -(-self.n_spots // FULL))

    def for_training(
        self, n_steps: int, rank: int, n_processes: int, order: np.random.Generator, *, n_done: int = 0
    ) -> Iterator[Batch]:
        """A batch per step but the first ``n_done``; tiles are drawn without return until all were seen, and shared among the processes."""
        drawn: list[int] = []
        for step in range(n_steps):
            if self.is_full:
                if step >= n_done:
                    yield self._full
                continue
            while len(drawn) < max(_TILES_PER_STEP, n_processes):
                drawn += order.permutation(len(self._tiles)).tolist()
            now, drawn = drawn[:_TILES_PER_STEP], drawn[_TILES_PER_STEP:]
            if step < n_done:
                continue
            own = sorted(set(now[rank::n_processes] or now[:1]))
            yield self._batch(np.concatenate([self._tiles[tile] for tile in own]))

    def for_reading(self) -> list[np.ndarray]:
        """Rows of the batches that together hold every spot once."""
        if self.is_full:
            return [self._full.rows]
        return divide_space(self._xy, FULL if self.device.type == "cpu" else _ON_ACCELERATOR)

    def of_rows(self, rows: np.ndarray) -> Batch:
        """The batch whose own spots are these rows, which :meth:`for_reading` gave."""
        return self._full if self.is_full else self._batch(rows)

    def _batch(self, rows: np.ndarray) -> Batch:
        tile = self._tiler.cut(rows)
        graph = build_graph(tile.adjacency, backend=settings.graph_backend, device=self.device)
        spots = torch.as_tensor(tile.spots, device=self.device)
        image = None if self.image is None else self.image.index_select(0, spots)
        expression, section = self.expression.index_select(0, spots), self.section.index_select(0, spots)
        return Batch(graph, expression, image, section, tile.n_own, tile.spots)
