"""Which domains touch, drawn on the tissue, and the strongest ligand-receptor pairs at their borders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from multist import _keys
from multist.access import get_table
from multist.pl import _base
from multist.pl._contact_graph import draw_graph
from multist.pl._layer import column_layers

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

_CHARACTER, _LINE, _COLUMN = 0.08, 0.24, 0.3
"""Inches of a letter, a row and a column of the matrix."""
_HEIGHT = 5.0
_SMALLEST = 1e-5
_HINT = 0.05


def borders(
    data: AnnData | SpatialData,
    key: str = _keys.MULTIST,
    *,
    fdr: float = 0.05,
    n_pairs: int = 3,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    size: float = 1.0,
    alpha: float = 0.45,
    crop: bool = True,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | list[Axes] | None:
    """Draw which domains touch, on the tissue, and beside it the strongest ligand-receptor pairs at each border.

    Domains that touch are joined by a line that is the wider the longer their border, and dark where at least one pair is
    significant. In the matrix beside it a column is a border in one direction, from the ligand's domain to the receptor's.

    Parameters
    ----------
    data
        Table with a result of :func:`multist.tl.interactions`.
    key
        Name of the result: the ``key_added`` of :func:`multist.tl.interactions`.
    fdr
        False discovery rate up to which a pair counts as significant.
    n_pairs
        Significant pairs shown for each border and direction, those with the largest enrichment. Where no pair is
        significant, those with the smallest p-values are shown by empty circles.
    table_key
        Table of a SpatialData.
    image_key
        Image to draw; ``"auto"`` takes the only one, as it was scanned rather than normalised, and None draws none.
    library_key
        Column of ``obs`` that names the section of each spot; every section gets a panel.
    size
        Diameter of the drawn spots in true diameters.
    alpha
        Opacity of the spots, 0 to 1.
    crop
        Show the spots and a margin around them rather than the whole image.
    ax
        Axes for the graph of one section; the pairs are then left out.
    show
        Show the figure; by default if it is neither saved nor drawn into ``ax``. With False, the axes are returned.
    save
        File to save the figure to.

    Returns
    -------
    The axes, the matrix last, if ``show=False`` or ``ax`` is given; else None.

    Raises
    ------
    KeyError
        If there is no result under ``key``, or its domains are gone.
    ValueError
        If a number is out of range, or ``ax`` is given for several sections.

    Examples
    --------
    >>> mt.tl.interactions(adata, pairs)
    >>> mt.pl.borders(adata)
    """
    if not 0 < fdr <= 1 or not 0 < alpha <= 1 or not size > 0 or n_pairs < 1:
        raise ValueError(f"out of range: fdr={fdr}, alpha={alpha} (0 to 1), size={size}, n_pairs={n_pairs} (above 0)")
    result = _result(get_table(data, table_key), key)
    record = _base.resolve_drawn(data, image_key=image_key, table_key=table_key, library_key=library_key)
    (layer,) = column_layers(record.table, [str(result["params"]["cluster_key"])], None)
    found = result["pairs"]
    found = found[found["border_fdr"] <= fdr]
    n_sections = len(record.section_names)
    _base.check_axes(ax, n_sections)
    windows = [_base.section_window(record, section, crop=crop) for section in range(n_sections)]
    shown = strongest(result["pairs"], n_pairs, fdr)
    figure, axes = _figure(windows, shown, ax)
    for section, window in enumerate(windows):
        panel = axes[section]
        _base.draw_section(panel, record, section, window)
        rows = np.flatnonzero(record.section == section)
        _base.draw_spots(
            panel, record.xy[rows], size * _base.spot_diameters(record, rows), layer.rgba(rows, "viridis", alpha)
        )
        draw_graph(panel, record, rows, layer, result["borders"], found)
        panel.set_title("domains that touch" if n_sections == 1 else record.section_names[section])
    if ax is None:
        _draw_pairs(axes[-1], shown, fdr)
    return _base.finish(figure, axes, ax=ax, show=show, save=save)


def strongest(pairs: pd.DataFrame, n_pairs: int, fdr: float) -> pd.DataFrame:
    """The rows to show, with a name for each pair and border, and whether they are significant.

    Of each border and direction the ``n_pairs`` significant ones that are enriched most; where nothing is significant
    anywhere, those with the smallest p-values up to .05.
    """
    significant = pairs["border_fdr"] <= fdr
    candidates = pairs[significant] if significant.any() else pairs[pairs["border_pvalue"] <= _HINT]
    names = {
        "pair": candidates["source"].astype(str) + " – " + candidates["target"].astype(str),
        "border": candidates["ligand_domain"].astype(str) + " → " + candidates["receptor_domain"].astype(str),
        "significant": significant[candidates.index],
    }
    by, upwards = ("enrichment", False) if significant.any() else ("border_pvalue", True)
    ranked = candidates.assign(**names).sort_values(by, ascending=upwards, kind="stable")
    top = ranked.groupby("border", sort=False).head(n_pairs)
    # a pair that is shown for one border gets its dot at the others, too
    shown = ranked[ranked["pair"].isin(top["pair"]) & ranked["border"].isin(top["border"])]
    return shown.sort_values("border", kind="stable")


def _result(table: AnnData, key: str) -> Mapping[str, Any]:
    result = table.uns.get(key, {})
    result = result.get(_keys.INTERACTIONS) if isinstance(result, Mapping) else None
    if not isinstance(result, Mapping):
        raise KeyError(f"uns[{key!r}] holds no {_keys.INTERACTIONS!r}; run tl.interactions with key_added={key!r}")
    return result


def _figure(windows: list[_base.Window], shown: pd.DataFrame, ax: Axes | None) -> tuple[Figure, list[Axes]]:
    """A panel per section, and one for the matrix as large as its labels need."""
    import matplotlib.pyplot as plt

    if ax is not None:
        return _base.panels([(0, 0)], windows[0].aspect, (0.0, 0.0), ax)
    longest = {name: shown[name].str.len().max() if len(shown) else 12 for name in ("pair", "border")}
    inner = _matrix_inches(shown)
    matrix = _CHARACTER * longest["pair"] + inner[0] + 1.3
    height = max(_HEIGHT, inner[1] + _CHARACTER * longest["border"] + 0.8)
    widths = [(_HEIGHT - 0.8) * min(max(window.aspect, 0.4), 2.5) for window in windows]
    figure = plt.figure(figsize=(sum(widths) + matrix, height), layout="constrained")
    grid = figure.add_gridspec(1, len(widths) + 1, width_ratios=[*widths, matrix])
    return figure, [figure.add_subplot(grid[0, i]) for i in range(len(widths) + 1)]


def _matrix_inches(shown: pd.DataFrame) -> tuple[float, float]:
    """Width and height of the matrix without labels; it has room for its own legends beside it."""
    return max(_COLUMN * shown["border"].nunique(), 0.8), max(_LINE * shown["pair"].nunique(), 2.4)


def _draw_pairs(ax: Axes, shown: pd.DataFrame, fdr: float) -> None:
    """Dots for pairs (rows) at borders (columns): colour for the enrichment, size for the p-value, full if significant."""
    title = f"strongest pairs at FDR ≤ {fdr:g}"
    if not shown["significant"].any():
        title = f"no pair at FDR ≤ {fdr:g}" + (f"; strongest at p ≤ {_HINT:g}" if len(shown) else "")
    ax.set_title(title, loc="left", fontsize="medium")
    if shown.empty:
        ax.set_axis_off()
        return
    pairs, columns = list(dict.fromkeys(shown["pair"])), list(dict.fromkeys(shown["border"]))
    width, height = _matrix_inches(shown)
    ax.set_box_aspect(height / width)
    ax.set_anchor("NW")
    ax.set_xticks(range(len(columns)), columns, rotation=90, fontsize="small")
    ax.set_yticks(range(len(pairs)), pairs, fontsize="small")
    ax.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(pairs) - 0.4, -0.6))
    ax.grid(color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    colors = ScalarMappable(Normalize(0, float(shown["enrichment"].max())), "viridis_r")
    for full, group in shown.groupby("significant"):
        rgba = [tuple(color) for color in colors.to_rgba(group["enrichment"])]
        ax.scatter(
            [columns.index(border) for border in group["border"]], [pairs.index(pair) for pair in group["pair"]],
            s=_dot_size(group["border_pvalue"].to_numpy()), facecolors=rgba if full else "none", edgecolors=rgba,
            linewidths=1.5,
        )  # fmt: skip
    _explain(ax, colors, width, height)


def _explain(ax: Axes, colors: ScalarMappable, width: float, height: float) -> None:
    """Colour bar and sizes, at the right of the matrix and as far as they need in inches."""
    place = ax.inset_axes((1 + 0.2 / width, 1 - 1.1 / height, 0.12 / width, 1.1 / height))
    bar = ax.figure.colorbar(colors, cax=place, label="enrichment (log2)")
    bar.ax.tick_params(labelsize="small")
    bar.set_label("enrichment (log2)", fontsize="small")
    bar.outline.set_visible(False)
    handles = [
        Line2D([], [], linestyle="none", marker="o", color="0.4", markersize=_dot_size(step) ** 0.5, label=f"{step:g}")
        for step in (0.05, 1e-3, _SMALLEST)
    ]
    ax.legend(
        handles=handles, title="p-value", frameon=False, fontsize="small", title_fontsize="small", handletextpad=0.2,
        loc="upper left", bbox_to_anchor=(1 + 0.1 / width, 1 - 1.25 / height), borderpad=0,
    )  # fmt: skip


def _dot_size(pvalue: Any) -> Any:
    """Area in square points."""
    return 14.0 * -np.log10(np.clip(pvalue, _SMALLEST, 0.5))
