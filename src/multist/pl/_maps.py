"""One map a section, all on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist._keys import IMAGE_WEIGHT_SUFFIX
from multist.pl import _base
from multist.pl._canvas import LABEL, panels
from multist.pl._layer import Layer
from multist.pl._legend import explain, write_names
from multist.pl._outlines import draw_outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multist.pl._canvas import Canvas
    from multist.pl._look import Look
    from multist.pl._slides import Slides

_IN_A_ROW = 4
_ALPHA = 0.9


def map_panels(slides: Slides, n_others: int, n_labels: int, look: Look) -> tuple[Canvas, list[_base.Window]]:
    """Panels for a map of each section and for others, and the part of each section that is seen.

    One section has all in a row; of several, the maps stand above the others.

    Parameters
    ----------
    slides
        The sections.
    n_others
        How many other panels there are.
    n_labels
        Labels that one of these has one above the other.
    look
        The options of the call.
    """
    windows = [_base.section_window(slides, section, crop=True) for section in range(len(slides.names))]
    aspect = float(np.clip(np.median([window.aspect for window in windows]), 0.75, 1.4))
    if len(windows) == 1:
        cells = [(0, i) for i in range(1 + n_others)]
        return panels(cells, aspect, look, beside=1.9, below=0.5, first=1.5, least=LABEL * n_labels), windows
    columns = min(_IN_A_ROW, max(len(windows), n_others))
    cells = [divmod(i, columns) for i in range(len(windows))]
    cells += [(cells[-1][0] + 1, i) for i in range(n_others)]
    return panels(cells, aspect, look, beside=0.9, below=0.5, least=LABEL * n_labels), windows


def draw_map(
    ax: Axes,
    slides: Slides,
    section: int,
    window: _base.Window,
    layer: Layer,
    look: Look,
    outlined: np.ndarray | None = None,
) -> None:
    """Draw a layer on a section.

    Parameters
    ----------
    ax
        The panel.
    slides, section, window
        What is seen.
    layer
        What is drawn.
    look
        The options of the call.
    outlined
        (n,) codes between which lines are drawn; None for no lines.
    """
    rows = slides.rows(section)
    _base.draw_section(ax, slides, section, window, look, under_numbers=layer.is_numeric)
    same = _said_instead(layer)
    if same is None:
        _base.draw_spots(ax, slides, section, layer.rgba(rows, look.opacity(_ALPHA)), look.size)
    else:
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.6"}
        ax.text(0.5, 0.5, same, transform=ax.transAxes, ha="center", va="center", color="black", bbox=box, zorder=6)
    if outlined is not None:
        draw_outlines(ax, slides.xy[rows], outlined[rows])
    if look.legend_loc == "on data" and not layer.is_numeric:
        write_names(ax, layer, slides.xy[rows], rows)


def explained(layer: Layer) -> bool:
    """Whether there are colours to explain."""
    return _said_instead(layer) is None


def _said_instead(layer: Layer) -> str | None:
    """What is written in place of weights of an image that are the same everywhere; None for all that is drawn."""
    if not layer.key.endswith(IMAGE_WEIGHT_SUFFIX) or not layer.is_numeric:
        return None
    finite = layer.values[np.isfinite(layer.values)]
    if not len(finite) or np.ptp(finite) > 0:
        return None
    weight = float(finite.iloc[0])
    return "image not used" if weight == 0 else f"the image has the same\nweight everywhere: {weight:.2f}"


def draw_maps(
    canvas: Canvas, slides: Slides, layer: Layer, windows: list[_base.Window], *, outlined: np.ndarray | None = None
) -> list[str]:
    """Draw a layer on every section, on the first panels of a figure, with one colour bar.

    Parameters
    ----------
    canvas
        The maps come first.
    slides, layer, windows
        What to draw, and the part of each section that is seen.
    outlined
        (n,) codes between which lines are drawn; None for no lines.

    Returns
    -------
    The titles of the maps: the sections' names, or for one what is drawn.
    """
    for section, window in enumerate(windows):
        draw_map(canvas.axes[section], slides, section, window, layer, canvas.look, outlined)
    last = canvas.axes[min(len(windows), _IN_A_ROW) - 1]
    if explained(layer):
        # the sections' names stand where else is said what is drawn
        title = "" if len(windows) == 1 else layer.label
        explain(last, layer, canvas.look.legend_loc or "right margin", title=title)
    return [layer.label] if len(windows) == 1 else slides.names
