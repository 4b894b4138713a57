"""What spots look like: circles, bins or the polygons of cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from multist.access.lattice import find_lattice
from multist.access.tables import SPATIAL_ATTRS, is_spatialdata

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access.record import SpatialRecord

_GAPLESS = (0.9, 1.1)
"""Pitch by diameter of bins, which touch each other."""
_SQUARE = 0.5 * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def spot_polygons(data: AnnData | SpatialData, record: SpatialRecord, rows: np.ndarray) -> list[np.ndarray] | None:
    """Outlines of spots of one section that are no circles.

    Parameters
    ----------
    data
        The object from which the record was resolved.
    record
        The record.
    rows
        Rows of one section.

    Returns
    -------
    For each row its corners, (k, 2) float64 in the units of ``record.xy``: of polygons of a SpatialData their own (without
    holes, the largest part of several), of spots that lie on a square lattice without gaps the bin. None for circles.
    """
    own = _own_polygons(data, record, rows) if is_spatialdata(data) else None
    if own is not None:
        return own
    lattice = find_lattice(record.xy[rows])
    diameter = float(np.median(record.diameter[rows]))
    if lattice is None or lattice.kind != "square" or not _GAPLESS[0] < lattice.pitch / diameter < _GAPLESS[1]:
        return None
    cos, sin = np.cos(lattice.angle), np.sin(lattice.angle)
    corners = lattice.pitch * _SQUARE @ np.array([[cos, sin], [-sin, cos]])
    return list(record.xy[rows, None] + corners)


def _own_polygons(data: Any, record: SpatialRecord, rows: np.ndarray) -> list[np.ndarray] | None:
    keys = record.table.uns[SPATIAL_ATTRS]
    region = record.table.obs[keys["region_key"]].astype(str).to_numpy()[rows]
    instance = record.table.obs[keys["instance_key"]].to_numpy()[rows]
    found: list[np.ndarray | None] = [None] * len(rows)
    for name in np.unique(region):
        if name not in data.shapes:
            return None
        here = np.flatnonzero(region == name)
        geometry = data.shapes[name].geometry.loc[instance[here]]
        if not geometry.geom_type.isin(["Polygon", "MultiPolygon"]).all():
            return None
        affine = record.affines[int(record.section[rows[0]]), name]
        for at, corners in zip(here, _corners(geometry), strict=True):
            found[at] = corners @ affine[:2, :2].T + affine[:2, 2]
    return [corners for corners in found if corners is not None]


def _corners(geometry: Any) -> Iterator[np.ndarray]:
    """Corners of each polygon, those of the largest part of several."""
    import shapely

    shapes = geometry.to_numpy()
    if (geometry.geom_type == "MultiPolygon").any():
        shapes = np.array([max(shapely.get_parts(shape), key=shapely.area) for shape in shapes])
    coordinates, index = shapely.get_coordinates(shapely.get_exterior_ring(shapes), return_index=True)
    yield from np.split(coordinates, np.flatnonzero(np.diff(index)) + 1)
