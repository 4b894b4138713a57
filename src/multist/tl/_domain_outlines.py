"""Outlines of domains as polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._palette import domain_colors
from multist._settings import logger
from multist.access import find_lattice, stored_colors
from multist.tl._contacts import domain_codes

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from multist.access import SpatialRecord

_GRID = 1e-6
"""Corners are rounded to this share of the distance between spots, so that corners that should be one are one."""
_DIRECTIONS = 12
_OFF_LATTICE = 1.5
"""How far from a cell at the rim, in distances to its neighbours, there is no tissue; half as far is its outline."""
_EMPTY = 0.95
"""Share of that distance within which no other cell may be; below cos(pi / 12), so that every cell is enclosed."""
_NEIGHBORS = 6
_GLASS = -2


def section_frames(record: SpatialRecord, domain_key: str) -> dict[int, GeoDataFrame]:
    """The outlines of each section's domains with what is known of them; see :func:`multist.tl.domain_shapes`.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No spot has a domain, or a section is a single spot of unknown size.
    """
    codes, names = domain_codes(record.table, domain_key)
    if not names:
        raise ValueError(f"obs[{domain_key!r}] names no domain for any spot")
    colors = _colors(record, domain_key, names)
    return {
        section: _frame(record, section, codes, names, colors)
        for section in range(len(record.section_names))
        if (codes[record.section == section] >= 0).any()
    }


def _colors(record: SpatialRecord, domain_key: str, names: list[str]) -> list[str]:
    """``"#RRGGBB"`` of each domain that has spots."""
    from matplotlib.colors import to_hex

    categories = [str(name) for name in record.table.obs[domain_key].astype("category").cat.categories]
    known = stored_colors(record.table, domain_key) or dict(
        zip(categories, domain_colors(len(categories)), strict=True)
    )
    return [to_hex(known[name]).upper() for name in names]


def _frame(record: SpatialRecord, section: int, codes: np.ndarray, names: list[str], colors: list[str]) -> GeoDataFrame:
    from geopandas import GeoDataFrame

    rows = record.section == section
    outlines, touching = outline(record.xy[rows], codes[rows], record.diameter[rows])
    scale = record.microns_per_pixel[section]
    own = sorted(outlines)
    beside: dict[int, list[str]] = {code: [] for code in own}
    for one, two in sorted(touching):
        beside[one].append(names[two])
        beside[two].append(names[one])
    geometry = [outlines[code] for code in own]
    return GeoDataFrame(
        {
            "name": [names[code] for code in own],
            "colour": [colors[code] for code in own],
            "area": [each.area * (scale or 1.0) ** 2 for each in geometry],
            "area_unit": "px^2" if scale is None else "um^2",
            "n_spots": np.bincount(codes[rows][codes[rows] >= 0], minlength=len(names))[own],
            "neighbours": pd.Series([beside[code] for code in own], dtype=object),
        },
        geometry=geometry,
    )


def outline(xy: np.ndarray, codes: np.ndarray, diameter: np.ndarray) -> tuple[dict[int, Any], set[tuple[int, int]]]:
    """The places that are nearer to a domain's spots than to any other spot, as far as there is tissue.

    Around the tissue, and in its holes, the places are marked where a lattice would have its next spots, or on a ring around
    each cell, and are no domain. Then the facets between the Voronoi cells of different domains are all the lines there are,
    and what they enclose are the domains.

    Parameters
    ----------
    xy
        (n, 2) places of one section.
    codes
        (n,) domain of each spot, -1 where it has none.
    diameter
        (n,) of the spots, NaN where unknown; needed of a single spot only.

    Returns
    -------
    Polygon or multipolygon of each domain that has spots, and the pairs, smaller code first, that have a line in common.
    """
    import shapely
    from scipy.spatial import Voronoi, cKDTree

    places, first, inverse = np.unique(xy, axis=0, return_index=True, return_inverse=True)
    owner = codes[first]
    hidden = int((codes != owner[inverse.ravel()]).sum())
    if hidden:
        logger.warning("%d spots lie exactly on a spot of another domain, which gets the place", hidden)
    glass, spacing = _around(places, diameter)
    points = np.concatenate([places, glass])
    kinds = np.concatenate([owner, np.full(len(glass), _GLASS)])
    origin = places.mean(axis=0)  # qhull is exact near zero only
    cells = Voronoi(points - origin)
    one, two = cells.ridge_points.T
    ends = np.array(cells.ridge_vertices)
    # a facet without end lies between two places on the glass
    lines = ends[(kinds[one] != kinds[two]) & (ends >= 0).all(axis=1)]
    step = _GRID * spacing
    corners = np.round(cells.vertices / step) * step + origin
    segments = corners[lines]
    segments = segments[(segments[:, 0] != segments[:, 1]).any(axis=1)]
    segments = np.unique(np.where(_in_order(segments)[:, None, None], segments, segments[:, ::-1]), axis=0)
    faces = shapely.get_parts(shapely.polygonize(shapely.linestrings(segments)))
    inside = shapely.get_coordinates(shapely.point_on_surface(faces))
    belongs = kinds[cKDTree(points).query(inside)[1]]
    outlines = {}
    for code in np.unique(belongs[belongs >= 0]):
        parts = faces[belongs == code]
        outlines[int(code)] = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    pairs = np.sort(np.column_stack([kinds[one], kinds[two]]), axis=1)
    pairs = pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] != pairs[:, 1]) & _has_length(ends, corners)]
    return outlines, {(int(a), int(b)) for a, b in np.unique(pairs, axis=0)}


def _around(places: np.ndarray, diameter: np.ndarray) -> tuple[np.ndarray, float]:
    """(m, 2) places where there is no tissue, all around it, and the distance between neighbouring spots."""
    from scipy.spatial import cKDTree

    lattice = find_lattice(places)
    tree = cKDTree(places)
    if lattice is not None:
        spacing = lattice.pitch
        around, reach = places[:, None] + lattice.steps(), np.full(len(places), 0.5 * spacing)
    else:
        if len(places) == 1 and not np.nanmax(np.nan_to_num(diameter)) > 0:
            raise ValueError("a section of a single spot of unknown size has no outline")
        near = tree.query(places, k=min(_NEIGHBORS, len(places) - 1) + 1)[0]
        local = near[:, 1:].mean(axis=1) if len(places) > 1 else np.array([np.nanmax(diameter) / _OFF_LATTICE])
        spacing = float(np.median(local))
        angle = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
        ring = np.column_stack([np.cos(angle), np.sin(angle)])
        around, reach = places[:, None] + _OFF_LATTICE * local[:, None, None] * ring, _EMPTY * _OFF_LATTICE * local
    distance = tree.query(around.reshape(-1, 2))[0].reshape(around.shape[:2])
    return around[distance > reach[:, None]], spacing


def _in_order(segments: np.ndarray) -> np.ndarray:
    (x0, y0), (x1, y1) = segments[:, 0].T, segments[:, 1].T
    return (x0 < x1) | ((x0 == x1) & (y0 < y1))


def _has_length(ends: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether a facet is more than a corner at which two cells meet."""
    return (ends >= 0).all(axis=1) & (corners[ends[:, 0]] != corners[ends[:, 1]]).any(axis=1)
