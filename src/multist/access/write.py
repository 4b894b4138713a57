"""Results back into the user's object: everything is checked first, then written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._keys import NORMALIZED_SUFFIX, SPATIAL
from multist.access.absent import listed
from multist.access.draft import Draft
from multist.access.pyramid import image_element
from multist.access.record import SectionImage, SpatialRecord
from multist.access.tables import is_spatialdata
from multist.access.visium import scale_factors

if TYPE_CHECKING:
    import dask.array as da
    from spatialdata import SpatialData


class Fields(TypedDict, total=False):
    """What a stage found.

    Attributes
    ----------
    obs
        Columns (n_obs,).
    obsm
        Arrays (n_obs, d).
    obsp
        Arrays or sparse matrices (n_obs, n_obs).
    uns
        Anything else. Where both the new and the present value are dicts, the present one keeps the entries that the
        new one does not have.
    """

    obs: Mapping[str, Any]
    obsm: Mapping[str, Any]
    obsp: Mapping[str, Any]
    uns: Mapping[str, Any]


_NAME = re.compile(r"(?!__)[A-Za-z0-9_.-]+")


def write_table(table: Draft, fields: Mapping[str, Any]) -> None:
    """Write :class:`Fields` to a table: all of them, or, if one cannot be written, none.

    Raises
    ------
    ValueError
        SpatialData could not store a name (it takes ``A-Z a-z 0-9 _ . -``, and names that differ in more than case),
        or a shape does not fit the table. Nothing has been written then.
    """
    for group, entries in fields.items():
        check_names(entries, getattr(table, group), group)
    ready = [
        (group, name, _fitting(table, group, name, value))
        for group, entries in fields.items()
        for name, value in entries.items()
    ]
    for entry in ready:
        table.put(*entry)


def write_image(
    data: AnnData | SpatialData,
    record: SpatialRecord,
    pyramids: Sequence[Sequence[da.Array]],
    key_added: str | None,
    elements: MutableMapping[str, Any],
) -> tuple[str, ...]:
    """Write an image made from each section's image, in the same pixels, beside it.

    Parameters
    ----------
    data
        The object from which ``record`` was resolved.
    record
        The record; every section has an image. Of an AnnData the image is written to its table.
    pyramids
        By section: arrays (height, width, 3) uint8 like the levels of its image. An AnnData takes the finest, computed;
        a SpatialData keeps them lazy.
    key_added
        Name of the new image; None takes ``"<source>_normalized"``. A present image of this name is replaced.
    elements
        Where those of a SpatialData are put.

    Returns
    -------
    The new key of each section.

    Raises
    ------
    ValueError
        The name is that of the source or of an element that is no image, cannot be stored, or is asked for twice.
    """
    images = [image for image in record.images if image is not None]
    keys = tuple(_new_key(image.key, key_added) for image in images)
    if is_spatialdata(data):
        elements.update(_new_elements(data, images, pyramids, keys))
    else:
        _write_visium(record, images, pyramids, keys)
    return keys


def check_names(names: Iterable[str], present: Iterable[Any], where: str) -> None:
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


def check_elements(sdata: Any, names: Iterable[str], kind: str, argument: str, *, kept: Collection[str] = ()) -> None:
    """Raise a ValueError if elements of a kind, such as ``"images"``, cannot have these names.

    Of that kind, those of other names than ``kept`` may be replaced.
    """
    kinds = {name: held for held, name, _ in sdata.gen_elements()}
    check_names(names, kinds, f"sdata.{kind}")
    taken = [name for name in names if kinds.get(name, kind) != kind or name in kept]
    if taken:
        raise ValueError(f"{listed(taken)} is the name of another element of the SpatialData; give another {argument}")


def _fitting(table: Draft, group: str, name: str, value: Any) -> Any:
    """A value as the table is to hold it."""
    if group == "uns":
        return _merged(table.uns.get(name), value)
    return _column(table, name, value) if group == "obs" else _matrix(table, group, name, value)


def _column(table: Draft, name: str, values: Any) -> pd.Series:
    array = values.array if isinstance(values, pd.Series | pd.Index) else values
    array = array if isinstance(array, pd.api.extensions.ExtensionArray) else np.asarray(array)
    if array.shape != (table.n_obs,):
        raise ValueError(f"obs[{name!r}] has shape {array.shape}; the table has {table.n_obs} rows")
    return pd.Series(array, index=table.obs_names, name=name)


def _matrix(table: Draft, group: str, name: str, values: Any) -> Any:
    values = values if sparse.issparse(values) else np.asarray(values)
    fits = values.shape == (table.n_obs, table.n_obs) if group == "obsp" else values.shape[:1] == (table.n_obs,)
    if not fits or values.ndim != 2:
        expected = f"({table.n_obs}, {table.n_obs if group == 'obsp' else 'd'})"
        raise ValueError(f"{group}[{name!r}] has shape {values.shape}; expected {expected}")
    return values


def _merged(present: Any, value: Any) -> Any:
    return {**present, **value} if isinstance(present, Mapping) and isinstance(value, Mapping) else value


def _new_key(source: str, key_added: str | None) -> str:
    key = source.removesuffix(NORMALIZED_SUFFIX) + NORMALIZED_SUFFIX if key_added is None else key_added
    if key == source:
        raise ValueError(f"key {key!r} is that of the source image, which would be lost; give another image_key_added")
    return key


def _write_visium(
    record: SpatialRecord, images: list[SectionImage], pyramids: Sequence[Sequence[da.Array]], keys: Sequence[str]
) -> None:
    # new dicts along the path, so that nothing is changed before all arrays are computed, nor in objects that share
    # them
    entries = dict(record.table.uns[SPATIAL])
    names = {str(name): name for name in entries}
    for section, image, levels, key in zip(record.section_names, images, pyramids, keys, strict=True):
        entry = entries[names[section]]
        check_names([key], entry["images"], f"uns['spatial'][{section!r}]['images']")
        factor = scale_factors(entry)[f"tissue_{image.key}_scalef"]
        entries[names[section]] = {
            **entry,
            "images": {**entry["images"], key: np.asarray(levels[0])},
            "scalefactors": {**entry["scalefactors"], f"tissue_{key}_scalef": factor},
        }
    record.table.uns[SPATIAL] = entries


def _new_elements(
    sdata: Any, images: list[SectionImage], pyramids: Sequence[Sequence[da.Array]], keys: Sequence[str]
) -> dict[str, Any]:
    from spatialdata.transformations import get_transformation

    ready: dict[str, tuple[str, Sequence[da.Array]]] = {}
    for image, levels, key in zip(images, pyramids, keys, strict=True):
        source, _ = ready.setdefault(key, (image.key, levels))
        if source != image.key:
            raise ValueError(
                f"two different images would be written to {key!r}; give each a name of its own by image_key and "
                "image_key_added, one after the other"
            )
    check_elements(sdata, ready, "images", "image_key_added")
    return {
        key: image_element(levels, ["r", "g", "b"], dict(get_transformation(sdata.images[source], get_all=True)))
        for key, (source, levels) in ready.items()
    }
