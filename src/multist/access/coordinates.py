"""Coordinates of spots: which column is x, and whether they are rows and columns of an array."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from multist._keys import SPATIAL
from multist._settings import logger
from multist.access.check import check_finite
from multist.access.tables import in_memory

if TYPE_CHECKING:
    from anndata import AnnData

# x before y, lower case and letters and digits only
_PIXELS = (
    ("pxlcolinfullres", "pxlrowinfullres"),
    ("imagecol", "imagerow"),
    ("centerxglobalpx", "centeryglobalpx"),
    ("xglobalpx", "yglobalpx"),
    ("x", "y"),
    ("spatial1", "spatial2"),
    ("spatial0", "spatial1"),
)
_PLACES = (("arraycol", "arrayrow"), ("col", "row"))  # in an array, where no pixels are there
_AXIS = re.compile(r"(?<![a-z])x|x(?![a-z])")


def read_coordinates(table: AnnData, key: str) -> np.ndarray:
    """(n_obs, 2) float64 x and y in ``obsm[key]``, on a copy.

    Columns of a DataFrame are told by their names where these are known (``pxl_col_in_fullres``, ``imagecol``, ``x``,
    ``array_col``, one that differs from another in an ``x`` for its ``y``); otherwise the first is taken for x, and the
    log says so. A third column is left aside.

    Raises
    ------
    ValueError
        They are no numbers, not finite, or neither two nor three columns.
    """
    held: Any = in_memory(table.obsm[key])
    where = f"obsm[{key!r}]"
    if isinstance(held, pd.DataFrame):
        held = held[_x_and_y(held, where)]
        if all(map(pd.api.types.is_numeric_dtype, held.dtypes)):  # those of pandas too, whose NA numpy does not take
            held = held.to_numpy(dtype=np.float64, na_value=np.nan)
    kind = getattr(getattr(held, "dtype", None), "kind", "f")
    if kind not in "iufOUST":
        raise ValueError(f"{where} holds {held.dtype}, not coordinates")
    if isinstance(held, np.ma.MaskedArray):  # what is masked is not known
        held = np.ma.filled(held.astype(np.float64), np.nan)
    try:
        xy = np.array(held.toarray() if sparse.issparse(held) else held, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} does not hold numbers: {error}") from error
    if xy.ndim != 2 or xy.shape[1] not in (2, 3):
        raise ValueError(f"{where} has shape {xy.shape}; expected (n_obs, 2), x before y")
    xy = np.ascontiguousarray(xy[:, :2])
    check_finite(xy, table.obs_names, where)
    return xy


def _x_and_y(frame: pd.DataFrame, where: str) -> list[Any]:
    """The columns that hold x and y; all columns where no name is known."""
    pair = _known_pair(frame)
    if pair is not None:
        logger.info("%s: x is column %r, y is column %r", where, *pair)
        return pair
    logger.warning(
        "%s has columns %s, which are not known names: the first is taken for x, the second for y",
        where,
        ", ".join(repr(column) for column in frame),
    )
    return list(frame)


def _known_pair(columns: Iterable[Any]) -> list[Any] | None:
    """The columns whose names say that they hold x and y, of pixels before places in an array."""
    alike = _alike(list(columns))
    pairs = [*_PIXELS, *([alike] if alike else []), *_PLACES]
    plain = {re.sub(r"[^a-z0-9]", "", str(column).lower().replace("µm", "")): column for column in columns}
    return next(([plain[x], plain[y]] for x, y in pairs if x in plain and y in plain), None)


def where_else(table: AnnData) -> str:
    """Where a table holds coordinates if not in ``obsm["spatial"]``, as an end of an error; empty if nowhere."""
    held = "adata.obsm['spatial'] = adata."
    pair = _known_pair(table.obs)
    if pair is not None:
        return f". obs has {pair[0]!r} and {pair[1]!r}: {held}obs[{pair!r}].to_numpy()"
    other = next((key for key in table.obsm if str(key).lower().endswith(SPATIAL)), None)
    return "" if other is None else f". obsm[{other!r}] may hold them: {held}obsm[{other!r}]"


def _alike(columns: list[Any]) -> tuple[str, str] | None:
    """The one pair of names, such as ``pos_x`` and ``pos_y``, that differ in a last letter ``x`` or ``y`` of a word."""
    names = {
        re.sub(r"(?<=[a-z])(?=[XY](?![A-Z]))", "_", str(column)).lower(): str(column).lower() for column in columns
    }
    pairs = {
        (names[name], names[other])
        for name in names
        for found in _AXIS.finditer(name)
        if (other := f"{name[: found.start()]}y{name[found.end() :]}") in names
    }
    if len(pairs) != 1:
        return None
    x, y = (re.sub(r"[^a-z0-9]", "", name.replace("µm", "")) for name in pairs.pop())
    return x, y


def unfold_array(xy: np.ndarray, table: AnnData) -> np.ndarray | None:
    """Centres of Visium's spots, in distances between neighbours, where ``xy`` are columns and rows of its array.

    Else None.

    In an array every other place is taken: columns are half a distance apart and rows .87 of one, so that the array
    looks like a square lattice that stands on a corner. Which axis holds the columns is told by ``obs["array_col"]``,
    else by its length, as an array has more columns than rows.
    """
    whole = np.rint(xy)
    if len(xy) < 4 or not np.array_equal(whole, xy) or np.abs(xy).max() > 1e6:
        return None
    parity = whole.sum(axis=1).astype(np.int64) % 2
    both = [len(np.unique(column)) > 1 for column in (whole % 2).T]
    if len(np.unique(parity)) > 1 or not all(both):
        return None
    if np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]) > 2:  # few pixels, which happen to be even
        return None
    column = int(np.argmax(np.ptp(xy, axis=0)))
    columns = table.obs["array_col"] if "array_col" in table.obs else None
    if columns is not None and pd.api.types.is_numeric_dtype(columns):
        same = [np.array_equal(axis, columns.to_numpy(dtype=np.float64)) for axis in xy.T]
        column = int(np.argmax(same)) if any(same) else column
    scale = np.full(2, np.sqrt(3) / 2)
    scale[column] = 0.5
    logger.warning(
        "the coordinates are columns and rows of a hexagonal array (%s holds the columns); they are taken to the "
        "places of its spots, in distances between neighbours",
        "yx"[column == 0],
    )
    return xy * scale
