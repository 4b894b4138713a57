"""Which domains touch, drawn on the tissue, and the strongest ligand-receptor pairs at their borders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from multist import _keys
from multist._numbers import is_positive
from multist.access import check_whole, gene_names, get_table, refuse_stale, result_entry
from multist.pl import _base
from multist.pl._canvas import PAGE, Canvas, laid_out, user_canvas
from multist.pl._contact_graph import draw_graph
from multist.pl._layer import domain_layer
from multist.pl._look import Look, MapOptions, drawn
from multist.pl._pair_matrix import draw_pairs, matrix_inches, strongest
from multist.pl._slides import slides

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

_ALPHA = 0.45
_GRAPH, _TALLEST, _BELOW = 3.3, 5.0, 0.8
"""Inches of a map at most, in width and height, and of its title and legend."""
_COLUMNS = 2  # of maps, in which the names of domains have room


@drawn(MapOptions)
def borders(
    data: AnnData | SpatialData,
    key: str = _keys.MULTIST,
    *,
    fdr: float = 0.05,
    n_pairs: int = 3,
    gene_symbols: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    crop: bool = True,
    **look: Unpack[MapOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw which domains touch, on the tissue, and beside it the strongest ligand-receptor pairs at each border.

    Domains that touch are joined by a line that is the wider the longer their border, and dark where at least one pair
    is significant; lines bend around other domains' names. In the matrix beside it a column is a border in one
    direction, from the ligand's domain to the receptor's. A pair that is shown has a circle at every border at which it
    was tested: full where it is significant, empty where it is not.

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
        significant at any border, those with the smallest p-values are shown.
    gene_symbols
        Column of ``var`` with the names to write, where the pairs are named by the identifiers in ``var_names``.
    library_key
        Column of ``obs`` that names the section of each spot; every section gets a panel.

    Returns
    -------
    The figure with ``return_fig=True``; the axes, the matrix last, if ``show=False`` or ``ax`` is given; else None. One
    ``ax`` for the only section takes the map alone.

    Raises
    ------
    KeyError
        If there is no result under ``key``, or its domains are gone.
    ValueError
        If an option is out of range, ``ax`` are not as many as the panels, or the domains are no longer those that were
        tested.

    Examples
    --------
    >>> mt.tl.interactions(adata, pairs)
    >>> mt.pl.borders(adata)
    """
    options = Look.of(look)
    check_whole(n_pairs=n_pairs)
    if not (is_positive(fdr) and fdr <= 1):
        raise ValueError(f"fdr must be above 0 and at most 1; got fdr={fdr!r}")
    result = result_entry(get_table(data, table_key), key, _keys.INTERACTIONS)
    tissue = slides(data, image_key=image_key, table_key=table_key, library_key=library_key)
    pairs, joins = result["pairs"], result["borders"]
    layer = domain_layer(tissue, str(result["params"]["cluster_key"]), options).only(options.chosen)
    named = pd.unique(joins[["domain_1", "domain_2"]].to_numpy().ravel())
    refuse_stale(tissue.tables[0], result["params"], f"uns[{key!r}]['interactions']", "tl.interactions", named)
    if options.chosen is not None:
        pairs = pairs[pairs["ligand_domain"].isin(options.chosen) & pairs["receptor_domain"].isin(options.chosen)]
        joins = joins[joins["domain_1"].isin(options.chosen) & joins["domain_2"].isin(options.chosen)]
    symbols = dict(zip(tissue.tables[0].var_names, gene_names(tissue.tables[0], gene_symbols), strict=True))
    shown = strongest(pairs, n_pairs, fdr, symbols)
    n_sections = len(tissue.names)
    windows = [_base.section_window(tissue, section, crop=crop) for section in range(n_sections)]
    canvas = _canvas(windows, shown, options)
    for section, window in enumerate(windows):
        panel, rows = canvas.axes[section], tissue.rows(section)
        _base.draw_section(panel, tissue, section, window, options)
        _base.draw_spots(panel, tissue, section, layer.rgba(rows, options.opacity(_ALPHA)), options.size)
    titles = ["domains that touch"] if n_sections == 1 else list(tissue.names)
    if len(canvas.axes) > n_sections:
        titles.append(draw_pairs(canvas.axes[-1], shown, fdr, options))
    canvas.set_titles(titles)
    # the labels of the matrix set how large the maps are, in which names have their places
    canvas.lay_out()
    significant = pairs[pairs["border_fdr"] <= fdr]
    for section, panel in enumerate(canvas.axes[:n_sections]):
        where = options.legend_loc or "bottom margin"
        draw_graph(panel, tissue, tissue.rows(section), layer, joins, significant, where)
    return canvas.finish("borders")


def _canvas(windows: list[_base.Window], shown: pd.DataFrame, look: Look) -> Canvas:
    """A panel per section, and one for the matrix as large as its labels need."""
    import matplotlib.pyplot as plt

    n_sections = len(windows)
    given = user_canvas(look, n_sections + (n_sections > 1 or isinstance(look.ax, Iterable)))
    if given is not None:
        return given
    inner, outer = matrix_inches(shown)
    beside = outer[0] <= 0.6 * PAGE and n_sections == 1
    aspect = float(np.median([window.aspect for window in windows]))
    columns = min(n_sections, _COLUMNS)
    rows = -(-n_sections // columns)
    width = min(_GRAPH, PAGE - outer[0] if beside else PAGE / columns)
    height = min(width / aspect, _TALLEST)
    if beside:
        size, shape = (width + outer[0], max(height + _BELOW, outer[1])), (1, 2)
        ratios: dict[str, Any] = {"width_ratios": [width, inner[0]]}
    else:
        page = max(width * columns, outer[0])
        # the maps lie above the matrix, without what is beside it
        height = min(height, (page - outer[0] + inner[0]) / columns / aspect)
        size, shape = (page, rows * (height + _BELOW) + outer[1]), (rows + 1, columns)
        ratios = {"height_ratios": [*[height] * rows, inner[1]]}
    figure = plt.figure(figsize=look.figsize or size, layout="constrained")
    # the ratios are those of the panels without what surrounds them
    grid = figure.add_gridspec(*shape, **ratios)
    places = [grid[divmod(section, columns)] for section in range(n_sections)]
    places.append(grid[0, 1] if beside else grid[rows, :])
    return laid_out(figure, [figure.add_subplot(place) for place in places], look)
