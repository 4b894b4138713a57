"""The graph of domains that touch, laid on the tissue without overlapping names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist import _keys

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from multist.access import SpatialRecord
    from multist.pl._layer import Layer

_WIDEST = 7.0
_CHARACTER, _LINE = 0.085, 0.24
"""Inches of a letter, and of the box around a name."""
_CANDIDATES = 400
_SIGNIFICANT, _OTHER = "#202020", "#8C8C8C"


def draw_graph(
    ax: Axes, record: SpatialRecord, rows: np.ndarray, layer: Layer, borders: pd.DataFrame, found: pd.DataFrame
) -> None:
    """Add names of domains and the lines between those that touch.

    Parameters
    ----------
    ax
        Panel of a section with its limits set.
    record
        The resolved input.
    rows
        Spots of the section.
    layer
        The domains.
    borders
        Borders as :func:`multist.tl.interactions` lists them.
    found
        Its significant pairs.
    """
    from matplotlib import patheffects

    names = layer.colors or {}
    labels = layer.values.iloc[rows].astype(object).to_numpy()
    places = _places(ax, record.xy[rows], labels, list(names))
    touching = _touching(record, rows, labels)
    significant = {frozenset(ends) for ends in zip(found["ligand_domain"], found["receptor_domain"], strict=True)}
    longest = max(float(borders["length"].max()), 1e-9)
    for one, two, length in zip(borders["domain_1"], borders["domain_2"], borders["length"], strict=True):
        if one not in places or two not in places or (touching is not None and frozenset((one, two)) not in touching):
            continue
        width = max(0.8, _WIDEST * length / longest)
        dark = frozenset((one, two)) in significant
        halo = [patheffects.withStroke(linewidth=width + 1.6, foreground="white")]
        ax.plot(
            *zip(places[one], places[two], strict=True), color=_SIGNIFICANT if dark else _OTHER, linewidth=width,
            solid_capstyle="butt", zorder=3 + dark * 0.1, path_effects=halo,
        )  # fmt: skip
    for name, place in places.items():
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": names[name], "linewidth": 2.0}
        ax.text(*place, name, ha="center", va="center", fontsize="small", bbox=box, zorder=4)
    _explain(ax, longest, str(borders["unit"].iloc[0]), dark=bool(significant))


def _explain(ax: Axes, longest: float, unit: str, *, dark: bool) -> None:
    """Say below the panel how wide a border of a round length is, and what dark means."""
    from matplotlib.lines import Line2D

    step = 10 ** np.floor(np.log10(longest))
    round_length = step * max(factor for factor in (1, 2, 5) if factor * step <= longest)
    text = f"{round_length:g} {'µm' if unit == 'um' else 'spot distances'}"
    handles = [Line2D([], [], color=_OTHER, linewidth=_WIDEST * round_length / longest, label=f"border of {text}")]
    if dark:
        handles.append(Line2D([], [], color=_SIGNIFICANT, linewidth=3, label="with significant pairs"))
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), frameon=False, fontsize="small")


def _touching(record: SpatialRecord, rows: np.ndarray, labels: np.ndarray) -> set[frozenset[str]] | None:
    """Domains that are neighbours in this section; None where the graph is gone."""
    from scipy import sparse

    from multist.access import read_graph

    if _keys.CONNECTIVITIES not in record.table.obsp:
        return None
    edges = sparse.coo_matrix(read_graph(record.table)[rows][:, rows])
    return {frozenset(ends) for ends in set(zip(labels[edges.row], labels[edges.col], strict=True))}


def _places(ax: Axes, xy: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, tuple[float, float]]:
    """Where each domain's name goes: a spot of its own near its middle, the box free of other names if that can be."""
    sides = [abs(ends[1] - ends[0]) for ends in (ax.get_xlim(), ax.get_ylim())]
    extent = ax.get_window_extent()
    # the panel is drawn with equal scales, so the tighter side sets the scale
    inches = min(extent.width / sides[0], extent.height / sides[1]) / ax.figure.dpi
    taken: list[np.ndarray] = []
    places = {}
    present = [name for name in names if (labels == name).any()]
    for name in sorted(present, key=lambda name: (labels == name).sum()):
        own = xy[labels == name]
        box = np.array([_CHARACTER * len(name) + 0.2, _LINE]) / inches
        near = np.argsort(np.linalg.norm(own - np.median(own, axis=0), axis=1), kind="stable")
        candidates = own[near[:: -(-len(near) // _CANDIDATES)]]
        room = np.array([_room(place, box, taken) for place in candidates])
        best = int(np.argmax(room >= 0)) if (room >= 0).any() else int(np.argmax(room))
        places[name] = (float(candidates[best, 0]), float(candidates[best, 1]))
        taken.append(np.concatenate([candidates[best], box]))
    return {name: places[name] for name in present}


def _room(place: np.ndarray, box: np.ndarray, taken: list[np.ndarray]) -> float:
    """Least gap between a box around ``place`` and those taken; negative where they overlap."""
    gaps = [np.max(np.abs(place - other[:2]) - (box + other[2:]) / 2) for other in taken]
    return min(gaps, default=np.inf)
