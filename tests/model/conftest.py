"""A small tissue as arrays: two halves on a lattice, told apart by expression and by the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
import torch


def square_lattice(side: int) -> tuple[np.ndarray, sp.csr_matrix]:
    """(n, 2) places of a side x side lattice, and who is next to whom."""
    place = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate(
        [
            np.stack([place[:, :-1], place[:, 1:]], -1).reshape(-1, 2),
            np.stack([place[:-1], place[1:]], -1).reshape(-1, 2),
        ]
    )
    adjacency = sp.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(side**2, side**2)).tocsr()
    xy = np.stack(np.divmod(np.arange(side**2), side), axis=1).astype(float)
    return xy, (adjacency + adjacency.T).tocsr()


@dataclass
class Tissue:
    """Features of spots on a lattice; ``pattern`` (n, 3) is what expression and image both show."""

    xy: np.ndarray
    adjacency: sp.csr_matrix
    pattern: np.ndarray
    expression: np.ndarray
    image: np.ndarray


def make_tissue(side: int = 20, seed: int = 0) -> Tissue:
    rng = np.random.default_rng(seed)
    xy, adjacency = square_lattice(side)
    x, y = xy.T / side
    pattern = np.stack([x > 0.5, np.abs(y - 0.5) < 0.2, np.hypot(x - 0.3, y - 0.7) < 0.25], axis=1) - 0.5
    expression = 2 * pattern @ rng.normal(size=(3, 12)) + rng.normal(size=(len(xy), 12))
    image = 2 * pattern @ rng.normal(size=(3, 8)) + rng.normal(size=(len(xy), 8))
    return Tissue(xy, adjacency, pattern, expression, image)


@pytest.fixture(scope="session")
def make_arrays() -> Callable[..., Tissue]:
    """The function above."""
    return make_tissue


@pytest.fixture(scope="session")
def tissue_arrays() -> Tissue:
    return make_tissue()


@pytest.fixture(scope="session")
def small_arrays() -> Tissue:
    return make_tissue(10)


@pytest.fixture(scope="session")
def large_arrays() -> Tissue:
    return make_tissue(45)


@pytest.fixture(
    params=[
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    """Where a network learns."""
    return request.param
