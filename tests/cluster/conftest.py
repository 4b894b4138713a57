"""Spots on a lattice, and quick searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster.mixture import fit_mixture


@pytest.fixture(scope="session")
def lattice() -> Callable[..., sp.csr_matrix]:
    """Adjacency of rows x columns spots, each joined to the up to eight (hexagonal: six) around it."""

    def make(rows: int, columns: int, *, hexagonal: bool = False) -> sp.csr_matrix:
        y, x = np.divmod(np.arange(rows * columns), columns)
        down, right = np.abs(y[:, None] - y), np.abs(x[:, None] - x)
        if hexagonal:
            shifted = x + 0.5 * (y % 2)
            right = np.abs(shifted[:, None] - shifted)
        near = (down + right > 0) & (down <= 1) & (right + 0.5 * down * hexagonal <= 1)
        return sp.csr_matrix(near.astype(np.float32))

    return make


@pytest.fixture
def few_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches begin with four starts if nothing else is asked for."""
    monkeypatch.setitem(fit_mixture.__kwdefaults__, "n_starts", 4)


@pytest.fixture
def one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """No search is repeated, or recombined with others."""
    monkeypatch.setattr("multist.cluster.mixture._ENOUGH_HITS", 1)
