"""Whether spots lie on a lattice, on which, and where the neighbours of one are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from multist._spacing import find_lattice, local_spacings, spacing


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


@pytest.mark.slow
@pytest.mark.parametrize("n", [7, 300, 30_000])
def test_scattered_places_are_no_lattice(n: int):
    assert find_lattice(np.random.default_rng(0).uniform(0, 1000, (n, 2))) is None
    assert find_lattice(np.zeros((n, 2))) is None


@pytest.mark.parametrize("kind", ["hexagonal", "square"])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_spots_of_a_lattice_are_one_pitch_apart_also_where_it_is_half_empty(kind: str, missing: float):
    xy = lattice(kind, 55.0, 0.3, side=30)
    xy = xy[np.random.default_rng(0).random(len(xy)) >= missing]
    assert spacing(xy) == pytest.approx(55.0, rel=1e-6)
    np.testing.assert_allclose(local_spacings(xy), 55.0)


@pytest.mark.slow
def test_cells_are_as_far_apart_as_the_places_of_a_lattice_as_dense():
    xy = np.random.default_rng(1).uniform(0, 100, (20_000, 2))
    pitch = np.sqrt(2 / np.sqrt(3) * 100**2 / len(xy))
    assert spacing(xy) == pytest.approx(pitch, rel=0.03)
    assert spacing(np.repeat(xy, 3, axis=0)) == pytest.approx(spacing(xy))  # several cells of a place


def test_dense_tissue_has_shorter_distances_of_its_own():
    rng = np.random.default_rng(2)
    xy = np.concatenate([rng.uniform(0, 10, (500, 2)), rng.uniform(100, 130, (500, 2))])
    local = local_spacings(xy)
    assert np.median(local[500:]) / np.median(local[:500]) == pytest.approx(3, rel=0.15)


def test_of_few_spots_the_nearest_counts_and_one_place_has_none():
    assert spacing(np.array([[0.0, 0], [10, 0], [20, 0]])) == 10
    for alone in (np.zeros((1, 2)), np.ones((9, 2))):
        assert np.isnan(spacing(alone)) and np.isnan(local_spacings(alone)).all()
