"""The curve from which the number of domains was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

import numpy as np

from multist import _keys
from multist._words import counted
from multist.access import get_table, result_entry
from multist.pl._canvas import inches_of, panels
from multist.pl._look import FigureOptions, Look, drawn

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

_CRITERION, _COMPLETE, _STABILITY = "#0072B2", "#56B4E9", "#D55E00"


@drawn(FigureOptions)
def n_domains(
    data: AnnData | SpatialData,
    key: str = _keys.MULTIST,
    *,
    table_key: str | None = None,
    **look: Unpack[FigureOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw how well each number of domains fits, how stable it is, and which was chosen.

    The stability has an axis of its own at the right.

    Parameters
    ----------
    data
        Table whose domains were found with ``n_domains="auto"`` or with several to choose from.

    Returns
    -------
    The figure with ``return_fig=True``; the axes if ``show=False`` or ``ax`` is given; else None.

    Raises
    ------
    KeyError
        If there is no curve under ``key``.

    Examples
    --------
    >>> mt.tl.multist_domains(adata, "auto")
    >>> mt.pl.n_domains(adata)
    """
    curve = result_entry(get_table(data, table_key), key, _keys.CURVE)
    canvas = panels([(0, 0)], 1.3, Look.of(look), beside=0.9, below=0.5)
    _draw(canvas.axes[0], curve)
    canvas.set_titles([f"{counted(int(curve['chosen']), 'domain')} chosen"])
    return canvas.finish("n_domains")


def _draw(ax: Axes, curve: Mapping[str, np.ndarray]) -> None:
    from matplotlib.ticker import MaxNLocator

    counts = np.asarray(curve["candidates"])
    chosen = int(curve["chosen"])
    ax.axvline(chosen, color="0.8", linewidth=6, zorder=0)
    best = np.max(curve["bic"])
    lines = [
        *ax.plot(counts, curve["bic"] - best, "o-", color=_CRITERION, markersize=4, label="BIC"),
        *ax.plot(counts, curve["icl"] - best, "o--", color=_COMPLETE, markersize=3, linewidth=1, label="ICL"),
    ]
    ax.set(xlabel="number of domains", ylabel="fit (criterion less the best BIC)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = ax.twinx()
    lines += right.plot(
        counts, curve["stability"], "s-", color=_STABILITY, markersize=4, linewidth=1, label="stability"
    )
    right.set(ylabel="agreement of halves (ARI)", ylim=(min(0.0, float(np.min(curve["stability"]))), 1.03))
    right.yaxis.label.set_color(_STABILITY)
    ax.yaxis.label.set_color(_CRITERION)
    for side in (ax, right):
        side.spines["top"].set_visible(False)
    right.legend(
        handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.46 / inches_of(ax)[1]), ncols=3, frameon=False
    )
