"""The outlines of domains as polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anndata import AnnData

from multist import _keys
from multist._described import described
from multist._settings import logger
from multist._words import counted
from multist.access import domain_params, listed, plain, resolve_drawn, run
from multist.tl.borders._domain_outlines import section_frames

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData


@described
def domain_shapes(
    data: AnnData | SpatialData,
    cluster_key: str = _keys.domain_key(),
    *,
    shapes_key: str | None = None,
    image_key: str | None = None,
    microns_per_pixel: float | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
) -> GeoDataFrame | None:
    """Draw around each domain: polygons with the holes and islands that it has.

    A domain is the places that are nearer to one of its spots than to any other (the union of Voronoi cells). On a
    lattice these are hexagons or squares, also at the rim of the tissue, so that areas are those of the bins; around
    cells at the rim the outline runs three quarters of the distance to their neighbours away, and where there are no
    cells there is a hole. Every spot lies inside the outline of its domain and in no other.

    Parameters
    ----------
    data
        Table with domains.
    cluster_key
        Column of ``obs`` with the domains, found or drawn by hand; spots without one belong to no outline.
    shapes_key
        Of a SpatialData, name of the new shapes; None takes ``cluster_key``. Of several sections each gets its own,
        ``"<name>_<section>"``.
    image_key
        The image in whose pixels the outlines are. None takes, of an AnnData, the units of ``obsm["spatial"]``; of a
        SpatialData the section's image, or without one the coordinate system of the spots.
    microns_per_pixel
        Micrometres per unit of the outlines' coordinates, for their areas, where the data does not say.

    Returns
    -------
    The outlines of an AnnData, with a column ``section`` where there are several. Of a SpatialData they are written to
    ``sdata.shapes["multist_domain"]``, with the transformations of the image, and replace shapes of this name; nothing
    is returned. ``uns["multist"]["domain_shapes"]`` tells whose outlines they are, and new domains remove them. One row
    per domain that has spots:

    - ``name``, ``colour`` as ``"#RRGGBB"``, ``n_spots``;
    - ``area`` in ``area_unit``: ``"um^2"`` where the scale is known, else ``"coordinates^2"``;
    - ``neighbours``: a list of the names of the domains that it has a line in common with;
    - ``geometry``: Polygon or MultiPolygon.

    Raises
    ------
    KeyError
        There is no such column, image or table.
    ValueError
        No spot has a domain, a name cannot be stored or is taken, ``shapes_key`` is given for an AnnData.

    Examples
    --------
    >>> mt.tl.domain_shapes(sdata)
    >>> sdata.shapes["multist_domain"][["name", "area", "area_unit", "neighbours"]]
    >>> mt.tl.domain_shapes(adata).plot("name")
    """
    import pandas as pd

    named: dict[str, Any] = {"table_key": table_key, "image_key": image_key, "library_key": library_key}
    if isinstance(data, AnnData):
        if shapes_key is not None:
            raise ValueError("shapes_key names shapes of a SpatialData; the outlines of an AnnData are returned")
        record = resolve_drawn(data, **named).with_scale(microns_per_pixel)
        drawn = section_frames(record, cluster_key)
        if len(record.section_names) == 1:
            return drawn[0]
        sections = [frame.assign(section=record.section_names[section]) for section, frame in drawn.items()]
        return pd.concat(sections, ignore_index=True)
    with run(data, "domain_shapes", **named) as work:
        record = work.part.record.with_scale(microns_per_pixel)
        frames = section_frames(record, cluster_key)
        base = shapes_key or cluster_key
        several = len(record.section_names) > 1
        keys = {section: f"{base}_{record.section_names[section]}" if several else base for section in frames}
        params = plain({**domain_params(record.table, cluster_key), **named, "microns_per_pixel": microns_per_pixel})
        before = work.part.table.uns.get(_keys.MULTIST, {}).get(_keys.DOMAIN_SHAPES, {})
        told = {**before, **dict.fromkeys(keys.values(), params)}
        work.part.write_outlines(record, frames, keys)
        work.part.write(uns={_keys.MULTIST: {_keys.DOMAIN_SHAPES: told}})
        n_domains = len(pd.concat(frames.values())["name"].unique())
        logger.info("outlines of %s: shapes %s", counted(n_domains, "domain"), listed(keys.values()))
    return None
