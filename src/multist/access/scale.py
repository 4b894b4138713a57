"""How large a pixel is: as far as someone says so and it can be true, or by the lattice of the spots."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from multist._numbers import is_number
from multist._settings import logger
from multist._spacing import find_lattice

FINEST, COARSEST = 0.02, 20.0
"""Micrometres a pixel, from an oil immersion lens to an overview.

What lies outside is a printer's resolution or a mistake.
"""

_UNITS = {
    **dict.fromkeys(("m", "meter"), 1e6),
    **dict.fromkeys(("cm", "centimeter"), 1e4),
    **dict.fromkeys(("mm", "millimeter"), 1e3),
    **dict.fromkeys(("nm", "nanometer"), 1e-3),
    **dict.fromkeys(("in", "inch"), 25400.0),
    **dict.fromkeys(("µm", "μm", "um", r"\u00b5m", "micron", "microns", "micrometer", "micrometers"), 1.0),
}

VISIUM_PITCH = 100.0
"""Micrometres between the centres of neighbouring spots, on every Visium slide."""

_SPOT = (0.5, 0.75)
"""Diameter by pitch: 55 by 100 as printed, 65 as Space Ranger writes it, 70 in its first releases."""
_BIN = re.compile(r"square_0*(\d+)um$")
"""How readers of Visium HD name the bins of a size."""
_TOLERANCE = 0.03  # of the shape of a lattice: what turning and resampling leave of it


def unit_in_microns(unit: str) -> float | None:
    """Micrometres of a unit of length by its name; None of any other, such as ``"pixel"``."""
    return _UNITS.get(unit.strip().lower())


def is_plausible(microns: float) -> bool:
    """Whether a pixel of a slide can be as large; NaN, 0 and negative sizes are not."""
    return is_number(microns) and bool(FINEST <= microns <= COARSEST)


def check_microns(microns: float) -> None:
    """Raise a ValueError if the size that a user gives cannot be that of a pixel."""
    if not is_plausible(microns):
        raise ValueError(
            f"microns_per_pixel must be positive, from {FINEST:g} to {COARSEST:g} micrometres as slides have it; got "
            f"{microns!r}"
        )


def believed_microns(microns: float, source: str) -> float | None:
    """A size that the data states, or None, with a warning, where no slide has such pixels."""
    if is_plausible(microns):
        return float(microns)
    logger.warning(
        "%s says that a pixel is %g um wide; slides have %g to %g, so it is left out: give microns_per_pixel where it "
        "is needed",
        source,
        microns,
        FINEST,
        COARSEST,
    )
    return None


def lattice_microns(obs: pd.DataFrame, xy: np.ndarray, diameter: float, regions: Iterable[str] = ()) -> float | None:
    """Micrometres per unit of ``xy`` from a lattice of known pitch: Visium's, or bins that are named by their width.

    Space Ranger's ``array_row`` and ``array_col`` tell the lattice of however few spots. Without them it is seen in the
    distances between spots, and is Visium's if the spots are as wide as there.

    Parameters
    ----------
    obs
        Rows of one section.
    xy
        (n, 2) centres.
    diameter
        Of a spot, in the units of ``xy``; NaN where unknown.
    regions
        Names of the elements they belong to; ``"square_008um"`` tells the width of the bins of Visium HD.

    Returns
    -------
    The size; None where ``xy`` is no such lattice.
    """
    bins = _bin_width(regions)
    numbered = _numbered(obs, xy, bins)
    if numbered is not None or (bins is None and np.isnan(diameter)):
        return numbered
    lattice = find_lattice(xy)
    if lattice is None:
        return None
    if lattice.kind == "square":
        return None if bins is None else bins / lattice.pitch
    return VISIUM_PITCH / lattice.pitch if _SPOT[0] <= diameter / lattice.pitch <= _SPOT[1] else None


def _bin_width(regions: Iterable[str]) -> float | None:
    """Micrometres that all regions bear in their names."""
    widths = {match and float(match[1]) for match in map(_BIN.search, regions)}
    return widths.pop() if len(widths) == 1 else None


def _numbered(obs: pd.DataFrame, xy: np.ndarray, bins: float | None) -> float | None:
    """The size by Space Ranger's numbers of rows and columns.

    None where there are none, or ``xy`` are not their places.
    """
    if not {"array_row", "array_col"} <= set(obs.columns) or len(xy) < 3:
        return None
    places = np.column_stack([pd.to_numeric(obs[key], errors="coerce") for key in ("array_col", "array_row")])
    places = np.column_stack([places - places.mean(axis=0), np.ones(len(places))])
    if not np.isfinite(places).all() or np.linalg.matrix_rank(places) < 3:
        return None
    steps, *_ = np.linalg.lstsq(places, xy, rcond=None)
    column, row = steps[:2]
    widths = np.hypot(*column), np.hypot(*row)
    if min(widths) == 0 or np.abs(places @ steps - xy).max() > min(widths):
        return None  # the coordinates are no affine image of the lattice
    if abs(column @ row) / np.prod(widths) > _TOLERANCE:
        return None
    shape = widths[1] / widths[0]
    if abs(shape / np.sqrt(3) - 1) < _TOLERANCE:  # neighbours in a row are two columns apart
        pitch, measured = VISIUM_PITCH, 2 * np.sqrt(np.prod(widths) / np.sqrt(3))
    elif bins is not None and abs(shape - 1) < _TOLERANCE:
        pitch, measured = bins, np.sqrt(np.prod(widths))
    else:
        return None
    return float(pitch / measured)
