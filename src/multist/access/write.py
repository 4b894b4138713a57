"""Results back into the user's object: everything is checked first, then written."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._keys import NORMALIZED_SUFFIX, SPATIAL
from multist._words import counted
from multist.access.absent import listed
from multist.access.draft import Draft
from multist.access.pyramid import rgb_element
from multist.access.record import SpatialRecord
from multist.access.tables import is_spatialdata
from multist.access.visium import scale_factors

if TYPE_CHECKING:
    from spatialdata import SpatialData


class Fields(TypedDict, total=False):
    """What a stage found, as :func:`write_table` takes it."""

    obs: Mapping[str, Any]
    obsm: Mapping[str, Any]
    obsp: Mapping[str, Any]
    uns: Mapping[str, Any]


_NAME = re.compile(r"(?!__)[A-Za-z0-9_.-]+")


def write_table(
    record: SpatialRecord | AnnData,
    *,
    obs: Mapping[str, Any] | None = None,
    obsm: Mapping[str, Any] | None = None,
    obsp: Mapping[str, Any] | None = None,
    uns: Mapping[str, Any] | None = None,
) -> None:
    """Write results to a table: all of them, or, if one cannot be written, none.

    A table that is a view of another AnnData becomes a copy with the first result, as always in AnnData; the AnnData
    that it is a view of stays as it was.

    Parameters
    ----------
    record
        The record, or the table itself.
    obs
        Columns (n_obs,).
    obsm
        Arrays (n_obs, d).
    obsp
        Arrays or sparse matrices (n_obs, n_obs).
    uns
        Anything else. Where both the new and the present value are dicts, the present one keeps the entries that the
        new one does not have.

    Raises
    ------
    ValueError
        SpatialData could not store a name (it takes ``A-Z a-z 0-9 _ . -``, and names that differ in more than case),
        or a shape does not fit the table. Nothing has been written then.
    """
    table: Any = record.table if isinstance(record, SpatialRecord) else record
    groups = {"obs": obs or {}, "obsm": obsm or {}, "obsp": obsp or {}, "uns": uns or {}}
    for group, entries in groups.items():
        check_names(entries, getattr(table, group), group)
    ready = {
        "obs": {name: _column(table, name, values) for name, values in groups["obs"].items()},
        "obsm": {name: _matrix(table, "obsm", name, values) for name, values in groups["obsm"].items()},
        "obsp": {name: _matrix(table, "obsp", name, values) for name, values in groups["obsp"].items()},
        "uns": {name: _merged(table.uns.get(name), value) for name, value in groups["uns"].items()},
    }
    for group, entries in ready.items():
        for name, value in entries.items():
            if isinstance(table, Draft):
                table.put(group, name, value)
            else:
                getattr(table, group)[name] = value


def write_image(
    data: AnnData | SpatialData,
    record: SpatialRecord,
    arrays: Sequence[Any],
    *,
    key_added: str | Mapping[str, str] | None = None,
    elements: MutableMapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write an image made from each section's image, in the same pixels, beside it.

    Parameters
    ----------
    data
        The object from which ``record`` was resolved.
    record
        The record; every section that gets an image has one. Of an AnnData the image is written to its table.
    arrays
        One entry per section: an array (height, width, 3) uint8 as large as the section's image, or one such array per
        level of its pyramid, finest first, or None for a section that gets none. A multiscale image of which only the
        finest level is given gets its other levels by averaging. An AnnData takes the finest level, computed; a
        SpatialData keeps dask arrays lazy.
    key_added
        Name of the new image, or a dict from the source's name to it. Left out, ``"<source>_normalized"``. A present
        image of this name is replaced.
    elements
        Where those of a SpatialData are put; None puts them into ``data.images``.

    Returns
    -------
    The new key of each section, ``""`` for one without.

    Raises
    ------
    ValueError
        A shape or type does not fit, the name is that of the source, cannot be stored, or is asked for twice.
    """
    if len(arrays) != len(record.images):
        there = f"{counted(len(arrays), 'image')} for {counted(len(record.images), 'section')}"
        raise ValueError(f"{there}; give one per section, or None")
    keys = tuple(_new_key(record, i, key_added) if levels is not None else "" for i, levels in enumerate(arrays))
    pyramids = [None if levels is None else _checked_levels(record, i, levels) for i, levels in enumerate(arrays)]
    if is_spatialdata(data):
        sdata: Any = data
        _write_elements(sdata, record, pyramids, keys, sdata.images if elements is None else elements)
    else:
        _write_visium(record, pyramids, keys)
    return keys


def check_names(names: Mapping[str, Any], present: Any, where: str) -> None:
    """Raise a ValueError if SpatialData could not store one of the names beside the present ones."""
    others = {str(name).lower(): str(name) for name in present}
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in {".", "..", "_index"}:
            raise ValueError(
                f"{where} key {name!r} cannot be stored in a SpatialData: use letters, digits, '_', '.', '-' only, "
                "and no '__' in front"
            )
        other = others.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(f"{where} key {name!r} differs from {other!r} in case only; SpatialData cannot store both")


def _column(table: AnnData, name: str, values: Any) -> pd.Series:
    array = values.array if isinstance(values, pd.Series | pd.Index) else values
    array = array if isinstance(array, pd.api.extensions.ExtensionArray) else np.asarray(array)
    if array.shape != (table.n_obs,):
        raise ValueError(f"obs[{name!r}] has shape {array.shape}; the table has {table.n_obs} rows")
    return pd.Series(array, index=table.obs_names, name=name)


def _matrix(table: AnnData, group: str, name: str, values: Any) -> Any:
    values = values if sparse.issparse(values) else np.asarray(values)
    fits = values.shape == (table.n_obs, table.n_obs) if group == "obsp" else values.shape[:1] == (table.n_obs,)
    if not fits or values.ndim != 2:
        expected = f"({table.n_obs}, {table.n_obs if group == 'obsp' else 'd'})"
        raise ValueError(f"{group}[{name!r}] has shape {values.shape}; expected {expected}")
    return values


def _merged(present: Any, value: Any) -> Any:
    return {**present, **value} if isinstance(present, Mapping) and isinstance(value, Mapping) else value


def _new_key(record: SpatialRecord, section: int, key_added: str | Mapping[str, str] | None) -> str:
    image = record.images[section]
    if image is None:
        raise ValueError(f"section {record.section_names[section]!r} has no image to write one beside")
    if isinstance(key_added, str):
        key = key_added
    elif key_added is None:
        key = image.key.removesuffix(NORMALIZED_SUFFIX) + NORMALIZED_SUFFIX
    elif image.key in key_added:
        key = key_added[image.key]
    else:
        raise ValueError(f"key_added names no key for image {image.key!r}; it has: {listed(key_added)}")
    if key == image.key:
        raise ValueError(f"key {key!r} is that of the source image, which would be lost; give another key_added")
    return key


def _checked_levels(record: SpatialRecord, section: int, levels: Any) -> tuple[Any, ...]:
    image = record.images[section]
    levels = tuple(levels) if isinstance(levels, tuple | list) else (levels,)
    shapes = [] if image is None else [level.shape for level in image.levels[: len(levels)]]
    if len(levels) not in (1, len(image.levels) if image is not None else 1):
        raise ValueError(f"{len(levels)} levels for image {image.key!r}" if image else "no image")
    for level, shape in zip(levels, shapes, strict=True):
        if level.shape != shape or level.dtype != np.uint8:
            raise ValueError(f"image has shape {level.shape} and type {level.dtype}; expected {shape} and uint8")
    return levels


def _write_visium(record: SpatialRecord, pyramids: list[tuple[Any, ...] | None], keys: tuple[str, ...]) -> None:
    # new dicts along the path, so that nothing is changed before all arrays are computed, nor in objects that share
    # them
    entries = dict(record.table.uns[SPATIAL])
    for name, image, levels, key in zip(record.section_names, record.images, pyramids, keys, strict=True):
        if levels is None or image is None:
            continue
        entry = entries[name]
        check_names({key: None}, entry["images"], f"uns['spatial'][{name!r}]['images']")
        factor = scale_factors(entry)[f"tissue_{image.key}_scalef"]
        entries[name] = {
            **entry,
            "images": {**entry["images"], key: np.asarray(levels[0])},
            "scalefactors": {**entry["scalefactors"], f"tissue_{key}_scalef": factor},
        }
    record.table.uns[SPATIAL] = entries


def _write_elements(
    sdata: Any,
    record: SpatialRecord,
    pyramids: list[tuple[Any, ...] | None],
    keys: tuple[str, ...],
    target: MutableMapping[str, Any],
) -> None:
    ready: dict[str, tuple[str, tuple[Any, ...]]] = {}
    for image, levels, key in zip(record.images, pyramids, keys, strict=True):
        if levels is None or image is None:
            continue
        source, same = ready.setdefault(key, (image.key, levels))
        if source != image.key or any(a is not b for a, b in zip(same, levels, strict=True)):
            raise ValueError(
                f"two different images would be written to {key!r}; name them apart by key_added={{source: key}}"
            )
    others = [*sdata.shapes, *sdata.labels, *sdata.points, *sdata.tables]
    check_names(dict.fromkeys(ready), [*sdata.images, *others], "sdata.images")
    taken = [key for key in ready if key in others]
    if taken:
        raise ValueError(f"{listed(taken)} is the name of another element of the SpatialData; give another key_added")
    made = {key: rgb_element(sdata.images[source], levels) for key, (source, levels) in ready.items()}
    for key, element in made.items():
        target[key] = element
