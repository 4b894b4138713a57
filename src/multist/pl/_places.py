"""Where names and numbers go on a map, so that they cover none of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from multist.pl._base import points_per_unit
from multist.pl._names import fitted, longest, n_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTER, _DIGIT, _LINE = 4.9, 5.6, 9.5
"""Widths of a letter and of a bold digit, and height of a line of print in points."""
_FRAME = 11.5, 5.6
"""Width and height in points that a frame adds to a name."""
_MAX_CANDIDATES = 400
"""Spots that are tried for each name."""
_ANGLES = np.deg2rad(45 + 30 * np.array([0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6]))
_DIRECTIONS = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
"""Where a number may stand beside its ring; rather above at the right."""
_FURTHER = 0.0, 8.0, 16.0, 24.0
"""Points by which a number may be moved away from its ring."""


def name_boxes(
    ax: Axes, xy: np.ndarray, labels: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Place and size of each domain's name: a spot of its own near its middle, free of other names if that can be.

    Long names take several lines; where they would cover each other, lines get shorter and names lose their middle.

    Parameters
    ----------
    ax
        Panel with its limits set, drawn with equal scales.
    xy, labels
        (n, 2) places of the spots and (n,) names of their domains.
    names
        What is to be written; names without a spot are left out.

    Returns
    -------
    Name to (x, y, width, height) in units of the axes, and to what is written.
    """
    points = points_per_unit(ax)
    # a name that stuck out would make the panel smaller, and with it the room for all
    low, high = np.sort([ax.get_xlim(), ax.get_ylim()], axis=1).T
    candidates: dict[str, np.ndarray] = {}
    for name in (name for name in names if (labels == name).any()):
        places = xy[labels == name]
        near = np.argsort(np.linalg.norm(places - np.median(places, axis=0), axis=1), kind="stable")
        candidates[name] = places[near[:: -(-len(near) // _MAX_CANDIDATES)]]
    smallest_first = sorted(candidates, key=lambda name: (labels == name).sum())
    boxes: dict[str, np.ndarray] = {}

    def all_free(written: list[str]) -> bool:
        boxes.clear()
        free = True
        for name, text in zip(smallest_first, written, strict=True):
            box = (np.array([_LETTER * longest([text]), _LINE * n_lines([text])]) + _FRAME) / points
            margin = np.minimum(box, high - low) / 2
            places = np.clip(candidates[name], low + margin, high - margin)
            room = _room(places, box, list(boxes.values()))
            free &= bool((room >= 0).any())
            boxes[name] = np.concatenate([places[np.argmax(room >= 0 if (room >= 0).any() else room)], box])
        return free

    written = dict(zip(smallest_first, fitted(smallest_first, all_free), strict=True))
    return {name: boxes[name] for name in candidates}, written


def _room(places: np.ndarray, box: np.ndarray, taken: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) least gap between a box around each of ``places`` and those taken; negative where they overlap."""
    gaps = [(np.abs(places - other[:2]) - (box + other[2:]) / 2).max(axis=1) for other in taken]
    return np.min(gaps, axis=0) if gaps else np.full(len(places), np.inf)


def beside_rings(ax: Axes, xy: np.ndarray, diameter: float, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Places of labels beside rings, where they cover no ring, none of each other, and stay in the panel.

    Parameters
    ----------
    ax
        Panel with its limits set, drawn with equal scales.
    xy, diameter
        (n, 2) centres of the rings, and their diameter in units of the axes.
    labels
        What is written beside each.

    Returns
    -------
    (n, 2) offsets of the labels' centres from those of their rings in points, as near as can be, and (n,) whether a
    label had to be moved away from its ring. Where all places are taken, it is the one that covers least.
    """
    points = points_per_unit(ax)
    x, y = ax.get_xlim(), ax.get_ylim()
    # in points from the panel's lower left corner, to which the limits point whichever way the axes run
    centres = points * np.abs(xy - [x[0], y[0]])
    panel = points * np.abs([x[1] - x[0], y[1] - y[0]])
    rings = [np.array([*centre, points * diameter, points * diameter]) for centre in centres]
    boxes: list[np.ndarray] = []
    chosen = []
    for i, (centre, label) in enumerate(zip(centres, labels, strict=True)):
        box = np.array([_DIGIT * len(label), _LINE])
        # so far along its direction the box touches the ring
        touching = points * diameter / 2 + np.abs(_DIRECTIONS) @ box / 2
        tried = np.concatenate([_DIRECTIONS * (touching + further)[:, None] for further in _FURTHER])
        taken = [*rings[:i], *rings[i + 1 :], *boxes]
        room = np.minimum(_room(centre + tried, box, taken), _inside(centre + tried, box, panel))
        chosen.append(int(np.argmax(room >= 0)) if (room >= 0).any() else int(np.argmax(room)))
        boxes.append(np.concatenate([centre + tried[chosen[-1]], box]))
    offsets = np.array([box[:2] - centre for box, centre in zip(boxes, centres, strict=True)])
    return offsets, np.array(chosen) >= len(_DIRECTIONS)


def _inside(places: np.ndarray, box: np.ndarray, panel: np.ndarray) -> np.ndarray:
    """(n,) least gap between a box around each of ``places`` and the panel's edges; negative where it lies outside."""
    return (np.minimum(places, panel - places) - box / 2).min(axis=1)
