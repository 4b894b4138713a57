"""Shapes: what people drew beside the spots, the outlines of the spots themselves, and outlines into a SpatialData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from multist._settings import logger
from multist._spacing import find_lattice
from multist.access.absent import listed
from multist.access.elements import (
    affine_to,
    choose_system,
    linked_rows,
    read_spots,
    region_names,
    shared_systems,
    systems_of,
)
from multist.access.record import SpatialRecord
from multist.access.resolve import resolve
from multist.access.spots import apply_affine
from multist.access.tables import (
    check_columns,
    get_table,
    given_or_remembered,
    is_spatialdata,
    libraries_of,
    refuse_several_libraries,
)
from multist.access.write import check_elements

if TYPE_CHECKING:
    from anndata import AnnData
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData

_GAPLESS = (0.9, 1.1)
"""Pitch by diameter of bins, which touch each other."""
_SQUARE = 0.5 * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


class Drawn(NamedTuple):
    """Drawings and spots of one coordinate system.

    Attributes
    ----------
    rows
        (n_obs,) bool. The spots that lie there.
    xy, diameter
        (m, 2) and (m,) of these spots.
    drawings
        The element's columns; circles keep their ``radius``.
    """

    rows: np.ndarray
    xy: np.ndarray
    diameter: np.ndarray
    drawings: GeoDataFrame


def resolve_drawn(
    data: AnnData | SpatialData,
    *,
    table_key: str | None = None,
    image_key: str | None = None,
    library_key: str | None = None,
) -> SpatialRecord:
    """The record in the pixels that a person sees who opens the image in another program.

    Without ``image_key`` these are, of an AnnData, the units of ``obsm["spatial"]``, which for Visium are the pixels of
    the full-resolution image; of a SpatialData the pixels of the section's image, or where there is none the units of a
    coordinate system that its spots have. Raises what :func:`multist.access.resolve` raises.
    """
    if is_spatialdata(data):
        return resolve(data, table_key=table_key, image_key=image_key, library_key=library_key)
    table = get_table(data, table_key)
    library_key = given_or_remembered(table, library_key)
    refuse_several_libraries(libraries_of(table, needed=False), library_key)
    return resolve(data, image_key=image_key, library_key=library_key, image=image_key is not None)


def read_drawn(
    sdata: SpatialData, table: AnnData, shapes_key: str, coordinate_system: str | None = None
) -> list[Drawn]:
    """An element that people drew, and the spots of every coordinate system that it shares with them.

    Parameters
    ----------
    sdata
        The object.
    table
        Its table.
    shapes_key
        Shapes or points.
    coordinate_system
        Where drawings and spots are brought together. Left out, for each region ``"global"`` if they share it,
        otherwise the first, by name, that they share.

    Raises
    ------
    KeyError
        There is no such element.
    ValueError
        The element is empty, has two columns of one name, is annotated by the table, or shares no coordinate system
        with any region of the table.
    """
    if shapes_key not in sdata.shapes and shapes_key not in sdata.points:
        raise KeyError(
            f"shapes_key {shapes_key!r} not found; shapes: {listed(sdata.shapes)}; points: {listed(sdata.points)}"
        )
    element = sdata[shapes_key]
    spots = read_spots(sdata, table)
    regions = region_names(spots.region)
    if shapes_key in regions:
        raise ValueError(f"{shapes_key!r} holds the spots of the table themselves; name the shapes that were drawn")
    if len(element) == 0:
        raise ValueError(f"{shapes_key!r} is empty: nothing was drawn, or it was not saved to the SpatialData")
    check_columns(element, repr(shapes_key))
    found = {name: shared_systems(sdata, [shapes_key, name], coordinate_system) for name in regions}
    if not any(found.values()):
        asked = "no coordinate system" if coordinate_system is None else f"not coordinate system {coordinate_system!r}"
        theirs = {name: sorted(systems_of(sdata[name])) for name in regions}
        raise ValueError(
            f"{shapes_key!r} and the spots share {asked}: {shapes_key!r} has {listed(sorted(systems_of(element)))}, "
            f"the spots have {theirs}; link them by spatialdata.transformations.set_transformation"
        )
    drawn = []
    for system in dict.fromkeys(systems[0] for systems in found.values() if systems):
        here = [name for name in regions if found[name][:1] == [system]]
        logger.info("%r and the spots of %s are brought together in %r", shapes_key, listed(here), system)
        rows = np.isin(spots.region, here)
        xy, diameter = np.empty((table.n_obs, 2)), np.empty(table.n_obs)
        for name in here:
            own = spots.region == name
            xy[own], diameter[own] = apply_affine(affine_to(sdata[name], system), spots.xy[own], spots.diameter[own])
        drawn.append(Drawn(rows, xy[rows], diameter[rows], _moved(element, system)))
    return drawn


def made_shapes(
    sdata: Any, record: SpatialRecord, frames: Mapping[int, GeoDataFrame], keys: Mapping[int, str]
) -> dict[str, GeoDataFrame]:
    """Outlines in the coordinates of a record as elements, with the transformations of the section's image.

    Parameters
    ----------
    sdata
        The object from which ``record`` was resolved.
    record
        The record.
    frames, keys
        Outlines and name of the element, by section.

    Raises
    ------
    ValueError
        A name cannot be stored or is that of an element that is no shape, or of the spots.
    """
    from spatialdata.models import ShapesModel

    region, _ = linked_rows(sdata, record.table)
    check_elements(sdata, keys.values(), "shapes", "shapes_key", kept=set(region))
    return {
        keys[section]: ShapesModel.parse(frame, transformations=_transformations(sdata, record, region, section))
        for section, frame in frames.items()
    }


def is_outlines(element: Any) -> bool:
    """Whether shapes have the columns of those that :func:`multist.tl.domain_shapes` makes."""
    return element is not None and {"name", "colour", "area", "area_unit", "n_spots", "neighbours"} <= set(element)


def _transformations(sdata: Any, record: SpatialRecord, region: np.ndarray, section: int) -> dict[str, Any]:
    from spatialdata.transformations import Identity, get_transformation

    image = record.images[section]
    if image is not None:
        return dict(get_transformation(sdata.images[image.key], get_all=True))
    regions = region_names(region[record.section == section])
    return {choose_system(sdata, regions, None): Identity()}


def _moved(element: Any, system: str) -> GeoDataFrame:
    """Shapes or points in a coordinate system, in memory."""
    from geopandas import GeoDataFrame, points_from_xy
    from spatialdata import transform

    moved: Any = transform(element, to_coordinate_system=system)
    if not isinstance(moved, GeoDataFrame):
        frame = moved.compute()
        places = points_from_xy(frame["x"], frame["y"])
        moved = GeoDataFrame(frame.drop(columns=["x", "y", "z"], errors="ignore"), geometry=places)
    moved = moved.reset_index(drop=True)
    moved.attrs.clear()  # the transformations are done with, and would follow every copy
    return moved.set_geometry(moved.geometry.force_2d())


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
    For each row its corners, (k, 2) float64 in the units of ``record.xy``: of polygons of a SpatialData their own
    (without holes, the largest part of several), of spots that lie on a square lattice without gaps the bin. None for
    circles.
    """
    polygons = _own_polygons(data, record, rows) if is_spatialdata(data) else None
    if polygons is not None:
        return polygons
    lattice = find_lattice(record.xy[rows])
    diameter = float(np.median(record.diameter[rows]))
    if lattice is None or lattice.kind != "square" or not _GAPLESS[0] < lattice.pitch / diameter < _GAPLESS[1]:
        return None
    cos, sin = np.cos(lattice.angle), np.sin(lattice.angle)
    corners = lattice.pitch * _SQUARE @ np.array([[cos, sin], [-sin, cos]])
    return list(record.xy[rows, None] + corners)


def _own_polygons(data: Any, record: SpatialRecord, rows: np.ndarray) -> list[np.ndarray] | None:
    region, instance = (linked[rows] for linked in linked_rows(data, record.table))
    found: list[np.ndarray | None] = [None] * len(rows)
    for name in region_names(region):
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
