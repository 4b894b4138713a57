"""Drawings in GeoJSON, as QuPath writes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multist._settings import logger

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MOST_DRAWINGS = 1_000_000
"""Features that a file may hold."""

_GEOMETRIES = ("Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString")


def parse_geojson(text: str, source: str, whole: str) -> tuple[GeoDataFrame, dict[str, str]]:
    """Drawings with ``name`` and geometry in the pixels of the file, and the colours that it states.

    Parameters
    ----------
    text
        A FeatureCollection, a list of features, or one feature.
    source
        What to call the file in errors.
    whole
        The class of all drawings, where none has one.

    Raises
    ------
    ValueError
        It is no valid JSON or nested too deeply, holds no feature or too many, or one whose geometry is not an area,
        line or points.
    """
    from geopandas import GeoDataFrame

    features = _features(text, source)
    geometry = [_geometry(feature, number, source) for number, feature in enumerate(features, start=1)]
    classes = [_class_of(feature) for feature in features]
    names = [name for name, _ in classes]
    colors = {name: color for name, color in reversed(classes) if name and color}  # the first one counts
    frame = GeoDataFrame({"name": names}, geometry=geometry)
    if not any(names):
        logger.info("no drawing in %s has a class; all %d are %r", source, len(frame), whole)
        return frame.assign(name=whole), {}
    missing = frame["name"].isna()
    if missing.any():
        logger.warning("%d of %d drawings in %s have no class and are left out", int(missing.sum()), len(frame), source)
    return frame[~missing].reset_index(drop=True), colors


def _features(text: str, source: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"{source} is nested too deeply to be drawings") from None
    except ValueError as error:
        raise ValueError(f"{source} is no valid JSON: {error}; it may be cut off, export it again") from error
    if isinstance(content, dict):
        content = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(content, list) or not all(
        isinstance(each, dict) and each.get("type") == "Feature" for each in content
    ):
        raise ValueError(f"{source} is JSON, but neither a FeatureCollection nor a list of features")
    if not content:
        raise ValueError(f"{source} holds no drawing; select the annotations in QuPath, or export all objects")
    if len(content) > MOST_DRAWINGS:
        raise ValueError(
            f"{source} holds {len(content):,} features; more than {MOST_DRAWINGS:,} are refused: export annotations, "
            "not detections"
        )
    return content


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _geometry(feature: dict[str, Any], number: int, source: str) -> Any:
    from shapely import force_2d, from_geojson
    from shapely.errors import GEOSException

    stated = feature.get("geometry")
    kind = stated.get("type") if isinstance(stated, dict) else stated
    if kind not in _GEOMETRIES:
        raise ValueError(f"feature {number} of {source} has geometry {kind!r}; known are {', '.join(_GEOMETRIES)}")
    try:
        geometry = from_geojson(json.dumps(stated))
    except (GEOSException, ValueError) as error:
        raise ValueError(f"feature {number} of {source} is no valid {kind}: {error}") from error
    if geometry.is_empty:
        raise ValueError(f"feature {number} of {source} is a {kind} without coordinates")
    return force_2d(geometry)


def _class_of(feature: dict[str, Any]) -> tuple[str | None, str | None]:
    """Class and colour of a drawing, None where it has none."""
    properties = feature.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    stated = properties.get("classification")
    if isinstance(stated, str):
        return stated.strip() or None, None
    if isinstance(stated, dict):
        parts = stated.get("names")
        # QuPath shows the parts of a derived class this way
        name = ": ".join(map(str, parts)) if isinstance(parts, list) else stated.get("name")
        if isinstance(name, str) and name.strip():
            return name.strip(), _hex(stated)
    name = properties.get("name")
    return (name.strip() or None, _hex(properties)) if isinstance(name, str) else (None, None)


def _hex(stated: dict[str, Any]) -> str | None:
    """``"#RRGGBB"`` of ``color``, [red, green, blue], or of the older ``colorRGB``, a number with all three in it."""
    color, packed = stated.get("color"), stated.get("colorRGB")
    if isinstance(packed, int) and not isinstance(packed, bool):
        return f"#{packed & 0xFFFFFF:06X}"
    if isinstance(color, list) and len(color) >= 3 and all(type(c) is int and 0 <= c <= 255 for c in color[:3]):
        return "#{:02X}{:02X}{:02X}".format(*color[:3])
    return None
