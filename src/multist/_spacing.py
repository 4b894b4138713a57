"""How far apart spots are, on which lattice they lie if they lie on one, and the lines between their cells.

Everything that needs a distance between spots asks here: what is drawn is then what is measured.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

Kind = Literal["hexagonal", "square"]

_FEWEST_SPOTS = 8
_REGULAR_SHARE = 0.5  # have their nearest neighbour at one distance, also where more than half of a lattice is empty
_MIN_ORDER = 0.5
_SHARED_PLACES = 0.1
_RING_LIMIT = 0.7  # of the way from one ring to the next
_MAX_SPOTS = 20_000  # spots around the middle, of more
_NEIGHBOUR_RANK = 4
"""Among scattered cells this neighbour is as far away as all six are on a hexagonal lattice as dense."""


class Lattice(NamedTuple):
    """Evenly laid spots.

    Attributes
    ----------
    kind
        ``"hexagonal"`` as on Visium, or ``"square"`` as bins are.
    pitch
        Distance between neighbours, in the units of the places.
    angle
        Direction of a row in radians, from the x axis; of a square lattice between -pi/4 and pi/4, of a hexagonal one
        between -pi/6 and pi/6. NaN where it is not known.
    """

    kind: Kind
    pitch: float
    angle: float

    @property
    def n_neighbors(self) -> int:
        """Places around a place: 6 or 4."""
        return 6 if self.kind == "hexagonal" else 4

    def steps(self) -> np.ndarray:
        """(6 or 4, 2) vectors from a place to those around it."""
        angle = self.angle + np.arange(self.n_neighbors) * 2 * np.pi / self.n_neighbors
        return self.pitch * np.column_stack([np.cos(angle), np.sin(angle)])


def find_lattice(xy: np.ndarray) -> Lattice | None:
    """What lattice points (n, 2) lie on, places that are left out aside.

    None if they are scattered, or fewer than eight.

    A lattice has nearest neighbours at one distance, and bonds whose directions, the same all over the section, add up:
    the absolute mean of ``exp(i k angle)`` is near 1 for k = 6 or 4 (the global bond-orientational order of Halperin
    and Nelson, 1978).
    """
    if len(xy) > _MAX_SPOTS:
        away = np.abs(xy - np.median(xy, axis=0)).max(axis=1)
        xy = xy[np.argpartition(away, _MAX_SPOTS)[:_MAX_SPOTS]]
    if len(xy) < _FEWEST_SPOTS:
        return None
    distance, neighbor = cKDTree(xy).query(xy, k=7)
    if (distance[:, 1] == 0).mean() > _SHARED_PLACES:  # several cells of a place
        xy = np.unique(xy, axis=0)
        if len(xy) < _FEWEST_SPOTS:
            return None
        distance, neighbor = cKDTree(xy).query(xy, k=7)
    pitch = float(np.median(distance[:, 1]))
    if pitch == 0 or (np.abs(distance[:, 1] / pitch - 1) < 0.1).mean() < _REGULAR_SHARE:
        return None
    start, rank = np.nonzero(distance[:, 1:] < 1.25 * pitch)
    # the nearest of several is nearer than usual where spots lie a little off their places
    pitch = float(np.median(distance[start, rank + 1]))
    step = xy[neighbor[start, rank + 1]] - xy[start]
    angle = np.arctan2(step[:, 1], step[:, 0])
    six, four = (np.exp(1j * k * angle).mean() for k in (6, 4))
    if max(abs(six), abs(four)) < _MIN_ORDER:
        return None
    if abs(six) > abs(four):
        return Lattice("hexagonal", pitch, float(np.angle(six)) / 6)
    return Lattice("square", pitch, float(np.angle(four)) / 4)


def spacing(xy: np.ndarray) -> float:
    """Distance between neighbouring spots (n, 2) of one section, in the unit of ``xy``.

    On a lattice it is the pitch. Among scattered cells it is the median distance to the fourth nearest other one, which
    is the pitch of a hexagonal lattice as dense (within 2 % for a Poisson process); the nearest of all is but half as
    far away. Fewer than eight spots show no lattice and have few neighbours: there the nearest is taken. Spots on one
    place count as one.

    Returns
    -------
    The distance; NaN of fewer than two places.
    """
    around = local_spacings(xy)
    return float(np.median(around)) if len(around) else float("nan")


def local_spacings(xy: np.ndarray) -> np.ndarray:
    """(n,) what :func:`spacing` is around each spot: one pitch on a lattice, else the own distance.

    NaN of fewer than two places.
    """
    lattice = find_lattice(xy)
    return np.full(len(xy), lattice.pitch) if lattice is not None else _scattered_spacings(xy)


def _scattered_spacings(xy: np.ndarray) -> np.ndarray:
    places, inverse = np.unique(xy, axis=0, return_inverse=True)
    if len(places) < 2:
        return np.full(len(xy), np.nan)
    rank = _NEIGHBOUR_RANK if len(places) >= _FEWEST_SPOTS else 1
    return cKDTree(places).query(places, k=[rank + 1])[0][inverse.ravel(), 0]


def lattice_pairs(xy: np.ndarray, lattice: Lattice, count: int) -> np.ndarray:
    """Pairs of points (m, 2) within the whole rings around a place that together have at least ``count`` places.

    Where points lie a little off their places, those of the next ring may come near; so of two points at least one has
    to be among the nearest of the other, as many as the rings have places.
    """
    n_places, reach = _rings(lattice.kind, count)
    pairs = cKDTree(xy).query_pairs(reach * lattice.pitch, output_type="ndarray")
    places = np.unique(xy, axis=0)
    # the farthest of the nearest, of which there may be less than the rings have
    nearest = cKDTree(places).query(xy, k=min(n_places + 1, len(places)))[0]
    farthest = nearest.reshape(len(xy), -1)[:, -1] * (1 + 1e-6)
    apart = np.linalg.norm(xy[pairs[:, 0]] - xy[pairs[:, 1]], axis=1)
    return pairs[apart <= np.maximum(farthest[pairs[:, 0]], farthest[pairs[:, 1]])]


def _rings(kind: Kind, count: int) -> tuple[int, float]:
    """Places in the rings, and a radius in pitches between the last of them and the next."""
    side = int(np.ceil(np.sqrt(count))) + 2
    i, j = np.mgrid[-side : side + 1, -side : side + 1]
    squared = i**2 + j**2 + (i * j if kind == "hexagonal" else 0)
    rings, sizes = np.unique(squared[squared > 0], return_counts=True)
    last = int(np.searchsorted(np.cumsum(sizes), count))
    inner, outer = np.sqrt(rings[last : last + 2])
    return int(sizes[: last + 1].sum()), float(inner + _RING_LIMIT * (outer - inner))
