"""The graph of domains that touch, laid on the tissue without overlapping names and with lines that go around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist import _keys
from multist.pl._canvas import halo
from multist.pl._places import name_boxes

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from multist.pl._layer import Layer
    from multist.pl._look import LegendLoc
    from multist.pl._slides import Slides

_MAX_LINE_WIDTH = 6.0
_SIGNIFICANT, _OTHER = "#202020", "#8C8C8C"
_BENDS = np.array([0.0, *(side * bend for bend in (0.12, 0.2, 0.3, 0.4, 0.55, 0.7, 0.9) for side in (1, -1))])
"""How far a line's middle is moved aside, in its length."""
_STEPS = np.linspace(0, 1, 41)[:, None]


def draw_graph(
    ax: Axes,
    tissue: Slides,
    rows: np.ndarray,
    layer: Layer,
    borders: pd.DataFrame,
    found: pd.DataFrame,
    where: LegendLoc,
) -> None:
    """Add names of domains and the lines between those that touch.

    Parameters
    ----------
    ax
        Panel of a section with its limits set.
    tissue
        The sections.
    rows
        Spots of the section.
    layer
        The domains.
    borders
        Borders as :func:`multist.tl.interactions` lists them.
    found
        Its significant pairs.
    where
        Place of the legend.
    """
    names = layer.colors
    labels = layer.values.iloc[rows].astype(object).to_numpy()
    boxes, written = name_boxes(ax, tissue.xy[rows], labels, list(names))
    touching = _touching(tissue, rows, labels)
    significant = {frozenset(ends) for ends in zip(found["ligand_domain"], found["receptor_domain"], strict=True)}
    longest = max(float(borders["length"].max()), 1e-9) if len(borders) else 1.0
    for one, two, length in zip(borders["domain_1"], borders["domain_2"], borders["length"], strict=True):
        if one not in boxes or two not in boxes or (touching is not None and frozenset((one, two)) not in touching):
            continue
        width = max(0.8, _MAX_LINE_WIDTH * length / longest)
        dark = frozenset((one, two)) in significant
        line = _line_between(boxes[one], boxes[two], [box for name, box in boxes.items() if name not in (one, two)])
        ax.plot(
            *line.T,
            color=_SIGNIFICANT if dark else _OTHER,
            linewidth=width,
            solid_capstyle="butt",
            zorder=3 + dark * 0.1,
            path_effects=halo(width + 1.4),
            scalex=False,
            scaley=False,
        )
    for name, (x, y, _, _) in boxes.items():
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": names[name], "linewidth": 1.6}
        ax.text(x, y, written[name], color="black", ha="center", va="center", fontsize=7.5, bbox=box, zorder=4)
    if where != "none" and len(borders):
        _explain(ax, longest, str(borders["unit"].iloc[0]), dark=bool(significant), below=where == "bottom margin")


def _explain(ax: Axes, longest: float, unit: str, *, dark: bool, below: bool) -> None:
    """Say beside the panel how wide a border of a round length is, and what dark means."""
    from matplotlib.lines import Line2D

    step = 10 ** np.floor(np.log10(longest))
    round_length = step * max(factor for factor in (1, 2, 5) if factor * step <= longest)
    text = f"{round_length:g} {'µm' if unit == 'um' else 'units of the coordinates'}"
    handles = [
        Line2D([], [], color=_OTHER, linewidth=_MAX_LINE_WIDTH * round_length / longest, label=f"border of {text}")
    ]
    if dark:
        rim = halo(2.5 + 1.4)
        handles.append(
            Line2D([], [], color=_SIGNIFICANT, linewidth=2.5, label="with significant pairs", path_effects=rim)
        )
    place = (
        {"loc": "upper center", "bbox_to_anchor": (0.5, -0.01)}
        if below
        else {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
    )
    ax.legend(handles=handles, frameon=False, **place)


def _touching(tissue: Slides, rows: np.ndarray, labels: np.ndarray) -> set[frozenset[str]] | None:
    """Domains that are neighbours in this section; None where the graph is gone."""
    from scipy import sparse

    from multist.access import read_graph

    table = tissue.only.table
    if _keys.CONNECTIVITIES not in table.obsp:
        return None
    edges = sparse.coo_matrix(read_graph(table)[rows][:, rows])
    return {frozenset(ends) for ends in set(zip(labels[edges.row], labels[edges.col], strict=True))}


def _line_between(one: np.ndarray, two: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """(k, 2) points of the line between two boxes that is straightest among those that cross no other box.

    Boxes are (x, y, width, height). Where every line crosses one, it is the line of which the least part lies in
    others.
    """
    start, end = one[:2], two[:2]
    aside = np.array([start[1] - end[1], end[0] - start[0]])
    best, least = np.array([start, end]), np.inf
    for bend in _BENDS:
        middle = (start + end) / 2 + 2 * bend * aside
        line = (1 - _STEPS) ** 2 * start + 2 * _STEPS * (1 - _STEPS) * middle + _STEPS**2 * end
        hit = sum(int((np.abs(line - box[:2]) < 0.55 * box[2:]).all(axis=1).sum()) for box in others)
        if hit < least:
            best, least = (line if bend else np.array([start, end])), hit
        if not hit:
            break
    return best
