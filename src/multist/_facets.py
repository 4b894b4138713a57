"""The lines between spots of different domains, as they are drawn, measured and enclosed by outlines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import Voronoi, cKDTree

from multist._spacing import find_lattice, local_spacings

GLASS = -2
"""Code of the places around the tissue and in its holes."""

_DIRECTIONS = 12  # in which tissue can end around a cell
_OFF_LATTICE = 1.5
"""How far from a cell at the rim, in distances to its neighbours, there is no tissue; half as far is its outline."""
_EMPTY_SHARE = 0.95
"""Share of that distance within which no other cell may be; below cos(pi / 12), so that every cell is enclosed."""
_MAX_LOOKED_AT = 20_000  # places; of more only those near borders
_NEIGHBOURS = 8  # that tell whether a place is near one
_RINGS = 2  # of such neighbours around a border
_MAX_DISTANCE = 4.0
"""Distances between neighbours; two rings of cells on either side of a border take up more."""
_ROUNDING = 1e-6
"""Corners are rounded to this share of the distance between spots, so that corners that should be one are one."""


class Facets(NamedTuple):
    """Sides that two Voronoi cells have in common.

    Attributes
    ----------
    ends
        (m, 2, 2) both ends of each, which are never one.
    sides
        (m, 2) the places, rows of ``points``, on its two sides.
    points, point_codes
        (p, 2) and (p,) the places whose cells these are, and their codes: distinct places of spots, then glass.
    """

    ends: np.ndarray
    sides: np.ndarray
    points: np.ndarray
    point_codes: np.ndarray

    @property
    def codes(self) -> np.ndarray:
        """(m, 2) codes on the two sides."""
        return self.point_codes[self.sides]

    def lengths(self) -> np.ndarray:
        """(m,) length of each."""
        return np.linalg.norm(self.ends[:, 0] - self.ends[:, 1], axis=1)


def find_facets(xy: np.ndarray, codes: np.ndarray, diameter: float = np.nan) -> Facets:
    """Sides between places of different codes, with those towards the glass.

    Around the tissue, and in its holes, places are marked where a lattice would have its next spots, or on a ring
    around each cell, and are glass. So cells at the rim end where the tissue does.

    Parameters
    ----------
    xy
        (n, 2) places of one section. Of several spots on one place, the first has it.
    codes
        (n,) domain of each spot, -1 where it has none.
    diameter
        Of a spot; needed of a single place only.

    Raises
    ------
    ValueError
        There is a single place, and ``diameter`` is unknown.
    """
    places, first = np.unique(xy, axis=0, return_index=True)
    every = np.arange(len(places))
    return _facets(places, codes[first], every, _distances(places, diameter))


def border_facets(xy: np.ndarray, codes: np.ndarray) -> Facets:
    """Sides between spots of different domains; those of spots without a domain and towards the glass are left out.

    Of many spots only those near a border are looked at.

    Parameters
    ----------
    xy, codes
        As :func:`find_facets` takes them; fewer than two places have no border.
    """
    places, first = np.unique(xy, axis=0, return_index=True)
    owner = codes[first]
    if len(np.unique(owner[owner >= 0])) < 2:
        return Facets(np.empty((0, 2, 2)), np.empty((0, 2), np.int64), places, owner)
    local = _distances(places, np.nan)
    near = _near_borders(places, owner) if len(places) > _MAX_LOOKED_AT else np.arange(len(places))
    found = _facets(places, owner, near, local)
    kept = np.flatnonzero((found.codes >= 0).all(axis=1))
    if len(near) < len(places):  # cells at the edge of what is looked at are open, and meet others far away
        beside = found.points[found.sides[kept]]
        apart = np.linalg.norm(beside[:, 0] - beside[:, 1], axis=1)
        kept = kept[apart <= _MAX_DISTANCE * local[near][found.sides[kept]].max(axis=1)]
    return found._replace(ends=found.ends[kept], sides=found.sides[kept])


def _near_borders(places: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Rows of the places beside a border, and of all around them: without these their cells would reach too far."""
    neighbours = cKDTree(places).query(places, k=_NEIGHBOURS + 1)[1]
    near = (owner[neighbours] != owner[:, None]).any(axis=1)
    for _ in range(_RINGS):
        beside = near[neighbours].any(axis=1)  # whom one has for a neighbour need not have it for one
        near[neighbours[near].ravel()] = True
        near |= beside
    return np.flatnonzero(near)


def _distances(places: np.ndarray, diameter: float) -> np.ndarray:
    """(n,) how far from each place the next may be; as far as usual at least, since random cells leave voids."""
    if len(places) > 1:
        local = local_spacings(places)
        return np.maximum(local, np.median(local))
    if not diameter > 0:
        raise ValueError("a section of a single spot of unknown size has no outline")
    return np.array([diameter / _OFF_LATTICE])


def _facets(places: np.ndarray, owner: np.ndarray, rows: np.ndarray, local: np.ndarray) -> Facets:
    """Facets of some rows of the places."""
    glass = _glass(places, rows, local[rows])
    points = np.concatenate([places[rows], glass])
    kinds = np.concatenate([owner[rows], np.full(len(glass), GLASS)])
    origin = places.mean(axis=0)  # qhull is exact near zero only
    cells = Voronoi(points - origin)
    corners = np.array(cells.ridge_vertices)
    codes = kinds[cells.ridge_points]
    # a side without end lies between two places on the glass
    between = (codes[:, 0] != codes[:, 1]) & (corners >= 0).all(axis=1)
    step = _ROUNDING * float(np.median(local))
    ends = (np.round(cells.vertices / step) * step + origin)[corners[between]]
    long = (ends[:, 0] != ends[:, 1]).any(axis=1)
    return Facets(ends[long], cells.ridge_points[between][long].astype(np.int64), points, kinds)


def _glass(places: np.ndarray, rows: np.ndarray, local: np.ndarray) -> np.ndarray:
    """(m, 2) places without tissue around some of the places, whose distances to their neighbours are given."""
    lattice = find_lattice(places)
    if lattice is not None:
        around, reach = places[rows, None] + lattice.steps(), 0.5 * local
    else:
        angle = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
        ring = np.column_stack([np.cos(angle), np.sin(angle)])
        around = places[rows, None] + _OFF_LATTICE * local[:, None, None] * ring
        reach = _EMPTY_SHARE * _OFF_LATTICE * local
    distance = cKDTree(places).query(around.reshape(-1, 2))[0].reshape(around.shape[:2])
    return around[distance > reach[:, None]]
