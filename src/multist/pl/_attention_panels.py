"""Close-ups of chosen spots and whom they attended to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from multist._palette import MISSING_COLOR
from multist.pl import _base
from multist.pl._outlines import draw_outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from multist.access.record import SpatialRecord
    from multist.pl._layer import Layer

_PANEL, _SIDE = 3.3, 1.5
"""Inches."""
_LEAST, _MOST = 1.5, 4.0
"""The scale reaches at least and at most to this factor: a difference of a few per cent should not look like one."""
_EDGE, _FAINT, _SMALLEST = 2.2, 1.0, 4.5
"""Points: edges of what is attended to and of what is not, and the smallest print."""
_EVEN = 0.7
"""On a lattice the distance to the nearest spot hardly varies: its tenth percentile is more than so much of its ninetieth."""
_LEGEND_ROWS = 8
_UNKNOWN = 0.55
"""Drawn diameter of cells of unknown size in distances between neighbours: close by, larger ones cover each other."""


class Look(NamedTuple):
    """One chosen spot in one modality.

    Attributes
    ----------
    row, modality
        Which.
    keys, weight
        Rows that it attends to, itself among them, and their weights relative to equal ones.
    window
        The close-up.
    """

    row: int
    modality: str
    keys: np.ndarray
    weight: np.ndarray
    window: _base.Window

    @classmethod
    def at(
        cls, record: SpatialRecord, row: int, modality: str, weights: tuple[np.ndarray, np.ndarray],
        diameter: np.ndarray, radius: float | None,
    ) -> Look:  # fmt: skip
        """Choose a window as large as the neighbours need, or as asked for in diameters."""
        keys, weight = weights
        if radius is None:
            away = np.linalg.norm(record.xy[keys[keys != row]] - record.xy[row], axis=1)
            away = away if len(away) else np.array([diameter[row]])
            reach = away.max() + 1.1 * np.median(away) + 0.6 * diameter[row]
        else:
            reach = radius * diameter[row]
        x, y = record.xy[row].tolist()
        return cls(row, modality, keys, weight, _base.Window(x - reach, y - reach, x + reach, y + reach))


class Style(NamedTuple):
    """What all panels share."""

    domains: Layer
    limit: float
    beyond: bool
    size: float
    alpha: float
    cmap: str

    @classmethod
    def over(cls, looks: list[Look], domains: Layer, *, size: float, alpha: float, cmap: str) -> Style:
        """One scale for all looks, as far to either side of 1."""
        with np.errstate(divide="ignore"):
            factor = float(np.exp(np.abs(np.log(np.concatenate([look.weight for look in looks]))).max()))
        return cls(domains, min(max(factor, _LEAST), _MOST), factor > _MOST, size, alpha, cmap)

    def rgba(self, weight: np.ndarray) -> np.ndarray:
        """(n, 4) colours of relative weights."""
        import matplotlib as mpl

        half = np.log(np.clip(weight, 1 / self.limit, self.limit)) / np.log(self.limit)
        rgba = np.array(mpl.colormaps[self.cmap](0.5 + half / 2))
        rgba[:, 3] = self.alpha
        return rgba


def attention_panels(
    n_spots: int, n_modalities: int, ncols: int | None, domains: Layer
) -> tuple[Figure, list[Axes], Axes]:
    """A square panel for each spot and modality, those of a spot side by side, and a place for the legends.

    Parameters
    ----------
    n_spots, n_modalities
        How many.
    ncols
        Spots in a row.
    domains
        The legend needs room for their names.
    """
    import matplotlib.pyplot as plt

    columns = min(ncols or (4 if n_modalities == 1 else 2), n_spots)
    rows = -(-n_spots // columns)
    # a narrow empty column keeps the pairs apart
    widths = ([1.0] * n_modalities + [0.08]) * columns
    side_inches = max(_SIDE, 0.5 + 0.08 * max(map(len, domains.colors or {}), default=0))
    size = (_PANEL * sum(widths) + side_inches, rows * (_PANEL + 0.65))
    figure = plt.figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(rows, len(widths) + 1, width_ratios=[*widths, side_inches / _PANEL])
    axes = [
        figure.add_subplot(grid[spot // columns, (spot % columns) * (n_modalities + 1) + modality])
        for spot in range(n_spots)
        for modality in range(n_modalities)
    ]
    side = figure.add_subplot(grid[0, -1])
    side.set_axis_off()
    return figure, axes, side


def draw_look(ax: Axes, record: SpatialRecord, look: Look, style: Style, diameter: np.ndarray) -> set[int]:
    """Draw one close-up and return the codes of the domains that are seen in it, -1 for none."""
    window, codes = look.window, style.domains.values.cat.codes.to_numpy()
    _base.draw_section(ax, record, int(record.section[look.row]), window)
    away = np.abs(record.xy - record.xy[look.row]).max(axis=1)
    away[record.section != record.section[look.row]] = np.inf
    reach = (window.right - window.left) / 2
    # facets at the rim of what is divided are not true, so the lines are drawn from more than is seen
    around = np.flatnonzero(away < 2 * reach)
    if _is_lattice(record.xy[around]):
        draw_outlines(ax, record.xy[around], codes[around])
    seen = np.flatnonzero(away < reach + np.nan_to_num(diameter) / 2)
    drawn = style.size * np.where(record.diameter > 0, diameter, _UNKNOWN * diameter)
    points = 72 * _PANEL * drawn / (2 * reach)
    # where cells overlap, small ones lie above large ones, and the chosen one above all
    order = np.lexsort((-drawn[look.keys], look.keys == look.row))
    layers = {_FAINT: (np.setdiff1d(seen, look.keys), None), _EDGE: (look.keys[order], look.weight[order])}
    for line, (rows, weight) in layers.items():
        rgba = np.zeros((len(rows), 4)) if weight is None else style.rgba(weight)
        circles = _base.draw_spots(ax, record.xy[rows], drawn[rows], rgba)
        circles.set(edgecolors=style.domains.rgba(rows, "", 1.0), linewidths=np.minimum(line, 0.12 * points[rows]))
    ring = _base.draw_spots(ax, record.xy[[look.row]], 1.22 * drawn[[look.row]], np.zeros((1, 4)))
    ring.set(edgecolors="black", linewidths=min(_EDGE, 0.12 * points[look.row]), zorder=4)
    _write_numbers(ax, record, look, style, points)
    ax.set_xlabel(_summary(look, codes), fontsize="small")
    return set(codes[seen].tolist())


def _is_lattice(xy: np.ndarray) -> bool:
    """Whether spots lie evenly; between scattered cells the lines would come apart, and the edges' colours must do."""
    from scipy.spatial import cKDTree

    if len(xy) < 5:
        return False
    low, high = np.percentile(cKDTree(xy).query(xy, k=2)[0][:, 1], [10, 90])
    return bool(low > _EVEN * high)


def _write_numbers(ax: Axes, record: SpatialRecord, look: Look, style: Style, points: np.ndarray) -> None:
    """The relative weights where there is room, first that of the chosen spot, then those farthest from 1."""
    window = look.window
    per_point = (window.right - window.left) / (72 * _PANEL)
    with np.errstate(divide="ignore"):
        order = np.lexsort((-np.abs(np.log(look.weight)), look.keys != look.row))
    dark = style.rgba(look.weight)[:, :3] @ (0.299, 0.587, 0.114) < 0.5
    taken: list[np.ndarray] = []
    for i in order:
        row = look.keys[i]
        x, y = xy = record.xy[row]
        font = min(8.0, 0.3 * points[row])
        box = per_point * font * np.array([2.5, 1.1])
        free = all((np.abs(xy - other) >= box).any() for other in taken)
        if font >= _SMALLEST and free and window.left < x < window.right and window.top < y < window.bottom:
            taken.append(xy)
            color, text = "white" if dark[i] else "black", f"{look.weight[i]:.2f}"
            ax.text(x, y, text, color=color, fontsize=font, ha="center", va="center", zorder=5)


def _summary(look: Look, codes: np.ndarray) -> str:
    """Mean weight of the neighbours on either side of a border."""
    others, own = look.keys != look.row, codes[look.row]
    sides = {
        "own domain": others & (codes[look.keys] == own) & (own >= 0),
        "others": others & (codes[look.keys] != own) & (codes[look.keys] >= 0) & (own >= 0),
    }
    said = [f"{name} ×{look.weight[of].mean():.2f}" for name, of in sides.items() if of.any()]
    return f"{look.modality}: {', '.join(said) if said else 'no neighbour with a domain'}"


def explain_looks(ax: Axes, style: Style, shown: set[int]) -> None:
    """Colour bar, and a legend of the ring and of the domains that are seen."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.lines import Line2D

    # the place is as many panels wide as its column was made
    width = ax.get_position().width * ax.figure.get_figure(root=True).get_figwidth()
    bar = ax.figure.colorbar(
        ScalarMappable(LogNorm(1 / style.limit, style.limit), style.cmap), cax=ax.inset_axes((0.0, 0.5, 0.18 / width, 0.46)),
        extend="both" if style.beyond else "neither",
    )  # fmt: skip
    ticks = style.limit ** np.array([-1, -0.5, 0, 0.5, 1])
    bar.set_ticks(ticks.tolist(), labels=[f"×{tick:.2g}" for tick in ticks], fontsize="small")
    bar.minorticks_off()
    bar.set_label("weight relative\nto equal weights", fontsize="small")
    bar.outline.set_visible(False)
    colors = list((style.domains.colors or {}).items())
    entries = [colors[code] for code in sorted(shown - {-1})] + [("not labelled", MISSING_COLOR)] * (-1 in shown)
    handles = [Line2D([], [], color=color, markersize=9, label=name) for name, color in entries]
    handles.append(Line2D([], [], color="black", markersize=11, label="chosen spot"))
    for handle in handles:
        handle.set(linestyle="none", marker="o", markerfacecolor="none", markeredgewidth=_EDGE)
    ax.legend(
        handles=handles, title="edge: domain", loc="upper left", bbox_to_anchor=(-0.05, 0.46), frameon=False, fontsize="small",
        title_fontsize="small", handletextpad=0.3, borderpad=0,
        ncols=-(-len(handles) // _LEGEND_ROWS),
    )  # fmt: skip
