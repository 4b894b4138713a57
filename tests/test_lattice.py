"""Whether spots lie on a lattice, and where the neighbours of one are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from multist._lattice import lattice_kind, lattice_steps


def lattice(kind: str, pitch: float, turn: float) -> np.ndarray:
    rows, columns = np.mgrid[:12, :14].reshape(2, -1).astype(float)
    if kind == "hexagonal":
        rows, columns = rows * np.sqrt(3) / 2, columns + rows % 2 / 2
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return pitch * np.column_stack([columns, rows]) @ turned.T + [500, -30]


@pytest.mark.parametrize("turn", [0.0, 0.2, 1.3, 2.9])
@pytest.mark.parametrize(("kind", "pitch"), [("hexagonal", 137.0), ("square", 8.0)])
def test_steps_lead_from_a_spot_to_its_neighbours(kind: str, pitch: float, turn: float):
    xy = lattice(kind, pitch, turn)
    assert lattice_kind(xy) == kind
    steps = lattice_steps(xy, kind)
    tree = cKDTree(xy)
    inner = np.flatnonzero([len(near) > len(steps) for near in tree.query_ball_point(xy, 1.1 * pitch)])
    assert len(inner) > 80
    distance, _ = tree.query((xy[inner, None] + steps).reshape(-1, 2))
    assert distance.max() < 1e-6 * pitch


def test_cells_lie_on_none():
    assert lattice_kind(np.random.default_rng(0).uniform(0, 1000, (300, 2))) == ""
