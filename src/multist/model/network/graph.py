"""Message passing on spatial graphs: one interface, DGL's kernels or torch's own behind it."""

from __future__ import annotations

import importlib.util
import os
import warnings
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn


def with_self(adjacency: sp.sparray | sp.spmatrix) -> sp.csr_matrix:
    """(n, n) adjacency in which each spot is its own neighbour too."""
    return (sp.csr_matrix(adjacency) + sp.identity(adjacency.shape[0], format="csr")).tocsr()


class SpatialGraph(ABC):
    """Neighbourhoods of n spots.

    Parameters
    ----------
    adjacency
        (n, n) sparse; an entry i, j other than zero says that j is a neighbour of i.
    device
        Torch device of the tensors that go in and come out.

    Attributes
    ----------
    receiver, sender
        (n_edges,) int64 i and j of each edge, in the order of the matrix's rows and columns.
    """

    def __init__(self, adjacency: sp.sparray | sp.spmatrix, device: torch.device | str = "cpu") -> None:
        keys = sp.csr_matrix(adjacency, copy=True)
        keys.eliminate_zeros()
        keys.sort_indices()
        self.n_spots = keys.shape[0]
        self.device = torch.device(device)
        self._indptr = keys.indptr.astype(np.int64)
        receiver = np.repeat(np.arange(self.n_spots), np.diff(self._indptr))
        self.receiver = torch.as_tensor(receiver, device=self.device)
        self.sender = torch.as_tensor(keys.indices.astype(np.int64), device=self.device)
        self.degree = torch.as_tensor(np.diff(self._indptr), device=self.device)

    @abstractmethod
    def sum_neighbours(self, x: Tensor) -> Tensor:
        """Sum of (n, d) features over each neighbourhood."""

    @abstractmethod
    def weigh(self, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """Weights of scaled dot-product attention of each spot over its neighbourhood (Vaswani et al., 2017).

        Parameters
        ----------
        query, key
            (n, heads, width).
        bias
            (n_edges, heads) added to the scores.

        Returns
        -------
        (n_edges, heads) weights, which sum to one over the edges of a receiver.
        """

    def sum_edges(self, values: Tensor) -> Tensor:
        """(n, ...) sums of (n_edges, ...) values over each neighbourhood, in the order of the edges."""
        if self.device.type != "cuda":
            return values.new_zeros((self.n_spots, *values.shape[1:])).index_add(0, self.receiver, values)
        if not len(values):  # which the kernel below refuses
            return values.new_zeros((self.n_spots, *values.shape[1:]))
        # index_add adds in the order in which threads finish
        return torch.segment_reduce(values, "sum", offsets=self._offsets, axis=0, unsafe=True, initial=0)

    @cached_property
    def _offsets(self) -> Tensor:
        """(n + 1,) places at which the edges of each receiver begin."""
        return torch.as_tensor(self._indptr, device=self.device)

    def mean_neighbours(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Mean of (n, d) features over each neighbourhood; where ``visible`` (n, 1) is zero, a spot does not count."""
        if visible is None:
            return self.sum_neighbours(x) / self.degree[:, None].clamp_min(1)
        return self.sum_neighbours(x * visible) / self.sum_neighbours(visible).clamp_min(1e-6)

    def edges(self) -> tuple[Tensor, Tensor]:
        """Receivers and senders of all edges between different spots."""
        other = self.receiver != self.sender
        return self.receiver[other], self.sender[other]

    def sample_non_edges(self, n_pairs: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pairs of different spots that are no neighbours, drawn uniformly; the few that collide are left out."""
        pair = torch.randint(self.n_spots, (2, n_pairs), generator=generator).to(self.device)
        code = pair[0] * self.n_spots + pair[1]
        edges = self.receiver * self.n_spots + self.sender  # sorted, because the rows are
        place = torch.searchsorted(edges, code).clamp_max(len(edges) - 1)
        free = edges[place] != code
        return pair[0][free], pair[1][free]


class TorchGraph(SpatialGraph):
    """Torch's own kernels: any device."""

    def sum_neighbours(self, x: Tensor) -> Tensor:
        """See :meth:`SpatialGraph.sum_neighbours`."""
        if self.device.type != "cpu":  # sparse products may differ from run to run on CUDA, and are not there on MPS
            return self.sum_edges(take_rows(x, self.sender))
        return torch.sparse.mm(self._matrix, x)

    def weigh(self, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """See :meth:`SpatialGraph.weigh`."""
        asked, answered = take_rows(query, self.receiver), take_rows(key, self.sender)
        score = (asked * answered).sum(-1) / query.shape[-1] ** 0.5 + bias
        index = self.receiver[:, None].expand_as(score)
        nothing = score.new_full((self.n_spots, score.shape[1]), -torch.inf)
        top = nothing.scatter_reduce(0, index, score.detach(), "amax")
        weight = (score - top.index_select(0, self.receiver)).exp()
        return weight / take_rows(self.sum_edges(weight), self.receiver)

    @cached_property
    def _matrix(self) -> Tensor:
        """(n, n) ones where there is an edge."""
        ones = torch.ones(len(self.sender), device=self.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # torch says so once per process
            return torch.sparse_csr_tensor(
                self._offsets, self.sender, ones, size=(self.n_spots, self.n_spots), check_invariants=False
            )


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """(m, ...) rows of (n, d, ...) features, whose gradients are added in one order on the CPU and on CUDA."""
    if not x.is_cuda:
        return x.index_select(0, index)
    # on CUDA the gradients of index_select are added in the order in which threads finish
    return nn.functional.embedding(index, x.flatten(1)).view(-1, *x.shape[1:])


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

    def weigh(self, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """See :meth:`SpatialGraph.weigh`."""
        score = self._ops.u_dot_v(self._graph, key, query) / query.shape[-1] ** 0.5
        return self._ops.edge_softmax(self._graph, score + bias[..., None])[..., 0]


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
