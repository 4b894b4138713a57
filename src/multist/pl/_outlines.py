"""Lines between the domains on the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FAR = 1.6
"""Spacings beyond which two spots are no neighbours, whatever lies between them."""
_MANY = 20_000
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
    distance, neighbours = cKDTree(xy).query(xy, k=min(9, len(xy)))
    spacing = float(np.median(distance[:, 4]))
    if len(xy) > _MANY:
        # far from all borders nothing is drawn; facets need all spots around them to be true
        near = (codes[neighbours] != codes[:, None]).any(axis=1)
        for _ in range(2):
            near[neighbours[near].ravel()] = True
        xy, codes = xy[near], codes[near]
    try:
        cells = Voronoi(xy)
    except (QhullError, ValueError):
        return nothing
    one, two = cells.ridge_points.T
    ends = np.array(cells.ridge_vertices)
    between = (codes[one] >= 0) & (codes[two] >= 0) & (codes[one] != codes[two]) & (ends >= 0).all(axis=1)
    between &= np.linalg.norm(xy[one] - xy[two], axis=1) < _FAR * spacing
    facets = cells.vertices[ends[between]]
    return facets[np.linalg.norm(facets[:, 0] - facets[:, 1], axis=1) < _LONG * spacing]


def draw_outlines(ax: Axes, xy: np.ndarray, codes: np.ndarray) -> None:
    """Draw the lines, light with a dark rim so that they show on any colour."""
    from matplotlib.collections import LineCollection

    facets = list(outlines(xy, codes))
    # all rims lie below all lines, so that lines of many facets are not cut into a chain
    lines = LineCollection(
        facets + facets,
        colors=["black"] * len(facets) + ["white"] * len(facets),
        linewidths=[1.6] * len(facets) + [0.7] * len(facets),
        capstyle="round",
        rasterized=len(facets) > 5000,
        zorder=3,
    )
    ax.add_collection(lines, autolim=False)
