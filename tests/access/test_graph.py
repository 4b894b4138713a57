"""One form of the spatial graph, whatever a table holds."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from multist.access import read_graph

RING = sparse.csr_matrix(np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1)).astype(np.float32)


def table(graph):
    adata = ad.AnnData(np.zeros((6, 1), dtype=np.float32))
    adata.obsp["spatial_connectivities"] = graph
    return adata


def unsorted(graph):
    graph = graph.copy()
    for start, stop in zip(graph.indptr[:-1], graph.indptr[1:], strict=True):
        graph.indices[start:stop] = graph.indices[start:stop][::-1].copy()
        graph.data[start:stop] = graph.data[start:stop][::-1].copy()
    graph.has_sorted_indices = False
    return graph


def wide(graph):
    graph = graph.copy()
    graph.indices, graph.indptr = graph.indices.astype(np.int64), graph.indptr.astype(np.int64)
    return graph


def with_zeros(graph):
    graph = graph.tocoo()
    return sparse.csr_matrix(
        (np.append(graph.data, [0, 0]), (np.append(graph.row, [0, 1]), np.append(graph.col, [3, 4])))
    )


def with_diagonal(graph):
    return sparse.csr_matrix(graph + sparse.eye(6, dtype=np.float32))


def with_nan(graph):
    dense = graph.toarray()
    dense[0, 3], dense[4, 1] = np.nan, np.inf
    return dense


def read_only(graph):
    graph = unsorted(graph)
    for array in (graph.data, graph.indices, graph.indptr):
        array.setflags(write=False)
    return graph


FORMS = {
    "dense": lambda graph: graph.toarray(),
    "float64": lambda graph: graph.astype(np.float64),
    "bool": lambda graph: graph.astype(bool),
    "upper triangle": sparse.triu,
    "lower triangle": lambda graph: sparse.csr_matrix(sparse.tril(graph)),
    "directed": lambda graph: sparse.csr_matrix(np.roll(np.eye(6), 1, axis=1)),
    "csc": sparse.csc_matrix,
    "array": sparse.csr_array,
    "unsorted": unsorted,
    "read only": read_only,
    "int64": wide,
    "zeros": with_zeros,
    "diagonal": with_diagonal,
    "nan": with_nan,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_the_same_graph(form):
    held = form(RING)
    adata = table(held if isinstance(held, np.ndarray) else held.tocsr() if held.format == "coo" else held)
    kept = adata.obsp["spatial_connectivities"]
    before = (kept.copy(), kept.indices.copy()) if sparse.issparse(kept) else (kept.copy(), None)
    found = read_graph(adata)
    assert isinstance(found, sparse.csr_matrix) and found.dtype == np.float32 and found.indices.dtype == np.int32
    assert found.has_sorted_indices and found.nnz == 12
    np.testing.assert_array_equal(found.toarray(), RING.toarray())
    if sparse.issparse(kept):
        np.testing.assert_array_equal(kept.indices, before[1])
    else:
        np.testing.assert_array_equal(kept, before[0])


def test_the_larger_of_two_weights_counts():
    weights = np.zeros((6, 6))
    weights[0, 1], weights[1, 0], weights[2, 3] = 0.25, 0.5, 2.0
    found = read_graph(table(weights))
    assert found[0, 1] == found[1, 0] == 0.5 and found[2, 3] == found[3, 2] == 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(lambda g: -g, "negative weights"), (lambda g: g.astype(complex), "holds complex128, not numbers")],
)
def test_what_is_no_graph(spoil, message):
    with pytest.raises(ValueError, match=message):
        read_graph(table(spoil(RING)))


def test_no_graph():
    with pytest.raises(KeyError, match="'spatial_connectivities' not found in obsp; found: none"):
        read_graph(ad.AnnData(np.zeros((6, 1))))
