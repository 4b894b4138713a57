"""Drawings in GeoJSON, as QuPath and geographic programs write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multist._missing import as_name
from multist._settings import logger
from multist._words import counted
from multist.access import listed
from multist.pp._drawings import CLASSES, COLORS, USUAL, class_key, hex_color, with_class

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MOST_DRAWINGS = 1_000_000
"""Features that a file may hold."""

_QUPATH, _KIND = "classification", "objectType"
"""Properties by which QuPath names the class of an object, and says whether it is an annotation or a cell."""
_NO_CLASS = ("id", "fid", "uuid", "objectid", *COLORS, _KIND.lower())
"""Names, in lower case, of properties that tell drawings apart, but not their classes."""
_MOST_SINGLE = 8
"""Drawings that may each have a class of their own, as the layers of the cortex; more texts are names of drawings."""
_GEOMETRIES = ("Polygon", "MultiPolygon", "Point", "MultiPoint", "LineString", "MultiLineString")


def parse_geojson(
    text: str, source: str, whole: str, label_key: str | None = None
) -> tuple[GeoDataFrame, dict[str, str]]:
    """Drawings with ``name`` and geometry in the pixels of the file, and the colours that it states.

    Parameters
    ----------
    text
        A FeatureCollection, a list of features, or one feature.
    source
        What to call the file in errors.
    whole
        The class of all drawings, where none has one.
    label_key
        Property that names the class; None takes QuPath's, else the one that :func:`class_key` finds.

    Raises
    ------
    KeyError
        No drawing has the property ``label_key``.
    ValueError
        It is no valid JSON or nested too deeply, holds no feature or too many, or one whose geometry is not an area,
        line or points; several properties could name the class.
    """
    from geopandas import GeoDataFrame

    numbered = _with_geometry(_features(text, source), source)
    geometry = [_geometry(feature, number, source) for number, feature in numbered]
    properties = [_properties(feature) for _, feature in numbered]
    keys = _class_keys(properties, source, label_key)
    classes = [_class_of(each, *keys) for each in properties]
    names = [name for name, _ in classes]
    by_name = [name for name, each in zip(names, properties, strict=True) if name and not _class_of(each, *keys[:1])[0]]
    if by_name:
        says = "%s in %s have no class, and go by the names they have: %s"
        logger.info(says, counted(len(by_name), "drawing"), source, listed(dict.fromkeys(by_name)))
    colors = {name: color for name, color in reversed(classes) if name and color}  # the first one counts
    frame = GeoDataFrame({"name": names}, geometry=geometry)
    if not any(names):
        if label_key is not None:
            raise ValueError(f"property {label_key!r} of {source} names no class for any of {len(frame)} drawings")
        says = "no drawing in %s has a class; all %d are %r, unless label_key names a property that tells their classes"
        logger.info(says, source, len(frame), whole)
        return frame.assign(name=whole), {}
    return with_class(frame, source), colors


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


def _with_geometry(features: list[dict[str, Any]], source: str) -> list[tuple[int, dict[str, Any]]]:
    """Features that lie somewhere, with their numbers."""
    numbered = [each for each in enumerate(features, start=1) if each[1].get("geometry") is not None]
    if not numbered:
        raise ValueError(f"{source} holds no drawing: its {counted(len(features), 'feature')} have no geometry")
    if len(numbered) < len(features):
        without = len(features) - len(numbered)
        logger.warning("%d of %d features in %s have no geometry and are left out", without, len(features), source)
    return numbered


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


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _class_keys(properties: Sequence[dict[str, Any]], source: str, label_key: str | None) -> Sequence[str]:
    """Properties that name the class of a drawing; of several the first that does."""
    names = dict.fromkeys(name for each in properties for name in each)
    if label_key is not None:
        if label_key not in names:
            raise KeyError(f"label_key {label_key!r} is no property in {source}; properties: {listed(names)}")
        return (label_key,)
    if any(_class_of(each, _QUPATH)[0] for each in properties):
        return (_QUPATH, "name")
    given = {name: _given(properties, name) for name in names if name.lower() not in _NO_CLASS}
    texts = [name for name, values in given.items() if _tells(values, name)]
    if len(texts) == 1 and _is_single(given[texts[0]], texts[0]):
        return ()
    found = class_key(texts, "properties", source)
    return () if found is None else (found,)


def _given(properties: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """What drawings say in one property, where they do."""
    return [value for each in properties if (value := each.get(name)) not in (None, "")]


def _tells(given: Sequence[Any], name: str) -> bool:
    """Whether a property holds text that tells drawings apart, or bears the name of classes, which may be numbers."""
    kinds = str | int | float if name.lower() in CLASSES else str
    if not all(isinstance(value, kinds) for value in given):
        return False
    return len(set(given)) > (0 if name.lower() in USUAL else 1)


def _is_single(given: Sequence[str], name: str) -> bool:
    """Whether a text names each drawing, not its class."""
    return name.lower() not in USUAL and len(given) > _MOST_SINGLE and len(set(given)) == len(given)


def _class_of(properties: dict[str, Any], *keys: str) -> tuple[str | None, str | None]:
    """Class and colour of a drawing by the first property that names one, None where none does."""
    for key in keys:
        stated, color = properties.get(key), _hex(properties)
        if isinstance(stated, dict):  # QuPath
            parts, color = stated.get("names"), _hex(stated)
            # it shows the parts of a derived class this way
            stated = ": ".join(map(str, parts)) if isinstance(parts, list) else stated.get("name")
        name = as_name(stated).strip() if isinstance(stated, str | int | float) else ""
        if name:
            return name, color
    return None, None


def _hex(stated: dict[str, Any]) -> str | None:
    """``"#RRGGBB"`` of ``color``, [red, green, blue] or text, or of QuPath's older ``colorRGB``, a number with all."""
    color = next((value for name, value in stated.items() if value and name.lower() in COLORS), None)
    packed = stated.get("colorRGB")
    if isinstance(packed, int) and not isinstance(packed, bool):
        return f"#{packed & 0xFFFFFF:06X}"
    if isinstance(color, list) and len(color) >= 3 and all(type(c) is int and 0 <= c <= 255 for c in color[:3]):
        return "#{:02X}{:02X}{:02X}".format(*color[:3])
    return hex_color(color)
