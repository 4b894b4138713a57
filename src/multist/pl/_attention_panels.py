"""Close-ups of chosen spots and whom they listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from multist._spacing import find_lattice
from multist.pl import _base
from multist.pl._canvas import PAGE, Canvas, ink, laid_out, user_canvas
from multist.pl._names import LETTER, column, longest, n_lines
from multist.pl._outlines import draw_outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multist.access.record import SpatialRecord
    from multist.pl._layer import Layer
    from multist.pl._look import Look
    from multist.pl._slides import Slides

_PANEL, _SIDE = 3.3, 1.15
"""Inches of a close-up at most, and of the legends beside them."""
_MIN_SCALE, _MAX_SCALE = 1.5, 4.0
"""The scale reaches at least and at most to this factor: a difference of a few per cent should not look like one."""
_EDGE, _FAINT, _MIN_PRINT = 1.8, 0.8, 7.0
"""Points: edges of what is listened to and of what is not, and the smallest print."""
_ABOVE, _BAR, _LINE = 0.75, 1.6, 0.155
"""Inches of a heading of four lines, of the colour bar, and of a further line of either."""
_LEGEND_ROWS = 8
_UNKNOWN = 0.55
"""Drawn diameter of cells of unknown size in distances between neighbours: close by, larger ones cover each other."""


class Close(NamedTuple):
    """One chosen spot.

    Attributes
    ----------
    row
        Which.
    keys, weight
        Rows that it listens to, itself not among them, and their weights relative to equal ones.
    window
        The close-up.
    seen
        Rows that are seen in it.
    """

    row: int
    keys: np.ndarray
    weight: np.ndarray
    window: _base.Window
    seen: np.ndarray

    @classmethod
    def at(
        cls,
        record: SpatialRecord,
        row: int,
        keys: np.ndarray,
        weight: np.ndarray,
        diameter: np.ndarray,
        radius: float | None,
    ) -> Close:
        """Choose a window as large as the neighbours need, or as asked for in diameters."""
        if radius is None:
            away = np.linalg.norm(record.xy[keys] - record.xy[row], axis=1)
            reach = away.max() + 0.3 * np.median(away) + 0.6 * diameter[row]
        else:
            reach = radius * diameter[row]
        x, y = record.xy[row].tolist()
        seen = _away(record, row) < reach + np.nan_to_num(diameter) / 2
        window = _base.Window(x - reach, y - reach, x + reach, y + reach)
        return cls(row, keys, weight, window, np.flatnonzero(seen))


def _away(record: SpatialRecord, row: int) -> np.ndarray:
    """(n_obs,) larger of the distances from a spot along the axes; endless of those of other sections."""
    away = np.abs(record.xy - record.xy[row]).max(axis=1)
    return np.where(record.section == record.section[row], away, np.inf)


class Style(NamedTuple):
    """What all panels share."""

    domains: Layer
    limit: float
    beyond: bool
    options: Look

    @classmethod
    def over(cls, closes: list[Close], domains: Layer, options: Look) -> Style:
        """One scale for all close-ups, as far to either side of 1."""
        with np.errstate(divide="ignore"):
            factor = float(np.exp(np.abs(np.log(np.concatenate([close.weight for close in closes]))).max()))
        asked = [float(options.vmax or 0), 1 / float(options.vmin or np.inf)]
        limit = max(asked) if max(asked) > 1 else min(max(factor, _MIN_SCALE), _MAX_SCALE)
        return cls(domains, limit, factor > limit, options)

    def entries(self, closes: list[Close]) -> dict[str, str]:
        """Colours to explain: those of the domains that are seen, and of spots in none where there are any."""
        seen = self.domains.values.iloc[np.concatenate([close.seen for close in closes])]
        held = set(seen.dropna())
        named = self.domains.colors
        others = {name: color for name, color in self.domains.entries().items() if name not in named}
        return {name: color for name, color in named.items() if name in held} | (others if seen.isna().any() else {})

    @property
    def cmap(self) -> Any:
        """The diverging colour map."""
        import matplotlib as mpl

        chosen = self.options.cmap or "BrBG"
        return mpl.colormaps[chosen] if isinstance(chosen, str) else chosen

    def rgba(self, weight: np.ndarray) -> np.ndarray:
        """(n, 4) colours of relative weights."""
        half = np.log(np.clip(weight, 1 / self.limit, self.limit)) / np.log(self.limit)
        rgba = np.array(self.cmap(0.5 + half / 2))
        rgba[:, 3] = self.options.opacity(1.0)
        return rgba


def attention_panels(titles: list[str], ncols: int | None, names: list[str], look: Look) -> tuple[Canvas, Axes | None]:
    """A square panel for each spot, and a place for the legends.

    Parameters
    ----------
    titles
        A heading for each spot.
    ncols
        Spots in a row.
    names
        What the legend needs room for.
    look
        The options of the call.
    """
    import matplotlib.pyplot as plt

    n_spots = len(titles)
    given = user_canvas(look, n_spots)
    if given is not None:
        return given, None
    columns = min(ncols or 2, n_spots)
    rows = -(-n_spots // columns)
    # narrow empty columns keep the headings apart
    widths = [1.0, 0.08] * columns
    names = column(names)
    explained = look.legend_loc != "none"
    side_inches = max(_SIDE, 0.4 + LETTER * longest(names)) if explained else 0.0
    panel = min(_PANEL, (PAGE - side_inches) / sum(widths))
    above = _ABOVE + _LINE * max(0, max(map(n_lines, zip(titles, strict=True))) - 4)
    beside = _BAR + _LINE * n_lines(names) / _legend_columns(names) if explained else 0.0
    height = max(rows * (panel + above), above + beside) + 0.25 * isinstance(look.title, str)
    size = (panel * sum(widths) + side_inches, height)
    figure = plt.figure(figsize=look.figsize or size, layout="constrained")
    grid = figure.add_gridspec(rows, len(widths) + 1, width_ratios=[*widths, max(side_inches, 0.01) / panel])
    axes = [figure.add_subplot(grid[spot // columns, 2 * (spot % columns)]) for spot in range(n_spots)]
    if look.legend_loc == "none":
        return laid_out(figure, axes, look), None
    side = figure.add_subplot(grid[:, -1])
    side.set_axis_off()
    return laid_out(figure, axes, look), side


def draw_close(ax: Axes, tissue: Slides, close: Close, style: Style, domains: Layer, diameter: np.ndarray) -> None:
    """Draw one close-up."""
    record = tissue.only
    window, codes = close.window, domains.values.cat.codes.to_numpy()
    section = int(record.section[close.row])
    _base.draw_section(ax, tissue, section, window, style.options)
    # facets at the rim of what is divided are not true, so the lines are drawn from more than is seen
    around = np.flatnonzero(_away(record, close.row) < window.right - window.left)
    # between scattered cells the lines would come apart, and the edges' colours must do
    if find_lattice(record.xy[around]) is not None:
        draw_outlines(ax, record.xy[around], codes[around])
    drawn = style.options.size * np.where(record.diameter > 0, diameter, _UNKNOWN * diameter)
    points = _base.points_per_unit(ax) * drawn
    order = np.argsort(-drawn[close.keys], kind="stable")  # where cells overlap, small ones lie above large ones
    layers = {_FAINT: (np.setdiff1d(close.seen, close.keys), None), _EDGE: (close.keys[order], close.weight[order])}
    for line, (rows, weight) in layers.items():
        rgba = np.zeros((len(rows), 4)) if weight is None else style.rgba(weight)
        circles = _base.draw_circles(ax, record.xy[rows], drawn[rows], rgba)
        circles.set(edgecolors=style.domains.rgba(rows, 1.0), linewidths=np.minimum(line, 0.12 * points[rows]))
    ring = _base.draw_circles(ax, record.xy[[close.row]], 1.22 * drawn[[close.row]], np.zeros((1, 4)))
    color = ink() if tissue.images[section] is None else "black"
    ring.set(edgecolors=color, linewidths=min(_EDGE, 0.12 * points[close.row]), zorder=4)
    _write_numbers(ax, record, close, style, points)
    ax.set_xlabel(_summary(close, codes), fontsize=7)


def _write_numbers(ax: Axes, record: SpatialRecord, close: Close, style: Style, points: np.ndarray) -> None:
    """The relative weights where there is room, first those farthest from 1."""
    window = close.window
    per_point = 1 / _base.points_per_unit(ax)
    with np.errstate(divide="ignore"):
        order = np.argsort(-np.abs(np.log(close.weight)), kind="stable")
    dark = style.rgba(close.weight)[:, :3] @ _base.LUMA < 0.5
    taken: list[np.ndarray] = []
    for i in order:
        row = close.keys[i]
        x, y = xy = record.xy[row]
        font = min(8.0, 0.37 * points[row])
        box = per_point * font * np.array([2.5, 1.1])
        free = all((np.abs(xy - other) >= box).any() for other in taken)
        if font >= _MIN_PRINT and free and window.left < x < window.right and window.top < y < window.bottom:
            taken.append(xy)
            color, text = "white" if dark[i] else "black", f"{close.weight[i]:.2f}"
            ax.text(x, y, text, color=color, fontsize=font, ha="center", va="center", zorder=5)


def _summary(close: Close, codes: np.ndarray) -> str:
    """Mean weight of the spots on either side of a border."""
    around, asking = codes[close.keys], codes[close.row]
    sides = {
        "own domain": (around == asking) & (asking >= 0),
        "others": (around != asking) & (around >= 0) & (asking >= 0),
    }
    said = [f"{name} ×{close.weight[of].mean():.2f}" for name, of in sides.items() if of.any()]
    return ", ".join(said) if said else "no spot around it with a domain"


def _legend_columns(names: list[str]) -> int:
    """As many as few rows need, where they are no wider than half a page."""
    return min(-(-(1 + len(names)) // _LEGEND_ROWS), max(1, int(PAGE / 2 / (0.4 + LETTER * longest(names)))))


def explain_closes(ax: Axes | None, style: Style, entries: dict[str, str]) -> None:
    """Colour bar, and a legend of the ring and of the domains that are seen, where there is a place for them."""
    if ax is None:
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.lines import Line2D

    # the place is as many panels wide as its column was made
    size = ax.figure.get_figure(root=True).get_size_inches() * ax.get_position().size
    bar = ax.figure.colorbar(
        ScalarMappable(LogNorm(1 / style.limit, style.limit), style.cmap),
        cax=ax.inset_axes((0.0, 1 - 1.3 / size[1], 0.14 / size[0], 1.25 / size[1])),
        extend="both" if style.beyond else "neither",
    )
    ticks = style.limit ** np.array([-1, -0.5, 0, 0.5, 1])
    bar.set_ticks(ticks.tolist(), labels=[f"×{tick:.2g}" for tick in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(length=2, pad=2)
    bar.set_label("weight relative\nto equal weights")
    bar.outline.set_visible(False)
    names = column(entries)
    handles = [Line2D([], [], color=color, markersize=6.5) for color in entries.values()]
    handles.append(Line2D([], [], color=ink(), markersize=8))
    for handle in handles:
        handle.set(linestyle="none", marker="o", markerfacecolor="none", markeredgewidth=_EDGE)
    ax.legend(
        handles,
        [*names, "chosen spot"],
        title="edge: domain",
        loc="upper left",
        bbox_to_anchor=(-0.08 / size[0], 1 - 1.4 / size[1]),
        frameon=False,
        handletextpad=0.2,
        labelspacing=0.35,
        borderpad=0,
        alignment="left",
        ncols=_legend_columns(names),
    )
