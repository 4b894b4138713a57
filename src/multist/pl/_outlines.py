"""Lines between the domains on the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist._facets import border_facets

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_outlines(ax: Axes, xy: np.ndarray, codes: np.ndarray) -> None:
    """Draw the lines, light with a dark rim so that they show on any colour."""
    from matplotlib.collections import LineCollection

    facets = list(border_facets(xy, codes).ends)
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
