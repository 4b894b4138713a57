"""Sections of one or several objects, as the plots go through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._missing import as_names
from multist._spacing import spacing
from multist.access import ONE_AT_A_TIME, SpatialRecord, as_list, resolve_shown, spot_polygons

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access import SectionImage


@dataclass(frozen=True)
class Slides:
    """All spots of all objects, row after row.

    Attributes
    ----------
    objects
        What the user gave.
    records
        One for each.
    xy, diameter, section
        As in a record; sections count on from object to object.
    names, images
        Of each section; with the object's number in front where sections of several objects have the same name.
    microns_per_pixel
        Of each section, where the data says.
    obs
        The rows of all tables; of several, categories are names.
    """

    objects: list[AnnData | SpatialData]
    records: list[SpatialRecord]
    xy: np.ndarray
    diameter: np.ndarray
    section: np.ndarray
    names: list[str]
    images: list[SectionImage | None]
    microns_per_pixel: list[float | None]
    obs: pd.DataFrame
    _first: list[int] = field(repr=False)
    _diameters: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def tables(self) -> list[AnnData]:
        """Those of the records."""
        return [record.table for record in self.records]

    @property
    def only(self) -> SpatialRecord:
        """The record of a plot of one object; raises TypeError where several were given."""
        if len(self.records) > 1:
            raise TypeError(ONE_AT_A_TIME.format(len(self.records)))
        return self.records[0]

    def rows(self, section: int) -> np.ndarray:
        """Positions of the spots of a section."""
        return np.flatnonzero(self.section == section)

    def diameters(self, section: int) -> np.ndarray:
        """Diameters of the spots of a section; where unknown, how far apart they are."""
        if section not in self._diameters:
            rows = self.rows(section)
            diameter = self.diameter[rows].astype(float)
            unknown = ~(diameter > 0)
            if unknown.any():
                apart = spacing(self.xy[rows])
                diameter[unknown] = apart if np.isfinite(apart) else 1.0
            self._diameters[section] = diameter
        return self._diameters[section]

    def polygons(self, section: int) -> list[np.ndarray] | None:
        """Corners of the spots of a section; None for circles."""
        record = int(np.searchsorted(self._first, section, side="right")) - 1
        offset = sum(table.n_obs for table in self.tables[:record])
        return spot_polygons(self.objects[record], self.records[record], self.rows(section) - offset)


def slides(data: Any, *, image_key: str | None, table_key: str | None, library_key: str | None) -> Slides:
    """Sections of an object or of a list of them.

    Parameters
    ----------
    data
        An AnnData or SpatialData, or a list of them.
    image_key, table_key, library_key
        As :func:`~multist.access.resolve.resolve_shown` takes them.

    Raises
    ------
    ValueError
        A list is empty or names an object twice.
    """
    objects = as_list(data)
    keys = {"image_key": image_key, "table_key": table_key, "library_key": library_key}
    return of_records(objects, [resolve_shown(each, **keys) for each in objects])


def of_records(objects: list[Any], records: list[SpatialRecord]) -> Slides:
    """Sections of objects that have been resolved."""
    counts = [len(record.section_names) for record in records]
    first = [0, *np.cumsum(counts)[:-1].tolist()]
    names = [name for record in records for name in record.section_names]
    if len(set(names)) < len(names):
        names = [f"{i}:{name}" for i, record in enumerate(records) for name in record.section_names]
    return Slides(
        objects,
        records,
        np.concatenate([record.xy for record in records]),
        np.concatenate([record.diameter for record in records]),
        np.concatenate([record.section + start for record, start in zip(records, first, strict=True)]),
        names,
        [image for record in records for image in record.images],
        [size for record in records for size in record.microns_per_pixel],
        _stacked([record.table.obs for record in records]),
        first,
    )


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several tables; columns that are not in all of them are left out."""
    if len(frames) == 1:
        return frames[0]
    shared = [name for name in frames[0].columns if all(name in frame.columns for frame in frames)]
    columns = {}
    for name in shared:
        parts = [frame[name] for frame in frames]
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            names_of = [as_names(part).array for part in parts]
            columns[name] = pd.api.types.union_categoricals(names_of, ignore_order=True)
        else:
            columns[name] = pd.concat(parts, ignore_index=True).array
    names = np.concatenate([frame.index.to_numpy() for frame in frames])
    return pd.DataFrame(columns, index=names)
