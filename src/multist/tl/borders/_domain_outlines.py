"""Outlines of domains as polygons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._facets import find_facets
from multist._settings import logger
from multist._words import counted
from multist.access import colors_of
from multist.tl.borders._contacts import domain_codes

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from multist.access import SpatialRecord


def section_frames(
    record: SpatialRecord, cluster_key: str, sections: Iterable[int] | None = None
) -> dict[int, GeoDataFrame]:
    """The outlines of each section's domains with what is known of them; see :func:`multist.tl.domain_shapes`.

    ``sections`` are codes of those that are wanted; None takes all.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        No spot has a domain, or a section is a single spot of unknown size.
    """
    codes, names = domain_codes(record.table, cluster_key)
    if not names:
        raise ValueError(f"obs[{cluster_key!r}] names no domain for any spot")
    color_of = colors_of(record.table, cluster_key)
    colors = [color_of[name].upper() for name in names]
    return {
        section: _frame(record, section, codes, names, colors)
        for section in (range(len(record.section_names)) if sections is None else sections)
        if (codes[record.section == section] >= 0).any()
    }


def _frame(record: SpatialRecord, section: int, codes: np.ndarray, names: list[str], colors: list[str]) -> GeoDataFrame:
    from geopandas import GeoDataFrame

    rows = record.section == section
    outlines, touching = outline(record.xy[rows], codes[rows], record.diameter[rows])
    scale = record.microns_per_pixel[section]
    with_spots = sorted(outlines)
    beside: dict[int, list[str]] = {code: [] for code in with_spots}
    for one, two in sorted(touching):
        beside[one].append(names[two])
        beside[two].append(names[one])
    geometry = [outlines[code] for code in with_spots]
    return GeoDataFrame(
        {
            "name": [names[code] for code in with_spots],
            "colour": [colors[code] for code in with_spots],
            "area": [each.area * (scale or 1.0) ** 2 for each in geometry],
            "area_unit": "coordinates^2" if scale is None else "um^2",
            "n_spots": np.bincount(codes[rows][codes[rows] >= 0], minlength=len(names))[with_spots],
            "neighbours": pd.Series([beside[code] for code in with_spots], dtype=object),
        },
        geometry=geometry,
    )


def outline(xy: np.ndarray, codes: np.ndarray, diameter: np.ndarray) -> tuple[dict[int, Any], set[tuple[int, int]]]:
    """The places that are nearer to a domain's spots than to any other spot, as far as there is tissue.

    The facets between the Voronoi cells of different domains, and towards the glass, are all the lines there are
    (:func:`multist._facets.find_facets`); what they enclose are the domains.

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
    Polygon or multipolygon of each domain that has spots, and the pairs, smaller code first, that have a line in
    common.
    """
    import shapely
    from scipy.spatial import cKDTree

    _, first, inverse = np.unique(xy, axis=0, return_index=True, return_inverse=True)
    hidden = int((codes != codes[first][inverse.ravel()]).sum())
    if hidden:
        logger.warning(
            "%s exactly on a spot of another domain, which gets the place", counted(hidden, "spot lies", "spots lie")
        )
    found = find_facets(xy, codes, float(np.nan_to_num(diameter).max(initial=0)))
    segments = found.ends
    segments = np.unique(np.where(_in_order(segments)[:, None, None], segments, segments[:, ::-1]), axis=0)
    faces = shapely.get_parts(shapely.polygonize(shapely.linestrings(segments)))
    inside = shapely.get_coordinates(shapely.point_on_surface(faces))
    belongs = found.point_codes[cKDTree(found.points).query(inside)[1]]
    outlines = {}
    for code in np.unique(belongs[belongs >= 0]):
        parts = faces[belongs == code]
        outlines[int(code)] = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    pairs = np.sort(found.codes, axis=1)
    return outlines, {(int(a), int(b)) for a, b in np.unique(pairs[pairs[:, 0] >= 0], axis=0)}


def _in_order(segments: np.ndarray) -> np.ndarray:
    (x0, y0), (x1, y1) = segments[:, 0].T, segments[:, 1].T
    return (x0 < x1) | ((x0 == x1) & (y0 < y1))
