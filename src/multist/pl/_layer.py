"""One column of the spots as it is drawn: its colours, and the legend or colour bar that explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._palette import MISSING_COLOR
from multist.pl import _colors

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_LEGEND_ROWS = 16
_CHARACTER = 0.085
"""Inches, of matplotlib's usual font."""
_MISSING_LABEL = "not labelled"


@dataclass(frozen=True)
class Layer:
    """A column to draw.

    Attributes
    ----------
    key
        Name of the column.
    values
        (n_obs,) categorical of strings, or floats.
    colors
        Category to colour; None for numbers.
    """

    key: str
    values: pd.Series
    colors: dict[str, str] | None

    def entries(self) -> dict[str, str]:
        """What the legend lists: the categories, and one entry for missing values if there are any."""
        missing = {_MISSING_LABEL: MISSING_COLOR} if self.values.isna().any() else {}
        return {**(self.colors or {}), **missing}

    def legend_inches(self, where: str | None, title: str) -> tuple[float, float]:
        """Width and height that a legend or colour bar needs beside or below a panel."""
        if where is None:
            return 0.0, 0.0
        if self.colors is None:
            return (1.0, 0.0) if where == "right" else (0.0, 0.6)
        entries = self.entries()
        if where == "right":
            width = -(-len(entries) // _LEGEND_ROWS) * (0.45 + _CHARACTER * max(map(len, entries)))
            return max(width, _CHARACTER * len(title)) + 0.1, 0.0
        return 0.0, 0.2 * (1 + -(-len(entries) // 4))

    def norm(self) -> Normalize:
        """The range of the numbers, over all sections."""
        from matplotlib.colors import Normalize

        finite = self.values[np.isfinite(self.values)]
        return Normalize(finite.min(), finite.max()) if len(finite) else Normalize(0, 1)

    def rgba(self, rows: np.ndarray, cmap: str, alpha: float) -> np.ndarray:
        """(len(rows), 4) colours; missing values are grey and fainter than the others."""
        import matplotlib as mpl
        from matplotlib.colors import to_rgba, to_rgba_array

        values = self.values.iloc[rows]
        if self.colors is None:
            rgba = mpl.colormaps[cmap](self.norm()(values.to_numpy()))
        elif self.colors:
            rgba = to_rgba_array(list(self.colors.values()))[values.cat.codes.to_numpy()]
        else:
            rgba = np.zeros((len(rows), 4))
        rgba[:, 3] = alpha
        rgba[values.isna().to_numpy()] = to_rgba(MISSING_COLOR, 0.5 * alpha)
        return rgba


def column_layers(table: AnnData, keys: list[str], truth_key: str | None) -> list[Layer]:
    """Columns of ``table.obs`` as layers, the truth last and in the colours of the first that has categories.

    Parameters
    ----------
    table
        Annotated spots.
    keys
        Columns of results.
    truth_key
        Column of known regions; whole numbers are taken for names.

    Returns
    -------
    One layer per column.

    Raises
    ------
    KeyError
        If a column does not exist; the error lists those that do.
    """
    layers = []
    for key in keys:
        values = _colors.obs_values(table, key, "color")
        categorical = isinstance(values.dtype, pd.CategoricalDtype)
        layers.append(Layer(key, values, _colors.category_colors(table, key, values) if categorical else None))
    if truth_key is None:
        return layers
    truth = _colors.obs_values(table, truth_key, "truth_key", whole_numbers_are_categories=True)
    colors = None
    if isinstance(truth.dtype, pd.CategoricalDtype):
        result = next((layer for layer in layers if layer.colors), None)
        if result is None or result.colors is None:
            colors = _colors.category_colors(table, truth_key, truth)
        else:
            colors = _colors.matched_colors(truth, result.values, result.colors)
    return [*layers, Layer(truth_key, truth, colors)]


def explain(ax: Axes, layer: Layer, *, cmap: str, where: str, title: str) -> None:
    """Add the legend or the colour bar of a layer beside or below a panel.

    Parameters
    ----------
    ax
        The panel.
    layer
        What was drawn.
    cmap
        Colour map of numbers.
    where
        ``"right"`` or ``"bottom"``.
    title
        Heading; may be empty.
    """
    from matplotlib.cm import ScalarMappable

    if layer.colors is None:
        # axes inside the panel's own, so that they move with it and the grid stays even
        place = ax.inset_axes((1.03, 0.2, 0.035, 0.6) if where == "right" else (0.2, -0.07, 0.6, 0.035))
        vertical = "vertical" if where == "right" else "horizontal"
        bar = ax.figure.colorbar(ScalarMappable(layer.norm(), cmap), cax=place, orientation=vertical, label=title)
        bar.outline.set_visible(False)
        return
    _legend(ax, layer.entries(), where=where, title=title)


def _legend(ax: Axes, entries: dict[str, str], *, where: str, title: str) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="none", marker="o", markersize=8, markeredgewidth=0, color=color, label=label)
        for label, color in entries.items()
    ]
    place: dict[str, Any]
    if where == "right":
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": -(-len(entries) // _LEGEND_ROWS)}
    else:
        width = ax.get_window_extent().width / ax.figure.dpi
        columns = int(width / (0.4 + _CHARACTER * max(map(len, entries), default=0)))
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": max(1, min(columns, len(entries)))}
    ax.legend(
        handles=handles,
        frameon=False,
        title=title or None,
        handletextpad=0.3,
        labelspacing=0.4,
        columnspacing=1.0,
        **place,
    )
