"""Rows of a large array, some at a time, so that what is made of them on the way takes little memory."""

from __future__ import annotations

from collections.abc import Iterator

_ROWS_AT_ONCE = 2**16


def row_slices(n_rows: int) -> Iterator[slice]:
    """Slices that cover so many rows, in their order; up to 65,536 rows are one slice."""
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, n_rows))
