"""How large a pixel is, from whatever the data says of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from multist.access.lattice import find_lattice
from multist.access.tables import SPATIAL_ATTRS

if TYPE_CHECKING:
    from multist.access.record import SpatialRecord

_VISIUM_PITCH = 100.0
"""Micrometres between the centres of neighbouring spots, on every Visium slide."""
_VISIUM_RATIO = (1.35, 1.9)
"""Pitch by diameter: 100 by 55 as printed, by 65 as Space Ranger writes it, by 70 in its first releases."""
_BINS = re.compile(r"square_(\d+)um$")
"""How readers of Visium HD name the bins of a size."""


def microns_per_pixel(record: SpatialRecord, section: int = 0) -> float | None:
    """Micrometres per unit of ``record.xy`` in a section, or None where nothing tells.

    What the data says comes first: a coordinate system in micrometres, or ``scalefactors["microns_per_pixel"]``. Bins are
    as large as the name of their region says (``"square_008um"``). Spots on a hexagonal lattice, as wide as on Visium, are
    100 um apart. Their diameter is not asked, since Space Ranger's releases differ in whether it is that of 55 or 65 um.

    Parameters
    ----------
    record
        The resolved input.
    section
        Index into ``record.section_names``.
    """
    said = record.microns_per_pixel[section]
    if said is not None:
        return said
    rows = np.flatnonzero(record.section == section)
    lattice = find_lattice(record.xy[rows])
    if lattice is None:
        return None
    bins = _bin_size(record, rows)
    if lattice.kind == "square":
        return None if bins is None else bins / lattice.pitch
    diameter = float(np.median(record.diameter[rows]))
    low, high = _VISIUM_RATIO
    return _VISIUM_PITCH / lattice.pitch if low < lattice.pitch / diameter < high else None


def _bin_size(record: SpatialRecord, rows: np.ndarray) -> float | None:
    """Micrometres that the rows' regions bear in their names."""
    key = record.table.uns.get(SPATIAL_ATTRS, {}).get("region_key")
    if key not in record.table.obs:
        return None
    found = {_BINS.search(str(name)) for name in record.table.obs[key].iloc[rows].unique()}
    sizes = {match and float(match[1]) for match in found}
    return sizes.pop() if len(sizes) == 1 else None
