"""From drawings to a column of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._missing import as_names
from multist._numbers import is_positive
from multist._palette import spare_colors
from multist._settings import logger
from multist._spacing import spacing
from multist._words import counted
from multist.access import Fields, listed, stored_colors

if TYPE_CHECKING:
    from anndata import AnnData
    from geopandas import GeoDataFrame, GeoSeries
    from shapely import STRtree

_MAX_DISTANCE = 1.25
"""Distances between spots within which a point means a spot.

3 in 1,000 places among scattered cells are farther from all of them.
"""
COLORS = ("colour", "color")
"""Names, in lower case, of what colours drawings."""
CLASSES = ("annotation", "classification", "class")
"""Names, in lower case, of what holds classes, be they text or numbers."""
USUAL = (*CLASSES, "label", "name")
"""Names, in lower case, of what usually says of which class drawings are."""


def hex_color(color: object) -> str | None:
    """``"#RRGGBB"`` of a colour that is written as matplotlib knows it; None of anything else."""
    from matplotlib.colors import is_color_like, to_hex

    return to_hex(color).upper() if isinstance(color, str) and is_color_like(color) else None


def first_colors(names: Iterable[Any], colors: Iterable[object]) -> dict[str, str]:
    """The first colour that drawings of each name have."""
    pairs = [*zip(names, map(hex_color, colors), strict=True)]
    return {name: color for name, color in reversed(pairs) if name and color}


def class_key(texts: Sequence[str], kind: str, source: str) -> str | None:
    """What names the class of drawings: one that is usually called so, else the only one; None where there is none.

    Parameters
    ----------
    texts
        Names of what holds text.
    kind, source
        What these are, and of what, for messages.

    Raises
    ------
    ValueError
        Several could name it.
    """
    usual = [name for name in texts if str(name).lower() in USUAL]
    candidates = usual or [name for name in texts if str(name).lower() not in COLORS]
    if len(candidates) > 1:
        raise ValueError(
            f"several {kind} of {source} could name the class; pass label_key, one of: {listed(candidates)}"
        )
    if not candidates:
        return None
    logger.info("the class of drawings in %s is what %r says, one of its %s", source, candidates[0], kind)
    return candidates[0]


def with_class(drawings: GeoDataFrame, source: str) -> GeoDataFrame:
    """The drawings that have a ``name``; a warning counts the others."""
    missing = drawings["name"].isna()
    if missing.any():
        text = "%d of %d drawings in %s have no class and are left out"
        logger.warning(text, int(missing.sum()), len(drawings), source)
    return drawings[~missing].reset_index(drop=True)


def name_spots(
    xy: np.ndarray, diameter: np.ndarray, drawings: GeoDataFrame, *, stroke_width: float | None = None
) -> np.ndarray:
    """What was drawn on each spot.

    An area names the spots whose centres lie inside, not those on its outline. A line is an area as wide as
    ``stroke_width``. A point, and a circle that holds no centre, names the nearest spot, unless that is farther away
    than one and a quarter of the distance between neighbouring spots. Of drawings with different names on one spot, the
    smallest counts; of equal ones the first.

    Parameters
    ----------
    xy, diameter
        (n, 2) and (n,) of the spots of one section; NaN where the size is unknown.
    drawings
        Geometry and ``name``; ``radius``, if there is one, makes a point a circle.
    stroke_width
        Width of lines; None takes the distance between neighbouring spots.

    Returns
    -------
    (n,) names, None where nothing was drawn.

    Raises
    ------
    ValueError
        If no drawing is on any spot.
    """
    import shapely

    drawings = drawings.reset_index(drop=True)
    apart = spacing(xy)
    areas, points = _areas_and_points(drawings, apart if stroke_width is None else stroke_width)
    spots = shapely.STRtree(shapely.points(xy))
    hits = _inside(spots, areas)
    points = points[~points.index.isin(hits["drawing"])]
    size = areas.area.reindex(drawings.index).fillna(0.0)
    size[points.index] = 0.0
    reach = np.fmax(_MAX_DISTANCE * apart, np.nan_to_num(diameter).max() / 2)
    hits = pd.concat([hits, _nearest(spots, points, reach)], ignore_index=True)
    missed = len(drawings) - hits["drawing"].nunique()
    if missed == len(drawings):
        (left, top), (right, bottom) = xy.min(axis=0), xy.max(axis=0)
        x0, y0, x1, y1 = drawings.total_bounds
        raise ValueError(
            f"none of {counted(len(drawings), 'drawing')} is on a spot: drawings lie at x from {x0:.6g} to {x1:.6g}, "
            f"y from {y0:.6g} to {y1:.6g}, spots at x from {left:.6g} to {right:.6g}, y from {top:.6g} to "
            f"{bottom:.6g}; check that both are in the same coordinates"
        )
    if missed:
        logger.warning("%d of %d drawings are on no spot", missed, len(drawings))
    hits["name"] = drawings["name"].to_numpy()[hits["drawing"]]
    hits["size"] = size.to_numpy()[hits["drawing"]]
    several = int((hits.groupby("spot")["name"].nunique() > 1).sum())
    if several:
        logger.warning(
            "%s in drawings with different names; there the smallest drawing counts, of equal ones the first",
            counted(several, "spot lies", "spots lie"),
        )
    first = hits.sort_values(["spot", "size", "drawing"], kind="stable").drop_duplicates("spot")
    names = np.full(len(xy), None, dtype=object)
    names[first["spot"]] = first["name"]
    return names


def annotate(
    table: AnnData, rows: np.ndarray, names: np.ndarray, key_added: str, stated: Mapping[str, str] | None = None
) -> Fields:
    """Names as a categorical with colours; rows that are not concerned keep what they have.

    Parameters
    ----------
    table
        The table.
    rows
        (n_obs,) bool. The rows that ``names`` is about.
    names
        (m,) names of these, None for none.
    key_added
        Column of ``obs``.
    stated
        Colours by name; others keep the one they have, or get one that is free.
    """
    values = np.full(table.n_obs, None, dtype=object)
    colors: dict[str, str] = {}
    if key_added in table.obs:
        before = as_names(table.obs[key_added])
        colors = stored_colors(table, key_added) or {}
        kept = before.notna().to_numpy() & ~rows
        values[kept] = before.to_numpy()[kept]
        others = "" if rows.all() else f"; {kept.sum()} spots of other sections keep their names"
        logger.info("obs[%r] is replaced%s", key_added, others)
    values[rows] = names
    column = pd.Categorical(values)
    colors = colors | dict(stated or {})
    free = spare_colors(len(column.categories), [colors[name] for name in column.categories if name in colors])
    shown = [colors[name] if name in colors else next(free) for name in column.categories]
    logger.info(
        "obs[%r]: %d of %d spots named, %s",
        key_added,
        int(pd.notna(values).sum()),
        len(values),
        counted(len(column.categories), "name"),
    )
    return {"obs": {key_added: column}, "uns": {f"{key_added}_colors": shown}}


def _areas_and_points(drawings: GeoDataFrame, stroke_width: float) -> tuple[GeoSeries, GeoSeries]:
    """Valid polygons, and the centres of points and circles, each by the number of the drawing; circles are in both."""
    geometry = drawings.geometry
    kind = geometry.geom_type
    point, line = kind.isin(["Point", "MultiPoint"]), kind.isin(["LineString", "MultiLineString"])
    if line.any() and not is_positive(stroke_width):
        raise ValueError(f"stroke_width must be positive; got {stroke_width!r}")
    radius = drawings["radius"].fillna(0) if "radius" in drawings else pd.Series(0.0, index=drawings.index)
    circle = point & (radius > 0)
    areas = geometry.copy()
    areas[line] = geometry[line].buffer(stroke_width / 2)
    areas[circle] = geometry[circle].buffer(radius[circle])
    areas = areas[~point | circle]
    broken = ~areas.is_valid
    if broken.any():
        crossing = counted(int(broken.sum()), "outline crosses itself", "outlines cross themselves")
        logger.info("%s; what is enclosed is taken", crossing)
        parts = areas[broken].make_valid().explode().to_frame("geometry")
        whole = parts[parts.geom_type.isin(["Polygon", "MultiPolygon"])].dissolve(level=0).geometry
        areas = pd.concat([areas[~broken], whole]).sort_index()
    return areas, geometry[point]


def _inside(spots: STRtree, areas: GeoSeries) -> pd.DataFrame:
    """Every spot with every area that its centre lies in."""
    area, spot = spots.query(areas.to_numpy(), predicate="contains")
    return pd.DataFrame({"spot": spot, "drawing": areas.index[area]})


def _nearest(spots: STRtree, points: GeoSeries, reach: float) -> pd.DataFrame:
    """Every point with the spot that it names; of spots equally far away the first."""
    single = points.explode()
    part, spot = spots.query_nearest(single.to_numpy(), max_distance=reach if reach > 0 else None)
    found = pd.DataFrame({"spot": spot, "drawing": single.index[part], "part": part})
    return found.sort_values(["part", "spot"]).drop_duplicates("part").drop(columns="part")
