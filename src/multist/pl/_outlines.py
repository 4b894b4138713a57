"""Lines between the domains on the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist._facets import border_facets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OBTUSE = -0.4
"""Cosine of the angle from which on a corner is cut; a spot whose cell is more pointed might lie beyond the cut."""
_STRAIGHT, _RIGHT = -0.98, 1e-3
"""Cosines up to which a line goes straight on, and around 0 of the corners of bins."""


def draw_outlines(ax: Axes, xy: np.ndarray, codes: np.ndarray) -> None:
    """Draw the lines, light with a dark rim so that they show on any colour."""
    from matplotlib.collections import LineCollection

    pieces = list(rounded(border_facets(xy, codes).ends))
    # all rims lie below all lines, so that lines of many pieces are not cut into a chain
    lines = LineCollection(
        pieces + pieces,
        colors=["black"] * len(pieces) + ["white"] * len(pieces),
        linewidths=[1.6] * len(pieces) + [0.7] * len(pieces),
        capstyle="round",
        rasterized=len(pieces) > 5000,
        zorder=3,
    )
    ax.add_collection(lines, autolim=False)


def rounded(ends: np.ndarray) -> np.ndarray:
    """Facets as lines that run from middle to middle, which lie between two spots, without the corners between these.

    Corners stay where three lines meet, and where they are right, as those of bins, or sharp. A line that ends at the
    edge of the tissue ends in the middle of its last facet if this one turns away, and at its end if it does not.

    Parameters
    ----------
    ends
        (m, 2, 2) both ends of each facet; ends that are one are equal.

    Returns
    -------
    (k, 2, 2) both ends of each piece.
    """
    if not len(ends):
        return ends
    middle = ends.mean(axis=1)
    # two halves of each facet, one after the other, from a corner to the middle
    corners, corner = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    corner, facet = corner.ravel(), np.repeat(np.arange(len(ends)), 2)
    lines = np.bincount(corner)[corner]
    pairs = np.argsort(corner, kind="stable")
    pairs = pairs[lines[pairs] == 2].reshape(-1, 2)
    toward = middle[facet] - ends.reshape(-1, 2)
    toward = toward / np.linalg.norm(toward, axis=1)[:, None]
    cosine = np.full(len(corner), np.nan)
    cosine[pairs] = (toward[pairs[:, 0]] * toward[pairs[:, 1]]).sum(axis=1)[:, None]
    cut = cosine < _OBTUSE
    other = cosine.reshape(-1, 2)[:, ::-1].ravel()
    stub = (lines == 1) & (other > _STRAIGHT) & (np.abs(other) > _RIGHT)
    halves = np.stack([corners[corner], middle[facet]], axis=1)[~cut & ~stub]
    across = middle[facet[pairs[cut[pairs[:, 0]]]]]
    return np.concatenate([halves, across])
