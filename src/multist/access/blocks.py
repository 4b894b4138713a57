"""Rows of a matrix block by block, here or on the workers of a dask client."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from distributed import Client

Result = TypeVar("Result")

_ROWS_AT_ONCE = 4096  # rows that are in memory as a copy at once
_AHEAD = 2  # chunks for each thread of the workers that are on their way


def row_blocks(values: Any) -> Iterator[tuple[slice, sparse.csr_matrix]]:
    """Spans of rows and their values as float32 CSR of their own: each entry once, none of them zero."""
    # chunks of dask are computed once each, however long they are
    for first, last in _chunks(values):
        piece = values[first:last].compute() if hasattr(values, "compute") else values
        for rows, block in _blocks_of(piece):
            yield slice(first + rows.start, first + rows.stop), block


def block_results(values: Any, work: Callable[..., Result], *by_row: np.ndarray) -> Iterator[tuple[slice, Result]]:
    """What ``work`` makes of each block of :func:`row_blocks`, in their order.

    Of a dask array, the workers of an active client read the chunks and do the work, and only what it gives is sent;
    one that is lost on the way is made anew elsewhere.

    Parameters
    ----------
    values
        (n_obs, n_genes) matrix.
    work
        Function of a block and the rows of ``by_row`` that belong to it; the client has to be able to pickle it.
    by_row
        Arrays with a row for each of ``values``.
    """
    client = active_client() if hasattr(values, "compute") else None
    if client is None:
        for rows, block in row_blocks(values):
            yield rows, work(block, *(each[rows] for each in by_row))
        return
    import dask

    ahead = _AHEAD * max(1, sum(client.nthreads().values()))
    waiting: deque[tuple[int, Any]] = deque()
    for first, last in _chunks(values):
        task = dask.delayed(_worked)(values[first:last], work, *(each[first:last] for each in by_row))
        waiting.append((first, client.compute(task)))
        if len(waiting) > ahead:
            yield from _arrived(*waiting.popleft())
    while waiting:
        yield from _arrived(*waiting.popleft())


def active_client() -> Client | None:
    """The dask client that is active, if there is one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:  # what it raises where there is none
        return None


def _chunks(values: Any) -> list[tuple[int, int]]:
    """First row of each chunk, and the one after its last."""
    ends = np.cumsum(values.chunks[0]).tolist() if hasattr(values, "compute") else [values.shape[0]]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def _blocks_of(piece: Any) -> Iterator[tuple[slice, sparse.csr_matrix]]:
    for start in range(0, piece.shape[0], _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, piece.shape[0])
        block = sparse.csr_matrix(piece[start:stop], dtype=np.float32, copy=True)
        block.sum_duplicates()
        block.eliminate_zeros()
        yield slice(start, stop), block


def _worked(piece: Any, work: Callable[..., Result], *by_row: np.ndarray) -> list[tuple[slice, Result]]:
    """What a worker does with a chunk."""
    return [(rows, work(block, *(each[rows] for each in by_row))) for rows, block in _blocks_of(piece)]


def _arrived(first: int, future: Any) -> Iterator[tuple[slice, Any]]:
    """The results of a chunk, by its first row, once they are there."""
    for rows, result in future.result():
        yield slice(first + rows.start, first + rows.stop), result
