"""Both back ends do what scipy and a dense computation do, and pairs called non-neighbours are none."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from multist.model.network.graph import SpatialGraph, build_graph, take_rows, with_self

N = 60
ALONE = (0, 31, N - 1)
needs_dgl = pytest.mark.skipif(not importlib.util.find_spec("dgl"), reason="dgl is not installed")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
BACKENDS = ["torch", pytest.param("dgl", marks=needs_dgl)]


@pytest.fixture(scope="module")
def adjacency() -> sp.csr_matrix:
    """Not symmetric, with weights that are not one; some spots have no neighbours at all."""
    dense = sp.random(N, N, 0.08, random_state=np.random.default_rng(0)).toarray()
    dense[np.diag_indices(N)] = 0
    dense[list(ALONE)] = 0
    dense[:, list(ALONE)] = 0
    return sp.csr_matrix(dense)


def neighbourhoods(adjacency: sp.csr_matrix) -> np.ndarray:
    return (adjacency.toarray() != 0) | np.eye(adjacency.shape[0], dtype=bool)


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).normal(size=shape), dtype=torch.float32)


def attend(graph: SpatialGraph, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias=None):
    """What each spot gathers, and with what weights."""
    bias = torch.zeros(len(graph.sender), query.shape[1]) if bias is None else bias
    weight = graph.weigh(query, key, bias)
    return graph.sum_edges(weight[..., None] * take_rows(value, graph.sender)), weight


def dense_attention(inside: np.ndarray, bias: np.ndarray, *qkv: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(n, heads, width) values and (n, n, heads) weights, the slow way in float64."""
    query, key, value = (x.double().numpy() for x in qkv)
    score = np.einsum("ihd,jhd->ijh", query, key) / np.sqrt(query.shape[-1]) + bias
    score[~inside] = -np.inf
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("ijh,jhd->ihd", weight, value), weight


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_sum_and_mean_are_those_of_scipy(backend, adjacency):
    graph, x = build_graph(with_self(adjacency), backend=backend), features(N, 5)
    operator = sp.csr_matrix(neighbourhoods(adjacency).astype(float))
    total = operator @ x.double().numpy()
    np.testing.assert_allclose(graph.sum_neighbours(x), total, atol=1e-5)
    np.testing.assert_allclose(graph.mean_neighbours(x), total / operator.sum(axis=1).A, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mean_counts_only_what_is_visible(backend, adjacency):
    graph, x = build_graph(with_self(adjacency), backend=backend), features(N, 5)
    visible = np.random.default_rng(1).random(N) < 0.6
    visible[ALONE[0]], visible[ALONE[1]] = True, False
    inside = neighbourhoods(adjacency) & visible
    expected = np.array([x.numpy()[row].mean(axis=0) if row.any() else np.zeros(5) for row in inside])
    shown = graph.mean_neighbours(x, torch.as_tensor(visible, dtype=torch.float32)[:, None])
    np.testing.assert_allclose(shown, expected, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scale", [1.0, 100.0], ids=["plain", "large scores"])
def test_attention_is_that_of_a_dense_computation(backend, scale, adjacency):
    graph = build_graph(with_self(adjacency), backend=backend)
    query, key, value = scale * features(N, 3, 4), features(N, 3, 4, seed=1), features(N, 3, 2, seed=2)
    bias = features(len(graph.sender), 3, seed=3)
    dense_bias = np.zeros((N, N, 3))
    dense_bias[graph.receiver, graph.sender] = bias
    expected, weights = dense_attention(neighbourhoods(adjacency), dense_bias, query, key, value)
    out, weight = attend(graph, query, key, value, bias)
    np.testing.assert_allclose(out, expected, atol=1e-4)
    np.testing.assert_allclose(weight, weights[graph.receiver, graph.sender], atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_spot_without_neighbours_has_itself_if_it_counts_and_else_nothing(backend, adjacency):
    x, alone = features(N, 2, 4), list(ALONE)
    for given, expected in ((with_self(adjacency), x[alone]), (adjacency, torch.zeros(len(ALONE), 2, 4))):
        graph = build_graph(given, backend=backend)
        np.testing.assert_allclose(graph.mean_neighbours(x.flatten(1))[alone], expected.flatten(1), atol=1e-6)
        np.testing.assert_allclose(attend(graph, x, x, x)[0][alone], expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [1, 2])
def test_graphs_without_any_edge(backend, n):
    graph, x = build_graph(sp.csr_matrix((n, n)), backend=backend), features(n, 1, 3)
    assert (attend(graph, x, x, x)[0] == 0).all() and (graph.mean_neighbours(x.flatten(1)) == 0).all()
    assert len(graph.edges()[0]) == 0


@pytest.mark.parametrize(
    "other", [pytest.param(("dgl", "cpu"), marks=needs_dgl), pytest.param(("torch", "cuda"), marks=needs_cuda)]
)
def test_back_ends_and_devices_agree_also_in_their_gradients(other, adjacency):
    results = []
    for backend, device in (("torch", "cpu"), other):
        graph = build_graph(adjacency, backend=backend, device=device)
        given = [features(N, 3, 4, seed=s).to(device).requires_grad_() for s in range(3)]
        x = features(N, 6, seed=3).to(device).requires_grad_()
        bias = features(len(graph.sender), 3, seed=5).to(device).requires_grad_()
        out, weight = attend(graph, *given, bias)
        wanted = features(N, 3, 4, seed=4).to(device)
        loss = (out * wanted).sum() + (weight**2).sum() + graph.sum_neighbours(x).pow(2).sum()
        loss.backward()
        results.append([each.detach().cpu() for each in (out, weight, *(t.grad for t in (*given, bias, x)))])
    for one, other in zip(*results, strict=True):
        assert one.abs().max() > 0
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "device"),
    [
        ("torch", "cpu"),
        pytest.param("dgl", "cpu", marks=needs_dgl),
        pytest.param("torch", "cuda", marks=needs_cuda),
    ],
)
def test_gradients_are_the_same_bits_whatever_the_threads_do(backend, device):
    n, threads = 6000, torch.get_num_threads()
    near = sp.random(n, n, 6 / n, random_state=np.random.default_rng(0), format="csr")
    graph = build_graph(near, backend=backend, device=device)

    def gradients() -> list[torch.Tensor]:
        *given, x = (features(n, 4, 4, seed=s).to(device).requires_grad_() for s in range(4))
        bias = features(len(graph.sender), 4).to(device).requires_grad_()
        out = attend(graph, *given, bias)[0]
        (out.square().sum() + graph.sum_neighbours(x.flatten(1)).square().sum()).backward()
        return [out.detach(), *(each.grad for each in (*given, x, bias))]

    torch.set_num_threads(2)
    try:
        first = gradients()
        for _ in range(3):
            assert all(torch.equal(a, b) for a, b in zip(gradients(), first, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_edges_join_different_neighbours(adjacency):
    receiver, sender = build_graph(with_self(adjacency)).edges()
    found = np.zeros((N, N), dtype=bool)
    found[receiver, sender] = True
    np.testing.assert_array_equal(found, adjacency.toarray() != 0)


def test_pairs_drawn_as_non_neighbours_are_neither_neighbours_nor_the_spot_itself(adjacency):
    graph = build_graph(with_self(adjacency))
    a, b = graph.sample_non_edges(200_000, torch.Generator().manual_seed(0))
    drawn = np.zeros((N, N), dtype=int)
    np.add.at(drawn, (a.numpy(), b.numpy()), 1)
    inside = neighbourhoods(adjacency)
    assert drawn[inside].sum() == 0
    # all others come up, none much more often than the rest
    assert drawn[~inside].min() > 0
    assert drawn[~inside].max() < 3 * drawn[~inside].mean()


def test_where_all_are_neighbours_there_is_no_pair_to_draw():
    graph = build_graph(sp.csr_matrix(np.ones((4, 4))))
    assert len(graph.sample_non_edges(1000, torch.Generator().manual_seed(0))[0]) == 0


def test_drawing_follows_the_generator(adjacency):
    graph, state = build_graph(adjacency), torch.get_rng_state()
    first, again, other = (graph.sample_non_edges(50, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again) and first.tolist() != other.tolist()
    assert torch.equal(torch.get_rng_state(), state)


class Largest(TorchDispatchMode):
    """Remembers how many elements the largest tensor had."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided:
                self.elements = max(self.elements, tensor.numel())
        return out


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_grows_with_the_edges_not_with_all_pairs(backend):
    n = 20_000
    ring = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")
    with Largest() as largest:
        graph = build_graph(ring, backend=backend)
        x = features(n, 2, 4).requires_grad_()
        out = attend(graph, x, x, x)[0]
        graph.mean_neighbours(out.flatten(1)).sum().backward()
        graph.sample_non_edges(1000, torch.Generator().manual_seed(0))
    assert n < largest.elements <= 3 * n * 8


def test_unknown_back_end(adjacency):
    with pytest.raises(ValueError, match="'auto', 'dgl' or 'torch'; got 'jax'"):
        build_graph(adjacency, backend="jax")


def test_without_dgl_torch_takes_over_unless_dgl_was_asked_for(adjacency, monkeypatch):
    monkeypatch.setitem(sys.modules, "dgl", None)
    x = features(N, 2)
    expected = build_graph(adjacency, backend="torch").sum_neighbours(x)
    assert torch.equal(build_graph(adjacency).sum_neighbours(x), expected)
    with pytest.raises(ImportError, match="pip install 'dgl"):
        build_graph(adjacency, backend="dgl")
