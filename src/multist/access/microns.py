"""How large a pixel is, as far as someone says so and it can be true."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd

logger = logging.getLogger("multist")

FINEST, COARSEST = 0.02, 20.0
"""Micrometres a pixel, from an oil immersion lens to an overview; what lies outside is a printer's resolution or a mistake."""

_VISIUM_PITCH = 100.0  # micrometres between the centres of neighbouring spots
_BIN = re.compile(r"square_0*(\d+)um")
_TOLERANCE = 0.03  # of the shape of a lattice: what turning and resampling leave of it


def is_plausible(microns: float) -> bool:
    """Whether a pixel of a slide can be as large; NaN, 0 and negative sizes are not."""
    return bool(FINEST <= microns <= COARSEST)


def check_microns(microns: float) -> None:
    """Raise a ValueError if the size that a user gives cannot be that of a pixel."""
    if not is_plausible(microns):
        raise ValueError(
            f"microns_per_pixel must be positive, from {FINEST:g} to {COARSEST:g} micrometres as slides have it; got {microns}"
        )


def believed_microns(microns: float, source: str) -> float | None:
    """A size that the data states, or None, with a warning, where no slide has such pixels."""
    if is_plausible(microns):
        return float(microns)
    logger.warning(
        "%s says that a pixel is %g um wide; slides have %g to %g, so it is left out: give microns_per_pixel where it is needed",
        source,
        microns,
        FINEST,
        COARSEST,
    )
    return None


def lattice_microns(obs: pd.DataFrame, xy: np.ndarray, region: str = "") -> float | None:
    """Micrometres per unit of ``xy`` from the numbered lattice of Visium, whose pitch is known.

    Parameters
    ----------
    obs
        Rows of one section, with Space Ranger's ``array_row`` and ``array_col``.
    xy
        (n, 2) centres.
    region
        Name of the element they belong to; ``"square_008um"`` tells the width of the bins of Visium HD.

    Returns
    -------
    The size; None where there are no such columns, or ``xy`` is no such lattice.
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
    bins = _BIN.search(region)
    if abs(shape / np.sqrt(3) - 1) < _TOLERANCE:  # neighbours in a row are two columns apart
        pitch, measured = _VISIUM_PITCH, 2 * np.sqrt(np.prod(widths) / np.sqrt(3))
    elif bins and abs(shape - 1) < _TOLERANCE:
        pitch, measured = float(bins[1]), np.sqrt(np.prod(widths))
    else:
        return None
    return float(pitch / measured)
