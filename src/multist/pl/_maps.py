"""One map a section, all on one scale, before the other panels of a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist.pl import _base
from multist.pl._layer import Layer, explain
from multist.pl._outlines import draw_outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multist.access import SpatialRecord

_IN_A_ROW = 4


def map_cells(n_maps: int, n_others: int) -> list[tuple[int, int]]:
    """Row and column of each panel: all in a row for one section, else the maps above the others."""
    if n_maps == 1:
        return [(0, i) for i in range(1 + n_others)]
    columns = min(_IN_A_ROW, max(n_maps, n_others))
    maps = [divmod(i, columns) for i in range(n_maps)]
    return [*maps, *((maps[-1][0] + 1, i) for i in range(n_others))]


def draw_maps(
    axes: list[Axes], record: SpatialRecord, layer: Layer, windows: list[_base.Window], *,
    size: float, alpha: float, cmap: str, title: str, outlined: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Draw a layer on every section, with one colour bar.

    Parameters
    ----------
    axes
        The maps come first.
    record, layer, windows
        What to draw, and the part of each section that is seen.
    size, alpha, cmap
        Diameter of the spots in true diameters, opacity, and matplotlib's name of the colour map.
    title
        Of the map of a single section; several have their names.
    outlined
        (n_obs,) codes between which lines are drawn; None for no lines.
    """
    for section, window in enumerate(windows):
        ax, rows = axes[section], np.flatnonzero(record.section == section)
        _base.draw_section(ax, record, section, window)
        diameter = size * _base.spot_diameters(record, rows)
        _base.draw_spots(ax, record.xy[rows], diameter, layer.rgba(rows, cmap, alpha))
        if outlined is not None:
            draw_outlines(ax, record.xy[rows], outlined[rows])
        ax.set_title(title if len(windows) == 1 else record.section_names[section])
    explain(axes[min(len(windows), _IN_A_ROW) - 1], layer, cmap=cmap, where="right", title="")
