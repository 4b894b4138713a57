"""Annotations from a file of another program become a column of the table."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist._numbers import is_positive
from multist._settings import logger
from multist.access import SPATIAL_ATTRS, find_sections, listed, resolve_drawn, run, section_code
from multist.pp._drawings import annotate, name_spots
from multist.pp._drawn_csv import Groups, Selections, parse_csv
from multist.pp._drawn_json import parse_geojson

if TYPE_CHECKING:
    from anndata import AnnData
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData

    from multist.access import SpatialRecord

MOST_BYTES = 256 * 2**20
"""Size of a file that is read; a million cells with a group each are 30 MB."""

_ID_COLUMNS = ("barcode", "barcodes", "cell_id")
_SUFFIX = r"[-.]\d+$"  # R makes a dot of a dash where barcodes become names of columns
_GZIP = b"\x1f\x8b"


@described
def read_labels(
    data: AnnData | SpatialData,
    path: str | Path | Sequence[str | Path],
    *,
    label_key: str | None = None,
    key_added: str = _keys.ANNOTATION,
    section: str | None = None,
    scale: float | None = None,
    stroke_width: float | None = None,
    image_key: str | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Read annotations that somebody made in QuPath, Loupe Browser or Xenium Explorer.

    What the file is, its content says, which may be packed by gzip:

    - **QuPath**, GeoJSON, as geopandas, sf and QGIS write it too: areas, points and lines with a class. They name
      spots as in :func:`multist.pp.labels_from_shapes`; a line is an area as wide as ``stroke_width``. Coordinates are
      pixels of the image that was opened.
    - **Loupe Browser**, CSV ``Barcode,<group>``, **Xenium Explorer**, CSV ``cell_id,group``, and **pandas** and R, CSV
      with an empty header above the names of rows: the groups of observations, by name. Where rows are counted and not
      named, a column ``barcode`` or ``cell_id`` names them. Columns may be separated by semicolons or tabs as well.
    - **Xenium Explorer**, CSV of a selection's coordinates: areas in micrometres, whose class is the name of the
      selection, or what its column ``Class`` says. Its CSV of the cells in a selection is read as groups.

    Parameters
    ----------
    data
        Table with spots; not changed but for the fields below.
    path
        The file, or several of one kind that are read together, such as one for each selection.
    label_key
        Property of the GeoJSON, or column of the CSV, that names the class of each drawing or the group of each
        observation; drawings without one are left out. None takes QuPath's class; without one the property called
        ``annotation``, ``classification``, ``class``, ``label`` or ``name``, else the only text that tells drawings
        apart, and the log says which; if there is none, all drawings are of one class that bears the name of the file.
        Identifiers are no such text, nor is one that differs between all of more than eight drawings.
    key_added
        Name of the column. A column of this name is replaced, so give another for domains that come back corrected
        where the strokes behind them are to stay.
    section
        The section that was drawn on, where there are several. The others keep what they have in the column.
    scale
        What the file's coordinates are multiplied by: 4 for drawings on an image that is four times smaller in each
        direction. None takes 1, and for micrometres the pixels per micrometre that the data knows; where
        ``obsm["spatial"]`` itself is in micrometres, give 1.
    stroke_width
        Width of lines, in the units of the spots' coordinates. None takes the distance between neighbouring spots.
    image_key
        The image that was drawn on. None takes, of an AnnData, the full-resolution image, in whose pixels
        ``obsm["spatial"]`` is; of a SpatialData the section's image, or without one the coordinate system of the spots.

    Returns
    -------
    None, or the changed copy. Fields written to the table:

    ``obs["annotation"]``
        Categorical, missing where nothing is drawn.
    ``uns["annotation_colors"]``
        Colours: those that the file states, else those that were there, else new ones.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    KeyError
        There is no such section, image, table, column or property.
    ValueError
        The file is empty, larger than 256 MB when unpacked, in no format above, malformed or nested too deeply; it
        names no observation of the table, or one twice; its drawings are on no spot; several properties or columns
        could name the class; an argument does not apply to it.

    Notes
    -----
    Observations are matched with ``obs_names``, and with the columns ``barcode``, ``cell_id`` and the table's
    instances, whichever knows most of them; if only the number after the dash differs (``-1``, of which R makes
    ``.1``), and is not needed to tell them apart, it is left aside, and so is what concatenating put before or behind
    all names of the section, such as ``-A`` or ``A_``. The log says how many are unknown.

    Examples
    --------
    >>> mt.pp.read_labels(adata, "drawn_in_qupath.geojson")
    >>> mt.pp.read_labels(adata, "corrected.geojson", key_added="corrected")
    >>> mt.pp.read_labels(adata, "from_geopandas.geojson", label_key="tissue")
    >>> mt.pp.read_labels(adata, ["tumor.csv", "stroma.csv"])  # two selections of Xenium Explorer
    """
    for name, number in (("scale", scale), ("stroke_width", stroke_width)):
        if number is not None and not is_positive(number):
            raise ValueError(f"{name} must be a positive number; got {number!r}")
    paths = [Path(each).expanduser() for each in ([path] if isinstance(path, str | Path) else path)]
    contents = [_parse(each, label_key) for each in paths]
    if not contents or len({isinstance(content, Groups) for content in contents}) > 1:
        raise ValueError(
            "path names no file, or files with drawings and files with groups; read the two one after the other"
        )
    colors = {name: color for content in reversed(contents) for name, color in content[-1].items()}
    groups = [content for content in contents if isinstance(content, Groups)]
    given = {"scale": scale, "stroke_width": stroke_width, "image_key": image_key}
    for argument in (name for name, value in given.items() if value is not None and groups):
        raise ValueError(f"{argument} is for drawings, but {listed(map(str, paths))} holds names of observations")
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    with run(data, "read_labels", copy=copy, spatial=False, **keys) as work:
        table = work.part.table
        if groups:
            rows = _rows_of(section, *find_sections(table, library_key))
            names = _grouped(table, rows, groups)
        else:
            record = resolve_drawn(work.part.data, table_key=table_key, image_key=image_key, library_key=library_key)
            rows = _drawn_on(record, section)
            code = int(record.section[rows][0])
            drawings = [_scaled(content, scale, record.microns_per_pixel[code]) for content in contents]
            together = pd.concat(drawings, ignore_index=True)
            names = name_spots(record.xy[rows], record.diameter[rows], together, stroke_width=stroke_width)
        work.part.write(**annotate(table, rows, names, key_added, colors))
    return work.result


def _parse(path: Path, label_key: str | None) -> Any:
    """Groups, selections, or drawings in pixels with their colours."""
    try:
        with path.open("rb") as file:
            is_packed = file.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
            content = (gzip.open(file) if is_packed else file).read(MOST_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is no whole gzip file: {error}") from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} holds more than {MOST_BYTES:,} bytes, which are refused: export annotations only")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}): save it as UTF-8, in Excel as CSV UTF-8") from error
    if not text.strip():
        raise ValueError(f"{path} is empty")
    parse = parse_geojson if text.lstrip()[0] in "{[" else parse_csv
    return parse(text, str(path), Path(path.stem).stem if is_packed else path.stem, label_key)


def _rows_of(section: str | None, codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(n_obs,) bool; the rows of a section, or all."""
    return np.ones(len(codes), dtype=bool) if section is None else codes == section_code(names, section)


def _drawn_on(record: SpatialRecord, section: str | None) -> np.ndarray:
    if section is None and len(record.section_names) > 1:
        raise ValueError(
            "the table holds several sections; pass the section that was drawn on, one of: "
            f"{listed(record.section_names)}"
        )
    return _rows_of(section, record.section, record.section_names)


def _scaled(content: Any, scale: float | None, microns_per_pixel: float | None) -> GeoDataFrame:
    """Drawings in the units of the spots' coordinates."""
    factor = scale
    if factor is None and isinstance(content, Selections):
        if microns_per_pixel is None:
            raise ValueError(
                "the selection is in micrometres, and the data does not say how large its pixels are: pass scale, "
                "the pixels per micrometre (1 / 0.2125 for Xenium's images), or 1 if the spots' coordinates are in "
                "micrometres"
            )
        factor = 1 / microns_per_pixel
    drawings: GeoDataFrame = content[0]
    if factor is None or factor == 1:
        return drawings
    return drawings.set_geometry(drawings.scale(factor, factor, origin=(0, 0)))


def _grouped(table: AnnData, rows: np.ndarray, groups: Sequence[Groups]) -> np.ndarray:
    """(m,) name of each row, None where the files name none."""
    named = pd.DataFrame(
        {
            "id": np.concatenate([group.ids for group in groups]),
            "name": np.concatenate([group.names for group in groups]),
        }
    )
    named = named[named["name"] != ""].drop_duplicates()
    if named.empty:
        raise ValueError("the file puts no observation into a group")
    twice = named["id"][named["id"].duplicated()]
    if len(twice):
        raise ValueError(f"{len(twice)} observations are in two groups ({listed(twice[:3])}); each may be in one")
    observed, ids = _matching(table, rows, named["id"])
    in_table = ids.isin(observed)
    if not in_table.any():
        raise ValueError(
            f"none of {len(ids)} observations in the file is in the table: the file has {listed(named['id'][:3])}, "
            f"obs_names has {listed(table.obs_names[rows][:3])}. Put the names that the file has into obs['barcode']; "
            "where sections share barcodes, name the section by library_key= and section="
        )
    if not in_table.all():
        logger.warning(
            "%d of %d observations in the file are in the table; the others are left out", in_table.sum(), len(ids)
        )
    names = observed.map(pd.Series(named["name"].to_numpy(), index=ids.to_numpy()))
    return names.astype(object).where(names.notna(), None).to_numpy()


def _matching(table: AnnData, rows: np.ndarray, ids: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Names of the rows and of the file, in the form in which they have most in common."""
    instance = table.uns.get(SPATIAL_ATTRS, {}).get("instance_key")
    columns = [key for key in dict.fromkeys([*_ID_COLUMNS, instance]) if key in table.obs]
    observed = [
        pd.Series(table.obs_names[rows].astype(str)),
        *(table.obs.loc[rows, key].astype(str) for key in columns),
    ]
    observed = [each.reset_index(drop=True) for each in observed]
    found = _most_in_common(observed, ids)
    if _common(found):
        return found
    # obs_names and columns may share an affix
    plain = [(affix, names) for each in observed for affix, names in _without_affix(each) if names.is_unique]
    matches = [(affix, _most_in_common([names], ids)) for affix, names in plain]
    affix, best = max(matches, key=lambda each: _common(each[1]), default=("", found))
    if not _common(best):
        return found
    logger.info("names are matched without %r, with which all %d in the table begin or end", affix, rows.sum())
    return best


def _most_in_common(observed: Sequence[pd.Series], ids: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Of the pairs of names, as they are and without their number, the one with most in common; the first of equal."""
    exact = [(each, ids) for each in observed]
    bare = [(each.str.replace(_SUFFIX, "", regex=True), ids.str.replace(_SUFFIX, "", regex=True)) for each, _ in exact]
    return max((pair for pair in [*exact, *bare] if pair[0].is_unique and pair[1].is_unique), key=_common)


def _common(pair: tuple[pd.Series, pd.Series]) -> int:
    return int(pair[1].isin(pair[0]).sum())


def _without_affix(names: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    """What stands before or behind all names, up to a mark such as ``-`` or ``_``, shortest first; names without it."""
    head, tail = commonprefix(names.tolist()), commonprefix(names.str[::-1].tolist())
    for mark in re.finditer(r"[^A-Za-z0-9]", head):
        yield head[: mark.end()], names.str.slice(mark.end())
    for mark in re.finditer(r"[^A-Za-z0-9]", tail):
        yield tail[: mark.end()][::-1], names.str.slice(stop=-mark.end())
