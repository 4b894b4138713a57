"""Lines between the domains on the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 1.6
"""Spacings beyond which two spots are no neighbours, whatever lies between them."""
_LONG = 1.2
"""Spacings beyond which a facet at the rim runs out of the tissue; on a square lattice all others measure one."""


def outlines(xy: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Facets between the Voronoi cells of spots of different domains.

    Parameters
    ----------
    xy
        (n, 2) places of one section.
    codes
        (n,) domain of each spot, -1 where it has none; there is no line around these.

    Returns
    -------
    (m, 2, 2) ends of the facets; none where spots are too few or all in a row.
    """
    from scipy.spatial import QhullError, Voronoi, cKDTree

    nothing = np.empty((0, 2, 2))
    if len(xy) < 5:
        return nothing
    try:
        cells = Voronoi(xy)
    except QhullError:
        return nothing
    spacing = float(np.median(cKDTree(xy).query(xy, k=5)[0][:, -1]))
    one, two = cells.ridge_points.T
    ends = np.array(cells.ridge_vertices)
    between = (codes[one] >= 0) & (codes[two] >= 0) & (codes[one] != codes[two]) & (ends >= 0).all(axis=1)
    between &= np.linalg.norm(xy[one] - xy[two], axis=1) < _FAR * spacing
    facets = cells.vertices[ends[between]]
    return facets[np.linalg.norm(facets[:, 0] - facets[:, 1], axis=1) < _LONG * spacing]


def draw_outlines(ax: Axes, xy: np.ndarray, codes: np.ndarray) -> None:
    """Draw the lines, light with a dark rim so that they show on any colour."""
    from matplotlib import patheffects
    from matplotlib.collections import LineCollection

    rim = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    lines = LineCollection(
        list(outlines(xy, codes)), colors="white", linewidths=1.1, capstyle="round", path_effects=rim, zorder=3
    )
    ax.add_collection(lines)
