"""Find the table of an input, copy the input, and name the sections of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._keys import SPATIAL
from multist._missing import as_names
from multist._settings import logger
from multist._words import counted, shown
from multist.access.absent import listed, not_found

if TYPE_CHECKING:
    from spatialdata import SpatialData

Data = TypeVar("Data")

SPATIAL_ATTRS = "spatialdata_attrs"
"""``uns`` entry by which SpatialData links the rows of a table to shapes, labels or points."""
_LARGEST = 1e15  # of a feature


LIBRARY_KEY = "library_key"
"""Where an entry of ``uns`` keeps which column of ``obs`` named the sections."""
UNNAMED = "section"
"""Name of the only section of a table that names none."""


def of_section(*names: str, word: str = "of") -> str:
    """``" of section 'name'"``, for a message; nothing where nobody gave the section a name."""
    return "" if names == (UNNAMED,) else f" {word} {'section' if len(names) == 1 else 'sections'} {listed(names)}"


def is_spatialdata(data: object) -> bool:
    """Whether ``data`` is a SpatialData; anything else that is no AnnData raises a TypeError."""
    if isinstance(data, AnnData):
        return False
    from spatialdata import SpatialData

    if isinstance(data, SpatialData):
        return True
    what = f"data must be an AnnData or a SpatialData, not {type(data).__name__}"
    if isinstance(data, str | Path):
        what = f"data must be an AnnData or a SpatialData, not a path: read it first, by {_reader(Path(data))}"
    raise TypeError(what)


def _reader(path: Path) -> str:
    """What reads a file, as one types it."""
    readers = {".h5ad": f"scanpy.read_h5ad({str(path)!r})", ".zarr": f"spatialdata.read_zarr({str(path)!r})"}
    every_reader = "scanpy.read_h5ad of an .h5ad, spatialdata.read_zarr of a .zarr, or a reader of spatialdata_io"
    return readers.get(path.suffix.lower(), every_reader)


def get_table(data: AnnData | SpatialData, table_key: str | None = None) -> AnnData:
    """The table of an input: the AnnData itself, or the table of a SpatialData.

    Parameters
    ----------
    data
        AnnData, or SpatialData.
    table_key
        Name in ``sdata.tables``. May be left out where there is exactly one.

    Raises
    ------
    TypeError
        ``data`` is neither of the two, or lazy.
    KeyError
        There is no such table.
    ValueError
        ``table_key`` is needed, or was given with an AnnData; the table is empty, or two rows, or two columns
        of ``obs`` or ``var``, share a name.
    """
    if not is_spatialdata(data):
        if table_key is not None:
            raise ValueError(f"table_key={table_key!r} chooses a table of a SpatialData, but data is an AnnData")
        table, where = data, "data"
    else:
        tables = data.tables
        if table_key is None and len(tables) == 1:
            table_key = next(iter(tables))
        if table_key is None and not tables:
            raise KeyError(
                "sdata.tables is empty: add a table that annotates the spots (spatialdata.models.TableModel)"
            )
        if table_key is None:
            raise ValueError(f"sdata.tables holds several tables; pass table_key, one of: {listed(tables)}")
        if table_key not in tables:
            raise not_found(table_key, "sdata.tables", tables, argument="table_key")
        table, where = tables[table_key], f"sdata.tables[{table_key!r}]"
    check_table(table, where)
    return table


def with_table(data: Data, table: AnnData, table_key: str | None = None) -> Data:
    """A copy of ``data`` with another table in place of its own, see :func:`copy_data`.

    Of an AnnData the table itself.
    """
    if isinstance(data, AnnData):
        return cast("Data", table)
    sdata: Any = data
    return cast("Data", _shallow(sdata, {next(iter(sdata.tables)) if table_key is None else table_key: table}))


def check_table(table: AnnData, where: str) -> None:
    """Raise an error if a table is lazy or empty, or its rows, or columns of obs or var, share a name."""
    if not isinstance(table.obs, pd.DataFrame):
        raise TypeError(f"{where} is lazy (anndata.experimental.read_lazy); load it by .to_memory() first")
    if table.n_obs == 0:
        raise ValueError(f"{where} has no observations")
    if not table.obs_names.is_unique:
        twice = table.obs_names[table.obs_names.duplicated()].unique()
        raise ValueError(
            f"{where}.obs_names holds {counted(len(twice), 'duplicate name')} ({listed(twice[:3])}...); "
            "call .obs_names_make_unique() first"
        )
    check_columns(table.obs, f"{where}.obs")
    check_columns(table.var, f"{where}.var")


def check_columns(frame: pd.DataFrame, where: str) -> None:
    """Raise a ValueError if two columns of a frame share a name, which then does not tell which is meant."""
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].unique()
        raise ValueError(
            f"{where} has several columns named {listed(twice[:3])}, so a name does not tell which is meant, and no "
            f"file can hold them: rename them, or keep the first of each by .loc[:, ~{where}.columns.duplicated()]"
        )


def copy_data(data: Data) -> Data:
    """A copy for ``copy=True``: writing results to it leaves ``data`` as it was.

    An AnnData is copied whole (one on disk, or lazy, is read into memory). Of a SpatialData the tables are copied;
    images, labels, shapes and points are shared, as no function of this package changes them in place.
    """
    if not isinstance(data, AnnData):
        return cast("Data", _shallow(data, {}))
    if not data.isbacked and isinstance(data.obs, pd.DataFrame):
        return data.copy()
    copy = data.to_memory(copy=True)
    open_file(data)
    return cast("Data", copy)


def read_domains(table: AnnData, key: str) -> pd.Series:
    """Column ``key`` of ``obs`` as a categorical of names.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If it holds measurements.
    """
    if key not in table.obs:
        raise not_found(key, "obs", table.obs, argument="cluster_key")
    column = table.obs[key].astype("category")
    refuse_measurements(column.cat.categories, key)
    return as_names(column)


def refuse_measurements(values: pd.Index, key: str) -> None:
    """Raise a ValueError if the different values of ``obs[key]`` are no names: a fraction is measured."""
    if values.dtype.kind == "f" and not bool((values % 1 == 0).all()):
        raise ValueError(f"obs[{key!r}] holds measurements, such as {values[0]:.6g}, not names of domains")


def open_file(table: AnnData) -> None:
    """Open the file of a table on disk, if anndata has closed it, as it does once it has read or written all."""
    if table.isbacked and not table.file.is_open:
        table.file.open()


def _shallow(sdata: Any, tables: dict[str, AnnData]) -> SpatialData:
    """The same elements, and tables that are given or copied."""
    from spatialdata import SpatialData

    return SpatialData(
        images=dict(sdata.images),
        labels=dict(sdata.labels),
        points=dict(sdata.points),
        shapes=dict(sdata.shapes),
        tables={name: tables[name] if name in tables else table.copy() for name, table in sdata.tables.items()},
        attrs=dict(sdata.attrs),
    )


def find_sections(table: AnnData, library_key: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Section of each row, and the names of the sections in order of first appearance.

    Parameters
    ----------
    table
        The table.
    library_key
        Column of ``obs`` that names the sections. Where it is None, it is that of an earlier call, or has the names of
        the several sections in ``uns["spatial"]``; else the regions of a SpatialData's table are the sections, and any
        other table is one section, which ``uns["spatial"]`` may name.

    Returns
    -------
    (n_obs,) int64 codes and the names.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        The column has missing values.
    """
    library_key = given_or_remembered(table, library_key)
    if library_key is None:
        library_key = table.uns.get(SPATIAL_ATTRS, {}).get("region_key")
    if library_key is None:
        libraries = tuple(libraries_of(table, needed=False))
        return np.zeros(table.n_obs, dtype=np.int64), libraries if len(libraries) == 1 else (UNNAMED,)
    if library_key not in table.obs:
        raise not_found(library_key, "obs", table.obs, argument="library_key")
    column = table.obs[library_key]
    if column.isna().any():
        raise ValueError(f"obs[{library_key!r}] names no section for {int(column.isna().sum())} of {len(column)} rows")
    codes, names = pd.factorize(as_names(column).astype(str).to_numpy())
    return codes.astype(np.int64), tuple(str(name) for name in names)


def libraries_of(table: AnnData, *, needed: bool) -> dict[str, Mapping[str, Any]]:
    """The entries of ``uns["spatial"]`` that have the form of a Visium section."""
    entries = table.uns.get(SPATIAL, {})
    if not isinstance(entries, Mapping):
        return {}
    if {"images", "scalefactors"} & set(entries):
        if needed:
            raise ValueError(
                "uns['spatial'] holds 'images' or 'scalefactors' itself; they belong to a section: "
                "uns['spatial'][section]['images']"
            )
        return {}
    return {str(name): entry for name, entry in entries.items() if isinstance(entry, Mapping)}


def refuse_several_libraries(libraries: Mapping[str, Any], library_key: str | None) -> None:
    """Raise a ValueError where ``uns["spatial"]`` holds several sections and nobody says which rows are of which."""
    if library_key is None and len(libraries) > 1:
        raise ValueError(
            f"uns['spatial'] holds several sections ({listed(libraries)}); "
            "pass library_key, the column of obs that names the section of each row"
        )


def given_or_remembered(table: AnnData, library_key: str | None) -> str | None:
    """The column that names the sections: as given, else that of earlier calls, else one of ``uns["spatial"]``'s names.

    The log says so, or warns where it tells nothing any more.
    """
    if library_key is not None:
        return library_key
    kept = {
        str(entry[LIBRARY_KEY])
        for entry in table.uns.values()
        if isinstance(entry, Mapping) and "schema" in entry and LIBRARY_KEY in entry
    }
    if not kept:
        return _named_as_libraries(table)
    if len(kept) == 1 and kept <= set(table.obs) and not table.obs[next(iter(kept))].isna().any():
        (name,) = kept
        logger.info("obs[%r] tells the sections, as in an earlier call", name, extra={"once": True})
        return name
    logger.warning(
        "earlier calls told the sections by library_key %s, which is more than one column, is gone, or is missing in "
        "some rows: give library_key, or they are not told apart",
        listed(sorted(kept)),
        extra={"once": True},
    )
    return None


def _named_as_libraries(table: AnnData) -> str | None:
    """The column whose values are names of the several sections in ``uns["spatial"]``; None if columns differ in it."""
    libraries = libraries_of(table, needed=False)
    if len(libraries) < 2:
        return None
    texts = table.obs.select_dtypes(["category", "object", "string"])
    # a million barcodes need not be looked at to see that they are no names of sections
    texts = texts.loc[:, [set(map(str, texts[key].head(100))) <= set(libraries) for key in texts]].astype(str)
    found = [key for key in texts if set(texts[key].unique()) <= set(libraries)]
    if not found:
        return None
    if any((texts[key] != texts[found[0]]).any() for key in found[1:]):
        logger.warning(
            "columns of obs name the sections of uns['spatial'] differently (%s): give library_key, or the sections "
            "are not told apart",
            listed(found),
            extra={"once": True},
        )
        return None
    logger.info("obs[%r] tells the sections, as it has their names in uns['spatial']", found[0], extra={"once": True})
    return str(found[0])


def section_code(names: Sequence[str], section: str) -> int:
    """Number of a section that the user names; a KeyError lists those that there are."""
    if section not in names:
        raise KeyError(f"section {shown(section)} not found; found: {listed(names)}. library_key names their column")
    return list(names).index(section)


def in_memory(values: Any) -> Any:
    """What dask or a file holds, as an array or a sparse matrix; anything else as it is."""
    if hasattr(values, "compute"):
        return values.compute()
    return values.to_memory() if hasattr(values, "to_memory") else values


def read_features(table: AnnData, key: str) -> np.ndarray:
    """(n_obs, d) values of ``obsm[key]``, dense; possibly the table's own array.

    Parameters
    ----------
    table
        The table; it is only read.
    key
        Key in ``obsm``: an array, a sparse matrix, or a DataFrame.

    Raises
    ------
    KeyError
        There is no such entry.
    ValueError
        It does not hold finite numbers in rows and columns.
    """
    if key not in table.obsm:
        raise not_found(key, "obsm", table.obsm, argument="use_rep")
    held = in_memory(table.obsm[key])
    features = np.asarray(held.toarray() if sparse.issparse(held) else held)
    if features.dtype.kind not in "biuf":
        raise ValueError(f"obsm[{key!r}] holds {features.dtype}, not numbers")
    # what is of floats stays as it is, because a copy of a million rows is not for nothing
    features = features if features.dtype.kind == "f" else features.astype(np.float64)
    if features.ndim == 2 and not features.shape[1]:
        raise ValueError(f"obsm[{key!r}] has no columns")
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(
            f"obsm[{key!r}] has values that are not finite, or is no matrix; its shape is {features.shape}"
        )
    largest = float(np.abs(features).max())
    if largest > _LARGEST:
        raise ValueError(
            f"obsm[{key!r}] has values as large as {largest:.3g}, whose squares "
            f"numbers of 32 bits do not hold; scale them"
        )
    return features
