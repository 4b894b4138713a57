"""Groups and selections in CSV, as Loupe Browser and Xenium Explorer write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from multist._settings import logger
from multist._words import counted
from multist.access import listed
from multist.pp._drawings import COLORS, first_colors, with_class

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_IDS = ("barcode", "barcodes", "cell_id", "cell id", "cellid", "cell", "spot", "spot_id")
_ROW_NAMES = ("", "index", "obs_names")
"""Headers of the names of rows, as pandas and R write data frames."""
_MISSING = ("NA", "N/A", "<NA>", "NaN", "nan", "None")
"""What R and pandas make of a missing value where they make it text."""
_EXPECTED = (
    "expected 'Barcode,<group>' (Loupe Browser), 'cell_id,group' (Xenium Explorer), ',<group>' (a data frame), or "
    "'X,Y' with '#Selection name' above (Xenium Explorer, coordinates of a selection), separated by commas, "
    "semicolons or tabs"
)
_AXES = {"x", "y"}
_POINTS = "points that have a class each are read from GeoJSON, or by pp.labels_from_shapes"
_SEPARATORS = ",;\t"


class Groups(NamedTuple):
    """Names of observations, ``""`` for none, and the colours that the file states."""

    ids: np.ndarray
    names: np.ndarray
    colors: dict[str, str]


class Selections(NamedTuple):
    """Areas in micrometres with ``name``, and the colours that the file states."""

    drawings: GeoDataFrame
    colors: dict[str, str]


def parse_csv(text: str, source: str, whole: str, label_key: str | None = None) -> Groups | Selections:
    """What a CSV holds, by its header, which tells commas, semicolons and tabs apart as well.

    Parameters
    ----------
    text
        Lines that start with ``#`` above the header are comments, one of which may name the selection.
    source
        What to call the file in errors.
    whole
        Name of a selection without one.
    label_key
        Column with the groups or classes; None takes the only one of groups, and of selections ``class``, or without
        one their names.

    Raises
    ------
    KeyError
        There is no column ``label_key``.
    ValueError
        It is no table, has another header, or no rows; no selection has a class in the column ``label_key``.
    """
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
    selection = next((_after_colon(line) for line in lines[:start] if line.lower().startswith("#selection name:")), "")
    if start == len(lines):
        raise ValueError(f"{source} holds no table; {_EXPECTED}")
    lines[start] = _with_row_names(lines[start], next(filter(str.strip, lines[start + 1 :]), ""))
    body = "\n".join(lines[start:])
    separator = next((each for each in _SEPARATORS if _is_known(lines[start].lower().split(each))), ",")
    try:
        table = pd.read_csv(io.StringIO(body), sep=separator, dtype=str, keep_default_na=False, index_col=False)
    except ValueError as error:
        raise ValueError(f"{source} is no valid CSV: {error}") from error
    # pandas numbers columns whose header is empty, as R leaves that of the names of rows
    table.columns = table.columns.str.strip().str.replace(r"^Unnamed: \d+$", "", regex=True)
    if not _is_known(table.columns.str.lower()):
        raise ValueError(f"{source} has the header {listed(table.columns)}; {_EXPECTED}")
    if label_key is not None and label_key not in table:
        raise KeyError(f"label_key {label_key!r} is no column of {source}; columns: {listed(table.columns)}")
    is_selection = _AXES <= set(table.columns.str.lower())
    if is_selection:
        table.columns = table.columns.str.lower()
    named = table.columns[table.columns != ""]
    if not named.is_unique:
        raise ValueError(f"{source} has several columns of one name: {listed(named)}")
    if is_selection:
        if separator == ";":  # which is written where the comma is the decimal point
            table[["x", "y"]] = table[["x", "y"]].apply(lambda numbers: numbers.str.replace(",", "."))
        unknown = [name for name in table.columns if name not in {"x", "y", "class", "", *COLORS}]
        if label_key is None and not selection and "selection" not in table and unknown:
            raise ValueError(
                f"{source} has {listed(unknown)} beside x and y, and no selection: rows are taken for corners of "
                f"areas, and {_POINTS}"
            )
        return _selections(table, source, selection or whole, label_key)
    if table.empty:
        raise ValueError(f"{source} holds no rows below its header")
    return _groups(table, source, selection, label_key)


def _is_known(columns: Sequence[str]) -> bool:
    """Whether a header, in lower case, is one of those expected."""
    names = [name.strip().strip('"') for name in columns]
    return names[0] in (*_IDS, *_ROW_NAMES) or _AXES <= set(names)


def _with_row_names(header: str, row: str) -> str:
    """A header that has one name less than rows have values, as R's ``write.table`` writes it, with an empty first."""
    if any(_is_known(header.lower().split(separator)) for separator in _SEPARATORS):
        return header
    for separator in _SEPARATORS:
        try:
            names, values = (next(csv.reader([line], delimiter=separator), []) for line in (header, row))
        except csv.Error:  # what is no line is told by whoever reads the table
            return header
        if len(values) == len(names) + 1:
            return separator + header
    return header


def _after_colon(line: str) -> str:
    return line.partition(":")[2].strip()


def _groups(table: pd.DataFrame, source: str, selection: str, label_key: str | None) -> Groups:
    is_data_frame = table.columns[0].lower() in _ROW_NAMES
    of_ids = 0
    if is_data_frame and table.iloc[:, 0].str.strip().str.isdigit().all():  # rows are counted, not named
        called_so = (at for at, name in enumerate(table.columns) if name.lower() in _IDS and name != label_key)
        of_ids = next(called_so, 0)
    ids = table.iloc[:, of_ids].str.strip().to_numpy()
    if selection and label_key is None:  # the cells of a selection with what was measured of each
        return Groups(ids, np.full(len(ids), selection, dtype=object), {})
    others = table.columns.delete([0, of_ids])
    color = next((name for name in others if name.lower() in COLORS), None)
    # Excel leaves separators behind the last column
    columns = [name for name in others if name not in ("", color)] if label_key is None else [label_key]
    if len(columns) != 1:
        raise ValueError(
            f"{source} has {len(columns)} columns of groups ({listed(columns)}); name the one to be read by label_key"
        )
    names = table[columns[0]].str.strip().to_numpy()
    is_missing = np.isin(names, _MISSING)
    if is_data_frame and is_missing.any():
        said, count = listed(np.unique(names[is_missing])), counted(int(is_missing.sum()), "time")
        logger.info("%s: %s is taken for no group, as R and pandas mean it, %s", source, said, count)
        names[is_missing] = ""
    return Groups(ids, names, first_colors(names, table[color].str.strip()) if color else {})


def _selections(table: pd.DataFrame, source: str, selection: str, label_key: str | None) -> Selections:
    from geopandas import GeoDataFrame
    from shapely import Polygon

    places = table[["x", "y"]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if len(bad):
        raise ValueError(f"row {bad[0] + 1} of {source} has no number for X or Y: {listed(table.iloc[bad[0]])}")
    selections = pd.Series(selection, index=table.index)
    if "selection" in table:
        selections = table["selection"].str.strip().replace("", selection)
    label = (label_key or "class").lower()
    areas, names = [], []
    for name, rows in selections.groupby(selections, sort=False).indices.items():
        if len(rows) < 3:
            raise ValueError(f"selection {name!r} of {source} has {len(rows)} corners; an area has three at least")
        areas.append(Polygon(places[rows]))
        classes = table[label].iloc[rows].str.strip().unique() if label in table else [""]
        if len(classes) > 1:
            raise ValueError(
                f"the corners of selection {name!r} of {source} are of several classes ({listed(classes)}); {_POINTS}"
            )
        classed = classes[0]
        names.append(classed or (str(name) if label_key is None else None))
    if not areas:
        raise ValueError(f"{source} holds no corners below its header")
    firsts = selections.groupby(selections, sort=False).head(1).index
    color = next((name for name in COLORS if name in table), None)
    colors = first_colors(names, table.loc[firsts, color].str.strip()) if color else {}
    if label_key is not None and not any(names):
        raise ValueError(
            f"column {label_key!r} of {source} names no class for any of {counted(len(areas), 'selection')}"
        )
    return Selections(with_class(GeoDataFrame({"name": names}, geometry=areas), source), colors)
