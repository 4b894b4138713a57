"""Checks of coordinates that both kinds of input share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist.access.record import SectionImage
from multist.access.tables import listed

if TYPE_CHECKING:
    import pandas as pd


def check_finite(xy: np.ndarray, names: pd.Index, where: str) -> None:
    """Raise a ValueError if a coordinate is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{where} holds NaN or infinite coordinates for {len(bad)} of {len(xy)} observations "
            f"({listed(names[bad[:3]])}); remove these rows"
        )


def check_on_image(xy: np.ndarray, diameter: np.ndarray, image: SectionImage, names: pd.Index, section: str) -> None:
    """Raise a ValueError if a spot lies off the image with its whole disc (its centre, where the diameter is unknown)."""
    height, width = image.shape
    outside = np.maximum(np.maximum(-xy, xy - [width, height]), 0)
    off = np.flatnonzero(np.hypot(*outside.T) > np.nan_to_num(diameter) / 2)
    if len(off) == 0:
        return
    (left, top), (right, bottom) = xy.min(axis=0), xy.max(axis=0)
    advice = (
        "remove these rows, or go without the image"
        if len(off) < len(xy) / 2
        else "check the scale factor or the coordinate system that links them"
    )
    raise ValueError(
        f"{len(off)} of {len(xy)} spots of section {section!r} lie off image {image.key!r} ({listed(names[off[:3]])}...): "
        f"x from {left:.0f} to {right:.0f}, y from {top:.0f} to {bottom:.0f} on {width} x {height} pixels; {advice}"
    )
