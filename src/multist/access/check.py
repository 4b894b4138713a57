"""Checks of the coordinates of spots, whatever the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist._settings import logger
from multist._spacing import spacing
from multist.access.absent import listed
from multist.access.record import SpatialRecord
from multist.access.tables import of_section

if TYPE_CHECKING:
    import pandas as pd


_FARTHEST, NEAREST = 1e15, 1e-30  # beyond these, squares of distances lose their digits


def check_finite(xy: np.ndarray, names: pd.Index, where: str) -> None:
    """Raise a ValueError if a coordinate is NaN, infinite, or so large that squares of it would be."""
    bad = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{where} holds NaN or infinite coordinates for {len(bad)} of {len(xy)} observations "
            f"({listed(names[bad[:3]])}); remove these rows"
        )
    if len(xy) and np.abs(xy).max() > _FARTHEST:
        raise ValueError(f"{where} holds coordinates as large as {np.abs(xy).max():.3g}, which no image or tissue has")


def check_apart(record: SpatialRecord) -> None:
    """Raise a ValueError if all spots of a section lie at one place."""
    for code, name in enumerate(record.section_names):
        xy = record.xy[record.section == code]
        # what differs by rounding alone is one place
        if len(xy) > 1 and np.ptp(xy, axis=0).max() <= 1e-12 * np.abs(xy).max() + NEAREST:
            raise ValueError(
                f"all {len(xy)} spots{of_section(name)} lie at one place, "
                f"({xy[0, 0]:.6g}, {xy[0, 1]:.6g}), so nothing tells which are "
                "neighbours: give the coordinates of each spot"
            )


def warn_of_depth(record: SpatialRecord, key: str) -> None:
    """Warn of a third coordinate, which is left aside, where spots of a section lie over one another by it."""
    held = record.table.obsm.get(key)
    if not isinstance(held, np.ndarray) or held.ndim != 2 or held.shape[1] != 3:
        return
    places = held.astype(np.float64)
    for code, name in enumerate(record.section_names):
        here = places[record.section == code]
        depth = float(np.nanmax(here[:, 2], initial=-np.inf) - np.nanmin(here[:, 2], initial=np.inf))
        if depth > spacing(here[:, :2]):
            logger.warning(
                "the third column of obsm[%r]%s spans %.4g and is left aside, so that spots over one another are "
                "neighbours: name sections that lie so in a column of obs, and give it as library_key",
                key,
                of_section(name),
                depth,
                extra={"once": True},
            )
