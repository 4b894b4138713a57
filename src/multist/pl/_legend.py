"""The legend or colour bar that explains a layer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._settings import logger
from multist._words import shown
from multist.pl._canvas import MAX_WIDTH, inches_of
from multist.pl._places import name_boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multist.pl._layer import Layer
    from multist.pl._look import LegendLoc

_MAX_ROWS, _MAX_LINES = 12, 24
"""Entries of a legend one below the other, and lines of these."""
_MAX_LINE = 28
"""Letters of a line of an entry; longer names take several."""
_CHARACTER = 0.062
"""Inches of a letter at the legend's size of print."""
_BAR = 0.75
"""Inches of a colour bar with its numbers."""
_UNDER_BAR = {"loc": "lower left", "bbox_to_anchor": (1.0, 0.0)}
"""Place of what explains overlays beside numbers."""


def legend_inches(layer: Layer, where: LegendLoc, title: str = "", extra: tuple[str, ...] = ()) -> tuple[float, float]:
    """Width that a legend or colour bar needs beside a panel, and height that it needs below.

    Parameters
    ----------
    layer
        What is drawn.
    where
        The place of the legend.
    title
        Its heading.
    extra
        Further entries.
    """
    if where == "none":
        return 0.0, 0.0
    if layer.is_numeric:
        height = 0.5 + 0.17 * len(extra) + (0.15 if layer.unit else 0.0)
        if where == "bottom margin":
            return 0.0, height
        widest = max(map(len, extra), default=0)
        return max(_BAR + (0.15 if layer.unit else 0.0), _CHARACTER * len(title), 0.3 + _CHARACTER * widest), 0.0
    names = [*_entries(layer), *extra]
    if where == "right margin":
        return max(_columns(names) * (0.3 + _CHARACTER * _longest(names)), _CHARACTER * len(title)) + 0.1, 0.0
    if where == "bottom margin":
        return 0.0, 0.17 * (1 + -(-len(_lines(names)) // min(3, _columns_below(names, MAX_WIDTH))))
    return 0.0, 0.0


def explain(
    ax: Axes, layer: Layer, where: LegendLoc, *, title: str = "", extra: dict[str, dict[str, Any]] | None = None
) -> None:
    """Add the legend or the colour bar of a layer beside or below a panel.

    Parameters
    ----------
    ax
        The panel.
    layer
        What was drawn.
    where
        The place of the legend. The names that ``"on data"`` asks for are those of :func:`write_names`.
    title
        Heading; may be empty.
    extra
        Further entries: label to the properties of its marker.
    """
    if where == "none":
        return
    if layer.is_numeric:
        below = where == "bottom margin"
        lines = 0.17 * len(extra or {}) / inches_of(ax)[1]
        _color_bar(ax, layer, below=below, title=title, low=max(0.15, lines + 0.05))
        if extra:
            bar = 0.07 + (0.27 + 0.15 * bool(title or layer.unit)) / inches_of(ax)[1]
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, -bar)} if below else _UNDER_BAR
            _legend(ax, {}, below=below, title="", extra=extra, place=place)
    elif where != "on data":
        if layer.is_crowded:
            logger.warning(
                "%s has %d categories, too many for a legend, which is left out: choose some by groups=, or draw a "
                "column that puts them together",
                shown(layer.key),
                len(layer.drawn_colors),
            )
        _legend(ax, _entries(layer), below=where == "bottom margin", title=title, extra=extra or {})


def _entries(layer: Layer) -> dict[str, str]:
    """What the legend of a map lists, long names in several lines; nothing if there is too much."""
    entries = {} if layer.is_crowded else layer.entries()
    return {in_lines(name): color for name, color in entries.items()}


def in_lines(name: str) -> str:
    """A long name; a short one keeps its blanks, in which alone it may differ from another."""
    return name if len(name) <= _MAX_LINE else textwrap.fill(name, _MAX_LINE, break_on_hyphens=False)


def n_lines(names: Iterable[str]) -> int:
    """How many lines names take, written one below the other."""
    return sum(1 + in_lines(name).count("\n") for name in names)


def _lines(names: Sequence[str]) -> list[str]:
    return [line for name in names for line in name.split("\n")]


def _longest(names: Sequence[str]) -> int:
    """Letters of the longest line."""
    return max(map(len, _lines(names)), default=0)


def _columns_below(names: Sequence[str], width: float) -> int:
    """Of a legend below a panel of so many inches."""
    return max(1, int(width / (0.3 + _CHARACTER * _longest(names))))


def _columns(names: Sequence[str]) -> int:
    """Of a legend beside a panel."""
    return max(-(-len(names) // _MAX_ROWS), -(-len(_lines(names)) // _MAX_LINES))


def _color_bar(ax: Axes, layer: Layer, *, below: bool, title: str, low: float) -> None:
    """Draw the bar; at the right it begins ``low`` panels above the panel's end."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import MaxNLocator

    # axes inside the panel's own, so that they move with it and the grid stays even
    place = ax.inset_axes((0.15, -0.07, 0.7, 0.035) if below else (1.03, low, 0.035, 0.85 - low))
    norm = layer.norm()
    finite = layer.values[np.isfinite(layer.values)]
    beyond = (len(finite) > 0 and finite.min() < norm.vmin, len(finite) > 0 and finite.max() > norm.vmax)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    bar = ax.figure.colorbar(
        ScalarMappable(norm, layer.cmap),
        cax=place,
        orientation="horizontal" if below else "vertical",
        label=", ".join(filter(None, (title, layer.unit))),
        extend=extend,
    )
    bar.locator = MaxNLocator(4)
    bar.update_ticks()
    bar.ax.tick_params(length=2, pad=2)
    bar.outline.set_visible(False)


def _legend(
    ax: Axes,
    entries: dict[str, str],
    *,
    below: bool,
    title: str,
    extra: dict[str, dict[str, Any]],
    place: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Draw the legend, beside or below the panel unless ``place`` says where."""
    from matplotlib.lines import Line2D

    usual: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6.5}
    handles = [Line2D([], [], color=color, label=label, markeredgewidth=0, **usual) for label, color in entries.items()]
    handles += [Line2D([], [], label=label, **(usual | marker)) for label, marker in extra.items()]
    if not handles:
        return
    usual_place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    labels = [str(handle.get_label()) for handle in handles]
    usual_place["ncols"] = _columns(labels)
    if below:
        width = ax.get_window_extent().width / ax.figure.dpi
        columns = min(_columns_below(labels, width), len(handles))
        usual_place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": columns}
    ax.legend(
        handles=handles,
        frameon=False,
        title=title or None,
        handletextpad=0.2,
        labelspacing=0.3,
        columnspacing=0.8,
        handlelength=1.4,
        borderaxespad=0.3,
        **(usual_place | dict(place)),
    )


def write_names(ax: Axes, layer: Layer, xy: np.ndarray, rows: np.ndarray) -> None:
    """Write the name of each category at one of its spots, near their middle and free of the other names."""
    from matplotlib import patheffects

    labels = layer.values.iloc[rows].astype(object).to_numpy()
    halo = [patheffects.withStroke(linewidth=2.0, foreground="white")]
    for name, (x, y, _, _) in name_boxes(ax, xy, labels, list(layer.colors or {})).items():
        ax.text(x, y, in_lines(str(name)), ha="center", va="center", fontweight="bold", path_effects=halo, zorder=6)
