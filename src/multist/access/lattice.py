"""Whether spots lie on a lattice, and on which."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

_SAMPLE, _PART = 2000, 20_000
"""Spots that are looked at, and of how many around the middle."""
_EVEN = 0.04
"""Nine of ten distances to the nearest spot differ from their median by less than this share."""
_NEAR = 1.2
"""Neighbours lie within so many pitches; on a square lattice the diagonal ones, at 1.41, do not."""


class Lattice(NamedTuple):
    """Evenly laid spots.

    Attributes
    ----------
    kind
        ``"hexagonal"`` as on Visium, or ``"square"`` as bins are.
    pitch
        Distance between neighbours, in the units of the places.
    angle
        Direction of a row in radians, from the x axis; of a square lattice between -pi/4 and pi/4.
    """

    kind: Literal["hexagonal", "square"]
    pitch: float
    angle: float


def find_lattice(xy: np.ndarray) -> Lattice | None:
    """The lattice on which (n, 2) places lie; None if they are scattered, or fewer than nine."""
    from scipy.spatial import cKDTree

    if len(xy) < 9:
        return None
    if len(xy) > _PART:
        away = np.abs(xy - np.median(xy, axis=0)).max(axis=1)
        xy = xy[np.argpartition(away, _PART)[:_PART]]
    sample = xy[np.linspace(0, len(xy) - 1, min(len(xy), _SAMPLE)).astype(int)]
    distance, neighbour = cKDTree(xy).query(sample, k=7)
    nearest = distance[:, 1]
    pitch = float(np.median(nearest))
    if pitch == 0 or np.quantile(np.abs(nearest / pitch - 1), 0.9) > _EVEN:
        return None
    # spots at the rim lack some of their neighbours
    count = np.quantile((distance[:, 1:] < _NEAR * pitch).sum(axis=1), 0.75)
    if count not in (4, 6):
        return None
    step = xy[neighbour[:, 1]] - sample
    turns = int(count)
    angle = np.angle(np.exp(1j * turns * np.arctan2(step[:, 1], step[:, 0])).sum()) / turns
    return Lattice("square" if count == 4 else "hexagonal", pitch, float(angle))
