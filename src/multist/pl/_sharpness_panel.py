"""One panel: how sharp each border is in expression and in histology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from multist.pl._canvas import inches_of, ink, name_rows
from multist.pl._names import NARROW, column, pair

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_COLORS = {"expression": "#0072b2", "histology": "#d55e00"}
_APART = 0.17
"""Lines of two modalities above and below the name of their border."""
_SIGNIFICANCE = 0.05
_MAX_BORDERS = 20


def shown_borders(table: pd.DataFrame) -> pd.DataFrame:
    """Rows to draw, with a ``name``: of those measured the 20 with most spots, from the image's to the expression's."""
    measured = table[table[list(_COLORS)].notna().any(axis=1)]
    longest = measured.sort_values("n_spots", ascending=False, kind="stable").head(_MAX_BORDERS)
    lead = longest["histology"].fillna(0.5) - longest["expression"].fillna(0.5)
    names = column(longest[["domain_1", "domain_2"]].astype(str).to_numpy().ravel(), NARROW)
    named = longest.assign(
        name=[pair(one, "|", two) for one, two in zip(names[::2], names[1::2], strict=True)], lead=lead
    )
    return named.sort_values("lead", ascending=False, kind="stable")


def draw_sharpness(ax: Axes, shown: pd.DataFrame) -> None:
    """A line per border and modality from 0.5 up to its sharpness, ended by a circle.

    It is full where the sharpness is significant, empty where it is not, and grey where it could not be tested.

    Parameters
    ----------
    ax
        The panel.
    shown
        What :func:`shown_borders` gives.
    """
    lowest = 0.5
    modalities = [modality for modality in _COLORS if shown[modality].notna().any()]
    shifts = (-_APART, _APART) if len(modalities) == 2 else (0.0,)
    for modality, shift in zip(modalities, shifts, strict=True):
        color = _COLORS[modality]
        for place, row in enumerate(shown.to_dict("records")):
            value, null = row[modality], row[f"{modality}_null"]
            if not np.isfinite(value):
                continue
            pvalue, face = row[f"{modality}_pvalue"], color
            if not pvalue <= _SIGNIFICANCE:
                face = "white" if np.isfinite(pvalue) else "0.8"
            y, lowest = place + shift, min(lowest, value)
            ax.plot([0.5, value], [y, y], color=color, linewidth=1.2, alpha=0.6, zorder=1)
            ax.plot(value, y, "o", color=color, markersize=4.5, markerfacecolor=face, zorder=3)
            if np.isfinite(null):
                ax.plot([null, null], [y - 0.14, y + 0.14], color=ink(), linewidth=1.4, zorder=2)
    name_rows(ax, list(shown["name"]))
    ax.set(xlabel="sharpness (held-out AUC)", xlim=(lowest - 0.03, 1.03))
    ax.axvline(0.5, color="0.8", linewidth=0.8, zorder=0)
    drawn = shown[modalities].notna().to_numpy()
    tested = shown[[f"{modality}_pvalue" for modality in modalities]].notna().to_numpy()
    _legend(ax, modalities, untested=bool((drawn & ~tested).any()))


def _legend(ax: Axes, modalities: list[str], *, untested: bool) -> None:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5}
    handles = [Line2D([], [], color=_COLORS[modality], label=modality, **dot) for modality in modalities]
    handles += [
        Line2D([], [], color="0.4", markerfacecolor="white", label=f"p > {_SIGNIFICANCE:g}", **dot),
        Line2D([], [], color=ink(), linestyle="none", marker="|", markersize=7, label="lines within, 95 %"),
    ]
    if untested:
        handles.append(Line2D([], [], color="0.4", markerfacecolor="0.8", label="not tested", **dot))
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.4, -0.46 / inches_of(ax)[1]),
        ncols=3 if untested else 2,
        frameon=False,
        handletextpad=0.3,
        columnspacing=1.2,
    )
