"""Whether spots lie on a lattice, on which, and where the neighbours of one are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from multist.access import find_lattice


def lattice(kind: str, pitch: float, turn: float, side: int = 14) -> np.ndarray:
    rows, columns = np.mgrid[: side - 2, :side].reshape(2, -1).astype(float)
    if kind == "hexagonal":
        rows, columns = rows * np.sqrt(3) / 2, columns + rows % 2 / 2
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return pitch * np.column_stack([columns, rows]) @ turned.T + [500, -30]


@pytest.mark.parametrize("turn", [0.0, 0.2, 1.3, 2.9])
@pytest.mark.parametrize(("kind", "pitch"), [("hexagonal", 137.0), ("square", 8.0)])
def test_steps_lead_from_a_spot_to_its_neighbours(kind: str, pitch: float, turn: float):
    xy = lattice(kind, pitch, turn)
    found = find_lattice(xy)
    assert found is not None and found.kind == kind and found.pitch == pytest.approx(pitch)
    tree = cKDTree(xy)
    inner = np.flatnonzero([len(near) > found.n_neighbors for near in tree.query_ball_point(xy, 1.1 * pitch)])
    assert len(inner) > 80
    distance, _ = tree.query((xy[inner, None] + found.steps()).reshape(-1, 2))
    assert distance.max() < 1e-6 * pitch


@pytest.mark.parametrize("degrees", [0, 7, -20])
@pytest.mark.parametrize(("kind", "turns"), [("hexagonal", 6), ("square", 4)])
@pytest.mark.parametrize("side", [20, 160])
def test_a_turned_lattice_is_found_with_its_angle_where_spots_lie_a_little_off(
    degrees: float, kind: str, turns: int, side: int
):
    xy = lattice(kind, 9, np.radians(degrees), side)
    found = find_lattice(xy + np.random.default_rng(0).uniform(-0.1, 0.1, xy.shape))
    assert found is not None and found.kind == kind
    assert found.pitch == pytest.approx(9, rel=0.03)
    assert abs(found.angle) <= np.pi / turns
    off = np.degrees(found.angle) - degrees
    assert abs(off - 360 / turns * round(off / (360 / turns))) < 1


@pytest.mark.parametrize("n", [7, 300, 30_000])
def test_scattered_places_are_no_lattice(n: int):
    assert find_lattice(np.random.default_rng(0).uniform(0, 1000, (n, 2))) is None
    assert find_lattice(np.zeros((n, 2))) is None
