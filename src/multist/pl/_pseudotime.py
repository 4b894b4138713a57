"""Pseudotime on the tissue, by domain, and the genes along it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from multist import _keys
from multist.access import check_layer, gene_names, refuse_stale, shown_expression, table_with
from multist.pl import _trends
from multist.pl._canvas import inches_of, name_rows
from multist.pl._colors import store_colors
from multist.pl._layer import Layer, domain_layer, number_layer
from multist.pl._look import Look, MapOptions, drawn
from multist.pl._maps import draw_maps, map_panels
from multist.pl._names import column, n_rows
from multist.pl._slides import Slides, slides

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

_MOST_POINTS = 5000
"""Cells from which the shape of a domain's distribution is drawn."""


@drawn(MapOptions)
def pseudotime(
    data: AnnData | SpatialData,
    key: str = _keys.MULTIST,
    *,
    genes: str | Sequence[str] | None = None,
    gene_symbols: str | None = None,
    layer: str | None = None,
    cluster_key: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    **look: Unpack[MapOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw pseudotime on the tissue, its distribution in each domain, and the trends of genes along it.

    Every section has a map of its own, all on one scale. Domains are ordered by their median, from the root down.
    The trends are local linear regressions with 95 % bands of the mean; each gene is scaled to a standard deviation of
    1, so that the height of a curve says how much of the gene's variation it explains.

    Parameters
    ----------
    data
        Table with a pseudotime.
    key
        Name of the result: the ``key_added`` of :func:`multist.tl.pseudotime`.
    genes
        Genes to draw; None takes the three that rise and the three that fall most along the pseudotime, by their
        correlation with its ranks. An empty list leaves the panel out, as does a table without genes.
    gene_symbols
        Column of ``var`` with the names by which genes are asked for and labelled, where ``var_names`` are others.
    layer
        Layer of the expression; None takes the first of ``X``, a layer of counts and ``raw`` that holds counts or
        log-normalised values. Whole numbers are taken for counts and normalised for the plot.
    cluster_key
        ``obs`` column of the domains; None takes the one the pseudotime was computed with.

    Returns
    -------
    The figure with ``return_fig=True``; the list of axes if ``show=False`` or ``ax`` is given: the maps, the
    distribution, the trends; else None.

    Raises
    ------
    KeyError
        If there is no pseudotime, no such gene, layer or column; the message lists what there is.
    ValueError
        If no spot has a pseudotime, a gene's name is there twice, or ``size`` or ``alpha`` is out of range.

    Notes
    -----
    Writes ``uns[f"{cluster_key}_colors"]`` where the domains have no colours yet, as scanpy does; nothing else.

    Examples
    --------
    >>> mt.tl.pseudotime(adata, root="3")
    >>> mt.pl.pseudotime(adata, genes=["MOBP", "PCP4", "ENC1"], save="pseudotime.png")
    """
    options = Look.of(look)
    tissue = slides(data, image_key=image_key, table_key=table_key, library_key=library_key)
    table = tissue.only.table
    check_layer(table, layer)
    time, domains = _columns(tissue, key, cluster_key, options)
    if genes is not None and layer is None:
        table = table_with(table, [genes] if isinstance(genes, str) else genes, gene_symbols)
    names = gene_names(table, gene_symbols)
    wanted = [] if table.n_vars == 0 else None if genes is None else _trends.find_genes(table, genes, gene_symbols)
    values = None if wanted == [] else shown_expression(table, layer)[0]
    if wanted is None:
        wanted = _trends.strongest_genes(values, time.values.to_numpy())
    canvas, windows = map_panels(tissue, 2 if wanted else 1, n_rows(column(domains.colors)), options)
    titles = draw_maps(canvas, tissue, time.only(options.chosen, domains.values), windows)
    _distribution(canvas.axes[len(windows)], time.values.to_numpy(), domains.only(options.chosen))
    titles.append("by domain")
    if wanted:
        _draw_trends(canvas.axes[-1], values, {gene: names[gene] for gene in wanted}, time.values.to_numpy())
        titles.append("genes along it")
    canvas.set_titles(titles)
    if options.palette is None:
        store_colors(tissue.tables, domains.key, domains.colors)
    return canvas.finish("pseudotime")


def _columns(tissue: Slides, key: str, cluster_key: str | None, options: Look) -> tuple[Layer, Layer]:
    """Pseudotime and domains, checked."""
    column, table = _keys.pseudotime_key(key), tissue.only.table
    time = number_layer(tissue, column, options, key)
    result = table.uns.get(key, {})
    entry: Any = result.get(_keys.PSEUDOTIME, {}) if isinstance(result, Mapping) else {}
    made_from = str(entry.get("params", {}).get("cluster_key", _keys.domain_key(key)))
    if cluster_key in (None, made_from):  # beside other labels an order may be drawn that these had no part in
        refuse_stale(table, entry.get("params", {}), f"obs[{column!r}]", "tl.pseudotime")
    return time, domain_layer(tissue, cluster_key or made_from, options)


def _distribution(ax: Axes, time: np.ndarray, domains: Layer) -> None:
    """One density a domain, from the one nearest to the root at the top, with its median and quartiles."""
    from scipy.stats import gaussian_kde

    groups = {name: time[(domains.values == name).to_numpy() & np.isfinite(time)] for name in domains.colors}
    groups = dict(sorted(((n, t) for n, t in groups.items() if len(t)), key=lambda item: float(np.median(item[1]))))
    for place, (name, times) in enumerate(groups.items()):
        color = domains.colors[name]
        low, middle, high = np.percentile(times, [25, 50, 75])
        some = times[:: -(-len(times) // _MOST_POINTS)]
        if np.ptp(some) > 1e-9:
            grid = np.linspace(times.min(), times.max(), 200)
            shape = gaussian_kde(some)(grid)
            half = 0.42 * shape / shape.max()
            ax.fill_between(grid, place - half, place + half, color=color, linewidth=0)
        ax.plot([low, high], [place, place], color="black", linewidth=2, solid_capstyle="butt")
        ax.plot(middle, place, "o", markersize=3.5, markerfacecolor="white", markeredgecolor="black")
    ax.set(xlabel="pseudotime", xlim=(-0.02, 1.02))
    name_rows(ax, column(groups))


def _draw_trends(ax: Axes, values: Any, genes: dict[int, str], time: np.ndarray) -> None:
    """A curve for each position among the genes, labelled by its name."""
    from multist._palette import domain_colors

    has_time = np.isfinite(time)
    for (gene, name), color in zip(genes.items(), domain_colors(len(genes)), strict=True):
        trend = _trends.local_trend(time[has_time], _trends.standardized(values, gene, has_time))
        ax.plot(trend.at, trend.mean, color=color, linewidth=1.5, label=name)
        low, high = (trend.mean + side * 1.96 * trend.error for side in (-1, 1))
        ax.fill_between(trend.at, low, high, color=color, alpha=0.25, linewidth=0)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set(xlabel="pseudotime", ylabel="expression (z-score)", xlim=(-0.02, 1.02))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.4, -0.46 / inches_of(ax)[1]),
        ncols=min(3, len(genes)),
        frameon=False,
        columnspacing=0.8,
        handlelength=1.2,
    )
