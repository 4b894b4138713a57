"""The legend or colour bar that explains a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._settings import logger
from multist._words import shown
from multist.pl._canvas import halo, inches_of
from multist.pl._names import LETTER, fitted, in_lines, longest, n_lines
from multist.pl._places import name_boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multist.pl._layer import Layer
    from multist.pl._look import LegendLoc

_MAX_ROWS, _MAX_LINES = 12, 24
"""Entries of a legend one below the other, and lines of these."""
_ENTRY, _LEAST = 0.17, 0.8
"""Inches of a line of an entry below a panel, and of what a figure must keep for the panel itself."""
_MOST_BESIDE, _MOST_BELOW = 5.5, 5.5
"""Inches of a legend on a page."""
_BAR = 0.75
"""Inches of a colour bar with its numbers."""
_UNDER_BAR = {"loc": "lower left", "bbox_to_anchor": (1.0, 0.0)}
"""Place of what explains overlays beside numbers."""


def legend_width(layer: Layer, where: LegendLoc, title: str, extra: Sequence[str]) -> float:
    """Inches that a legend or colour bar needs beside a panel.

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
    if where == "none" or where == "bottom margin" or (where == "on data" and not layer.is_numeric):
        return 0.0
    if layer.is_numeric:
        entries = 0.3 + LETTER * longest(map(in_lines, extra))
        return max(_BAR + (0.15 if layer.unit else 0.0), LETTER * len(title), entries)
    return max(_inches_beside(_beside([*_entries(layer), *extra])), LETTER * len(title)) + 0.1


def least_height(layer: Layer, where: LegendLoc, title: str, extra: Sequence[str]) -> float:
    """Inches of height that a panel needs for what is beside it, described as in :func:`legend_width`."""
    if layer.is_numeric or where != "right margin":
        return 0.0
    names = _beside([*_entries(layer), *extra])
    return 0.15 * (n_lines(names) / max(1, _columns(names)) + bool(title) + 1)


def legend_height(layer: Layer, where: LegendLoc, extra: Sequence[str], width: float) -> float:
    """Inches that a legend or colour bar needs below a panel.

    Parameters
    ----------
    layer, where, extra
        As in :func:`legend_width`.
    width
        Inches of the panel.
    """
    if where != "bottom margin":
        return 0.0
    if layer.is_numeric:
        return 0.5 + _ENTRY * n_lines(map(in_lines, extra)) + (0.15 if layer.unit else 0.0)
    names = _below([*_entries(layer), *extra], width, _MOST_BELOW)
    return _ENTRY * (1 + -(-n_lines(names) // min(3, _columns_below(names, width))))


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
        lines = _ENTRY * n_lines(map(in_lines, extra or {})) / inches_of(ax)[1]
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
    """What the legend of a map lists; nothing if there is too much."""
    return {} if layer.is_crowded else layer.entries()


def _beside(names: Sequence[str]) -> list[str]:
    """Names as a legend beside a panel writes them."""
    return fitted(names, lambda written: _inches_beside(written) <= _MOST_BESIDE)


def _inches_beside(names: Sequence[str]) -> float:
    return _columns(names) * (0.3 + LETTER * longest(names))


def _below(names: Sequence[str], width: float, room: float) -> list[str]:
    """Names as a legend below a panel of so many inches writes them, in so many inches of height."""
    return fitted(names, lambda written: _ENTRY * n_lines(written) <= room * _columns_below(written, width))


def _columns_below(names: Sequence[str], width: float) -> int:
    """Of a legend below a panel of so many inches."""
    return max(1, int(width / (0.3 + LETTER * longest(names))))


def _columns(names: Sequence[str]) -> int:
    """Of a legend beside a panel."""
    return max(-(-len(names) // _MAX_ROWS), -(-n_lines(names) // _MAX_LINES))


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
    place: dict[str, Any] | None = None,
) -> None:
    """Draw the legend, beside or below the panel unless ``place`` says where."""
    from matplotlib.lines import Line2D

    usual: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6.5}
    handles = [Line2D([], [], color=color, markeredgewidth=0, **usual) for color in entries.values()]
    handles += [Line2D([], [], **(usual | marker)) for marker in extra.values()]
    if not handles:
        return
    names, width = [*entries, *extra], inches_of(ax)[0]
    labels = _below(names, width, _room_below(ax)) if below else _beside(names)
    usual_place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "ncols": _columns(labels)}
    if below:
        columns = min(_columns_below(labels, width), len(handles))
        usual_place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": columns}
    ax.legend(
        handles,
        labels,
        frameon=False,
        title=title or None,
        handletextpad=0.2,
        labelspacing=0.3,
        columnspacing=0.8,
        handlelength=1.4,
        borderaxespad=0.3,
        **(usual_place | (place or {})),
    )


def _room_below(ax: Axes) -> float:
    """Inches that panels can leave to what is below them; without a layout they leave none, and shorter is no cure."""
    figure, place = ax.figure.get_figure(root=True), ax.get_subplotspec()
    rows = 1 if place is None else place.get_gridspec().nrows
    return np.inf if figure.get_layout_engine() is None else figure.get_figheight() - rows * _LEAST


def write_names(ax: Axes, layer: Layer, xy: np.ndarray, rows: np.ndarray) -> None:
    """Write the name of each category at one of its spots, near their middle and free of the other names."""
    labels = layer.values.iloc[rows].astype(object).to_numpy()
    boxes, written = name_boxes(ax, xy, labels, list(layer.colors))
    for name, (x, y, _, _) in boxes.items():
        text = ax.text(x, y, written[name], color="black", ha="center", va="center", fontweight="bold", zorder=6)
        text.set_path_effects(halo(2.0))
