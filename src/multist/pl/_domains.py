"""Domains, or any other column of the spots or gene, over the histology."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Unpack

import numpy as np

from multist._keys import domain_key
from multist.access import check_whole
from multist.pl import _base, _overlays
from multist.pl._canvas import MAX_HEIGHT, panel_width, panels
from multist.pl._colors import obs_names, store_colors
from multist.pl._layer import color_layers, other_labels
from multist.pl._legend import explain, least_height, legend_height, legend_width
from multist.pl._look import LegendLoc, Look, MapOptions, drawn
from multist.pl._maps import draw_map, explained
from multist.pl._slides import slides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

_MIN_WIDTH, _MIN_NARROW = 1.7, 1.4
"""Inches of a panel, and where it leaves no place of a grid empty; narrower ones would go into a further row."""
_MAX_PANELS_IN_ROW = 4


@drawn(MapOptions)
def domains(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData],
    color: str | Sequence[str] = domain_key(),
    *,
    truth_key: str | Sequence[str] | None = None,
    outline: str | None = None,
    labels_key: str | None = None,
    unlabeled_category: str | None = None,
    rings: str | Sequence[str] | None = None,
    layer: str | None = None,
    gene_symbols: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    ncols: int | None = None,
    crop: bool = True,
    **look: Unpack[MapOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw domains, another column or genes over the H&E image, every spot at its true place and in its true size.

    Several sections are drawn side by side, each over its own image; known regions or older results are drawn beside
    the result, in the colours of the domains that they overlap with most, so that the same region looks the same in
    all. Spots are circles, bins that touch are squares, and cells whose outlines a SpatialData holds are these
    polygons.

    Parameters
    ----------
    data
        Annotated spots with coordinates, with or without an image; or a list of such sections.
    color
        Column of ``obs`` or a gene, or several. Categories get a legend, up to 60 of them, and numbers a colour bar.
        Where a column has the name of a gene, the column is drawn, or with ``layer`` the gene.
    truth_key
        Column of ``obs`` with other labels of the same regions, or several, drawn last in matching colours.
    outline
        Column of ``obs`` with domains whose outlines are drawn over everything.
    labels_key
        Column of ``obs`` with a person's strokes: a spot that carries a label has a filled centre with a dark edge, in
        the colour of its class, and white over numbers.
    unlabeled_category
        Value of that column that means "not named"; None takes the one that domains were found with.
    rings
        Spots to point at by numbered rings: a list of ``obs_names``, or a column of ``obs`` that holds True for them.
    layer
        Layer of the expression of genes; None takes the first of ``X``, a layer of counts and ``raw`` that holds counts
        or log-normalised values. Counts are normalised and logged for the plot.
    gene_symbols
        Column of ``var`` with the names by which genes are asked for, where ``var_names`` are others.
    ncols
        Panels in a row. By default as many as stay wide enough to be read on a page, up to four.

    Returns
    -------
    The figure with ``return_fig=True``; the axes, a list if there are several, if ``show=False`` or ``ax`` is given;
    else None.

    Raises
    ------
    KeyError
        If a column, gene or spot does not exist; the error lists those that do.
    ValueError
        If ``ax`` are not as many as the panels, or an option is out of range.

    Notes
    -----
    Writes ``uns[f"{color}_colors"]`` where a categorical column has no colours yet, as scanpy does; nothing else.

    Examples
    --------
    >>> mt.pl.domains(sdata, truth_key="domain")
    >>> mt.pl.domains(sdata, ["multist_domain", "multist_image_weight"], save="domains.pdf")
    >>> mt.pl.domains(adata, "MBP", layer="counts", outline="multist_domain", vmax="p99")
    """
    options = Look.of(look)
    if ncols is not None:
        check_whole(ncols=ncols)
    tissue = slides(data, image_key=image_key, table_key=table_key, library_key=library_key)
    keys = _listed(color)
    if not keys:
        raise ValueError("color names no column; give one, or a list of at least one")
    layers = color_layers(tissue, keys, options, layer=layer, gene_symbols=gene_symbols)
    result = next((each for each in layers if each.colors), None)
    layers += other_labels(tissue, _listed(truth_key), result, options)
    outlined = None if outline is None else obs_names(tissue.obs, outline, "outline").cat.codes.to_numpy()
    ringed = _overlays.ringed_rows(tissue, rings)
    strokes = None if labels_key is None else _overlays.stroke_values(tissue, labels_key, unlabeled_category)
    classes: list[dict[str, str]] = [{}] * len(layers)
    if labels_key is not None and strokes is not None:
        classes = [_overlays.stroke_colors(strokes, tissue, labels_key, [each, *layers], options) for each in layers]

    n_sections = len(tissue.names)
    where: LegendLoc = options.legend_loc or ("none" if "legend_loc" in look else "right margin")
    ring = _overlays.ring_entry(rings) if len(ringed) else {}
    extras = [_overlays.stroke_entries(colors, each) | ring for each, colors in zip(layers, classes, strict=True)]
    titles = [each.label if n_sections > 1 else "" for each in layers]
    windows = [_base.section_window(tissue, section, crop=crop) for section in range(n_sections)]
    aspect = float(np.median([window.aspect for window in windows]))
    beside = [legend_width(one, where, title, list(e)) for one, title, e in zip(layers, titles, extras, strict=True)]
    cells = _cells(n_sections, len(layers), ncols or _usual_columns(n_sections, len(layers), beside))
    rows, columns = (1 + max(each) for each in zip(*cells, strict=True))
    # legends of one section lie beside each of its panels
    right = sum(sorted(beside, reverse=True)[:columns]) if n_sections == 1 else max(beside)
    width = min(panel_width(columns, right), MAX_HEIGHT * aspect)
    below = [legend_height(one, where, list(extra), width) for one, extra in zip(layers, extras, strict=True)]
    bottom = max(below) * rows if n_sections == 1 else sum(below)
    least = max(least_height(one, where, title, list(e)) for one, title, e in zip(layers, titles, extras, strict=True))
    canvas = panels(cells, aspect, options, beside=right, below=bottom, least=least)
    drawn = itertools.product(zip(layers, classes, strict=True), range(n_sections))
    for panel, ((each, colors), section) in zip(canvas.axes, drawn, strict=True):
        draw_map(panel, tissue, section, windows[section], each, options, outlined)
        if strokes is not None:
            _overlays.draw_strokes(panel, tissue, section, strokes, colors, options.size, over_numbers=each.is_numeric)
        _overlays.draw_rings(panel, tissue, section, ringed, options.size)
    canvas.set_titles([e.label if n_sections == 1 else tissue.names[s] for e in layers for s in range(n_sections)])
    for start, each, title, extra in zip(range(0, len(canvas.axes), n_sections), layers, titles, extras, strict=True):
        # beside the last panel of the layer's first row, where it narrows no other column
        last = max(i for i in range(start, start + n_sections) if cells[i][0] == cells[start][0])
        if explained(each):
            explain(canvas.axes[last], each, where, title=title, extra=extra)

    for each in layers[: len(keys)]:
        if not each.is_numeric and options.palette is None and options.groups is None:
            store_colors(tissue.tables, each.key, each.colors)
    return canvas.finish("domains")


def _listed(keys: str | Sequence[str] | None) -> list[str]:
    return [] if keys is None else [keys] if isinstance(keys, str) else list(keys)


def _usual_columns(n_sections: int, n_layers: int, beside: list[float]) -> int:
    """As many panels in a row as stay wide enough on a page with their legends, and no place empty if that can be."""
    count = n_sections if n_sections > 1 else n_layers

    def width(columns: int) -> float:
        legends = max(beside) if n_sections > 1 else sum(sorted(beside, reverse=True)[:columns])
        return panel_width(columns, legends)

    most = min(_MAX_PANELS_IN_ROW, count)
    usual = max((columns for columns in range(1, most + 1) if width(columns) >= _MIN_WIDTH), default=1)
    narrow = min(usual + 1, most)
    if count % usual and count % narrow == 0 and width(narrow) >= _MIN_NARROW:
        return narrow
    return -(-count // -(-count // usual))


def _cells(n_sections: int, n_layers: int, ncols: int) -> list[tuple[int, int]]:
    """Row and column of each panel: all sections of the first column, then all of the next."""
    columns = min(ncols, n_sections if n_sections > 1 else n_layers)
    block = -(-n_sections // columns)
    if n_sections == 1:
        return [divmod(i, columns) for i in range(n_layers)]
    return [(layer * block + s // columns, s % columns) for layer in range(n_layers) for s in range(n_sections)]
