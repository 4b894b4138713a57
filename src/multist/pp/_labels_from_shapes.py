"""Drawings in a SpatialData become a column of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist._missing import as_name
from multist._settings import logger
from multist.access import get_table, listed, read_drawn, run
from multist.pp._drawings import CLASSES, COLORS, annotate, class_key, first_colors, name_spots, with_class

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData


@described
def labels_from_shapes(
    sdata: SpatialData,
    shapes_key: str,
    *,
    label_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    key_added: str = _keys.ANNOTATION,
    copy: bool = False,
) -> SpatialData | None:
    """Name the spots that somebody drew on, for example in napari-spatialdata.

    - An area (polygon, with its holes and islands, or circle) names the spots whose **centres** lie inside it.
    - A centre exactly on an outline, outer or of a hole, is not inside.
    - A point, and a circle that holds no centre, names the nearest spot, unless that is farther away than one and a
      quarter of the distance between neighbouring spots: then it was drawn beside the tissue.
    - Where drawings with different names overlap, the smallest counts, of equally large ones the first, and a warning
      says on how many spots: a small area in a large one is meant to be the finer of the two.
    - Outlines that cross themselves enclose what lies between their lines.

    Parameters
    ----------
    sdata
        Object with drawings and a table that annotates spots; not changed but for the fields below.
    shapes_key
        Element of ``sdata.shapes`` or ``sdata.points`` that holds the drawings.
    label_key
        Column of the element that names the class of each drawing; drawings without one are left out. None takes the
        column called ``annotation``, ``classification``, ``class``, ``label`` or ``name``, else the only one with text;
        if there is none, all drawings are of one class that bears the name of the element.
    coordinate_system
        Where drawings and spots are brought together. None takes, region by region, ``"global"`` if both have it, else
        the first by name that both have.
    key_added
        Name of the column.

    Returns
    -------
    None, or the changed copy. Fields written to the table:

    ``obs["annotation"]``
        Categorical, missing where nothing is drawn. Regions that share no coordinate system with the drawings keep what
        they have, so that sections can be named one after the other.
    ``uns["annotation_colors"]``
        Colours: those of a column ``color`` or ``colour`` of the element, else those that were there, else new ones.

    Raises
    ------
    TypeError
        ``sdata`` is no SpatialData.
    KeyError
        There is no such element, column, or table; the message says which there are.
    ValueError
        The element is empty or names nothing, shares no coordinate system with the spots, or lies beside them; several
        columns could name the class.

    Examples
    --------
    >>> mt.pp.labels_from_shapes(sdata, "drawn", label_key="class")
    >>> sdata.tables["table"].obs["annotation"].value_counts(dropna=False)
    """
    if get_table(sdata, table_key) is sdata:
        raise TypeError("an AnnData holds no shapes; pp.read_labels reads drawings from a file")
    with run(sdata, "labels_from_shapes", copy=copy, spatial=False, table_key=table_key) as work:
        table = work.part.table
        rows, names = np.zeros(table.n_obs, dtype=bool), np.full(table.n_obs, None, dtype=object)
        colors: dict[str, str] = {}
        for drawn in read_drawn(sdata, table, shapes_key, coordinate_system):
            drawings = _named(drawn.drawings, shapes_key, label_key)
            colors = _colors(drawings)
            names[drawn.rows] = name_spots(drawn.xy, drawn.diameter, drawings)
            rows |= drawn.rows
        work.part.write(**annotate(table, rows, names[rows], key_added, colors))
    return work.result


def _named(frame: GeoDataFrame, shapes_key: str, label_key: str | None) -> GeoDataFrame:
    """Drawings with a class, in the column ``name``."""
    columns = frame.columns.drop(frame.geometry.name)
    texts = [column for column in columns if _tells(frame[column])]
    if label_key is None:
        label_key = class_key(texts, "columns", repr(shapes_key))
        if label_key is None:
            logger.info("no column of %r names a class; all %d drawings are %r", shapes_key, len(frame), shapes_key)
            return frame.assign(name=shapes_key)
    elif label_key not in columns:
        raise KeyError(f"label_key {label_key!r} is no column of {shapes_key!r}; columns: {listed(columns)}")
    label = frame[label_key].astype(object)
    given = label.notna() & (label.astype(str).str.strip() != "")
    if not given.any():
        raise ValueError(f"column {label_key!r} of {shapes_key!r} names no class for any of {len(frame)} drawings")
    return with_class(frame.assign(name=label.map(as_name).str.strip().where(given)), repr(shapes_key))


def _tells(column: pd.Series) -> bool:
    """Whether a column holds text, or bears the name of classes, which may be numbers."""
    if str(column.name).lower() in CLASSES and pd.api.types.is_numeric_dtype(column):
        return bool(column.notna().any())
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.dropna()
    return len(values) > 0 and all(isinstance(value, str) for value in values)


def _colors(drawings: GeoDataFrame) -> dict[str, str]:
    """Colours that the element states, by class."""
    column = next((name for name in drawings.columns if str(name).lower() in COLORS), None)
    return {} if column is None else first_colors(drawings["name"], drawings[column])
