"""Whether spots lie on a lattice."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_MIN_SPOTS = 8
_REGULAR_SHARE = 0.6
_MIN_ORDER = 0.5


def lattice_kind(xy: np.ndarray, *, visium: bool = False) -> str:
    """``"hexagonal"``, ``"square"`` or ``""``.

    A lattice has nearest neighbours at one distance, and bonds whose directions, the same all over the section, add up: the
    absolute mean of ``exp(i k angle)`` is near 1 for k = 6 or 4 (the global bond-orientational order of Halperin and Nelson, 1978).

    Parameters
    ----------
    xy
        (n, 2) places of one section.
    visium
        Whether spots that are too few to tell are on Visium's lattice.
    """
    if len(xy) < _MIN_SPOTS:
        return "hexagonal" if visium else ""
    step, regular = _bonds(xy)
    if regular < _REGULAR_SHARE:
        return ""
    six, four = (abs(_order(step, k)) for k in (6, 4))
    if max(six, four) < _MIN_ORDER:
        return ""
    return "hexagonal" if six > four else "square"


def lattice_steps(xy: np.ndarray, kind: str) -> np.ndarray:
    """(6 or 4, 2) vectors from a spot of a lattice to its neighbours.

    Parameters
    ----------
    xy
        (n, 2) places of one section.
    kind
        What :func:`lattice_kind` says they are, ``"hexagonal"`` or ``"square"``.
    """
    k = 6 if kind == "hexagonal" else 4
    step, _ = _bonds(xy)
    angle = np.angle(_order(step, k)) / k + np.arange(k) * 2 * np.pi / k
    pitch = np.median(np.linalg.norm(step, axis=1))
    return pitch * np.column_stack([np.cos(angle), np.sin(angle)])


def _bonds(xy: np.ndarray) -> tuple[np.ndarray, float]:
    """(m, 2) vectors between neighbours, and the share of spots whose nearest neighbour is at the usual distance."""
    distance, neighbor = cKDTree(xy).query(xy, k=7)
    pitch = np.median(distance[:, 1])
    regular = np.abs(distance[:, 1] / pitch - 1) < 0.1 if pitch > 0 else np.zeros(len(xy), dtype=bool)
    start, rank = np.nonzero(distance[:, 1:] < 1.25 * pitch)
    return xy[neighbor[start, rank + 1]] - xy[start], float(regular.mean())


def _order(step: np.ndarray, k: int) -> complex:
    return complex(np.exp(1j * k * np.arctan2(step[:, 1], step[:, 0])).mean()) if len(step) else 0j
