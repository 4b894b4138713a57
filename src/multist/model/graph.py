"""Message passing on spatial graphs: one interface, DGL's kernels or torch's own behind it."""

from __future__ import annotations

import importlib.util
import os
import warnings
from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor


def with_self(adjacency: sp.sparray | sp.spmatrix) -> sp.csr_matrix:
    """(n, n) pattern of the keys that each spot attends to: its neighbours and itself, columns sorted."""
    keys = (sp.csr_matrix(adjacency) + sp.identity(adjacency.shape[0], format="csr")).tocsr()
    keys.eliminate_zeros()
    keys.sort_indices()
    return keys


class SpatialGraph(ABC):
    """Neighbourhoods of n spots; each spot belongs to its own.

    Parameters
    ----------
    adjacency
        (n, n) sparse; an entry i, j other than zero says that j is a neighbour of i. The diagonal is added.
    device
        Torch device of the tensors that go in and come out.
    """

    def __init__(self, adjacency: sp.sparray | sp.spmatrix, device: torch.device | str = "cpu") -> None:
        keys = with_self(adjacency)
        self.n_spots = keys.shape[0]
        self.device = torch.device(device)
        self._indptr = keys.indptr.astype(np.int64)
        receiver = np.repeat(np.arange(self.n_spots), np.diff(self._indptr))
        self.receiver = torch.as_tensor(receiver, device=self.device)
        self.sender = torch.as_tensor(keys.indices.astype(np.int64), device=self.device)
        self.degree = torch.as_tensor(np.diff(self._indptr), device=self.device)

    @abstractmethod
    def sum_neighbours(self, x: Tensor) -> Tensor:
        """Sum of (n, d) features over each neighbourhood, the spot itself included."""

    @abstractmethod
    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Scaled dot-product attention of each spot over its neighbourhood (Vaswani et al., 2017).

        Parameters
        ----------
        query, key
            (n, heads, width).
        value
            (n, heads, width_out).

        Returns
        -------
        (n, heads, width_out) attended values, and the (n_edges, heads) weights in the order of ``receiver``.
        """

    def mean_neighbours(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Mean of (n, d) features over each neighbourhood; where ``visible`` (n, 1) is zero, a spot does not count."""
        if visible is None:
            return self.sum_neighbours(x) / self.degree[:, None]
        return self.sum_neighbours(x * visible) / self.sum_neighbours(visible).clamp_min(1e-6)

    def edges(self, among: int | None = None) -> tuple[Tensor, Tensor]:
        """Receivers and senders of all edges between different spots, or only between those of the first ``among``."""
        other = self.receiver != self.sender
        if among is not None and among < self.n_spots:
            other &= (self.receiver < among) & (self.sender < among)
        return self.receiver[other], self.sender[other]

    def sample_non_edges(
        self, n_pairs: int, generator: torch.Generator, among: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Pairs of different spots, of the first ``among`` if given, that are no neighbours, drawn uniformly.

        The few that collide are left out.
        """
        pair = torch.randint(among or self.n_spots, (2, n_pairs), generator=generator).to(self.device)
        code = pair[0] * self.n_spots + pair[1]
        known = self.receiver * self.n_spots + self.sender  # sorted, because the rows are
        place = torch.searchsorted(known, code).clamp_max(len(known) - 1)
        free = known[place] != code
        return pair[0][free], pair[1][free]


class TorchGraph(SpatialGraph):
    """Torch's own kernels: any device."""

    def __init__(self, adjacency: sp.sparray | sp.spmatrix, device: torch.device | str = "cpu") -> None:
        super().__init__(adjacency, device)
        indptr = torch.as_tensor(self._indptr, device=self.device)
        ones = torch.ones(len(self.sender), device=self.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # torch says so once per process
            self._forward = torch.sparse_csr_tensor(indptr, self.sender, ones, check_invariants=False)

    def sum_neighbours(self, x: Tensor) -> Tensor:
        """See :meth:`SpatialGraph.sum_neighbours`."""
        return torch.sparse.mm(self._forward, x)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`SpatialGraph.attend`."""
        # index_select, because the gradient of query[index] adds in the order in which threads finish
        asked, answered = query.index_select(0, self.receiver), key.index_select(0, self.sender)
        score = (asked * answered).sum(-1) / query.shape[-1] ** 0.5
        index = self.receiver[:, None].expand_as(score)
        top = torch.full_like(score[: self.n_spots], -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
        weight = (score - top.index_select(0, self.receiver)).exp()
        total = torch.zeros_like(top).index_add(0, self.receiver, weight)
        weight = weight / total.index_select(0, self.receiver)
        out = torch.zeros_like(value).index_add(
            0, self.receiver, weight[..., None] * value.index_select(0, self.sender)
        )
        return out, weight


class DGLGraph(SpatialGraph):
    """DGL's kernels: fast on the CPU, and on CUDA where DGL was built for it."""

    def __init__(self, adjacency: sp.sparray | sp.spmatrix, device: torch.device | str = "cpu") -> None:
        super().__init__(adjacency, device)
        dgl = _import_dgl()
        self._ops = dgl.ops
        self._graph = dgl.graph((self.sender, self.receiver), num_nodes=self.n_spots, device=self.device)

    def sum_neighbours(self, x: Tensor) -> Tensor:
        """See :meth:`SpatialGraph.sum_neighbours`."""
        return self._ops.copy_u_sum(self._graph, x)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`SpatialGraph.attend`."""
        score = self._ops.u_dot_v(self._graph, key, query) / query.shape[-1] ** 0.5
        weight = self._ops.edge_softmax(self._graph, score)
        return self._ops.u_mul_e_sum(self._graph, value, weight), weight[..., 0]


def build_graph(
    adjacency: sp.sparray | sp.spmatrix, *, backend: str = "auto", device: torch.device | str = "cpu"
) -> SpatialGraph:
    """Graph with the chosen kernels: ``"auto"`` is DGL on the CPU where it is installed, and torch elsewhere.

    Raises
    ------
    ValueError
        If the back end is none of ``"auto"``, ``"dgl"``, ``"torch"``.
    ImportError
        If ``"dgl"`` is asked for and not installed.
    """
    if backend not in ("auto", "dgl", "torch"):
        raise ValueError(f"graph backend must be 'auto', 'dgl' or 'torch'; got {backend!r}")
    on_cpu = torch.device(device).type == "cpu"
    if backend == "dgl" or (backend == "auto" and on_cpu and importlib.util.find_spec("dgl") is not None):
        return DGLGraph(adjacency, device)
    return TorchGraph(adjacency, device)


def _import_dgl():  # type: ignore[no-untyped-def]
    """DGL asks for its back end on the first import, and writes a file, unless it is told."""
    os.environ.setdefault("DGLBACKEND", "pytorch")
    try:
        import dgl
    except ImportError as error:
        raise ImportError("graph backend 'dgl' needs `pip install 'dgl>=1.1.3,<2'` (Python < 3.12)") from error
    return dgl
