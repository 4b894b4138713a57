"""Domains, or any other column of the spots, over the histology."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import numpy as np

from multist._keys import domain_key
from multist.pl import _base
from multist.pl._colors import store_colors
from multist.pl._layer import Layer, column_layers, explain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData


def domains(
    data: AnnData | SpatialData,
    color: str | Sequence[str] = domain_key(),
    *,
    truth_key: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    size: float = 1.0,
    alpha: float = 0.9,
    cmap: str = "viridis",
    ncols: int | None = None,
    crop: bool = True,
    legend: Literal["right", "bottom"] | None = "right",
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | list[Axes] | None:
    """Draw domains over the H&E image, every spot at its true place and size.

    Several sections are drawn side by side, each over its own image; a truth is drawn beside the result, in the
    colours of the domains that it overlaps with most, so that the same region looks the same in both.

    Parameters
    ----------
    data
        Annotated spots with coordinates, with or without an image.
    color
        Column of ``obs``, or several. Categories get a legend, numbers a colour bar.
    truth_key
        Column of ``obs`` with known regions, drawn last.
    table_key
        Table of a SpatialData.
    image_key
        Image to draw; ``"auto"`` takes the only one, as it was scanned rather than normalised, and None draws none.
    library_key
        Column of ``obs`` that names the section of each spot.
    size
        Diameter of the drawn spots in true diameters. Where these are unknown, the distance between neighbours is 1.
    alpha
        Opacity of the spots, 0 to 1.
    cmap
        Matplotlib's name of the colour map for numbers.
    ncols
        Panels in a row. By default up to four.
    crop
        Show the spots and a margin around them rather than the whole image.
    legend
        Where legends and colour bars go, or None for none.
    ax
        Axes to draw into, if there is one panel only.
    show
        Show the figure; by default if it is neither saved nor drawn into ``ax``. With False, the axes are returned.
    save
        File to save the figure to, such as ``"domains.png"`` or ``"domains.pdf"``.

    Returns
    -------
    The axes, a list if there are several, if ``show=False`` or ``ax`` is given; else None.

    Raises
    ------
    KeyError
        If a column does not exist; the error lists those that do.
    ValueError
        If ``ax`` is given for more than one panel, or ``size``, ``alpha``, ``ncols`` or ``legend`` is out of range.

    Notes
    -----
    Writes ``uns[f"{color}_colors"]`` where a categorical column has no colours yet, as scanpy does; nothing else.

    Examples
    --------
    >>> mt.pl.domains(sdata, truth_key="domain")
    >>> mt.pl.domains(sdata, ["multist_domain", "multist_image_weight"], save="domains.pdf")
    """
    _check_numbers(size=size, alpha=alpha, ncols=ncols, legend=legend)
    record = _base.resolve_drawn(data, image_key=image_key, table_key=table_key, library_key=library_key)
    keys = [color] if isinstance(color, str) else list(color)
    if not keys:
        raise ValueError("color names no column; give one, or a list of at least one")
    layers = column_layers(record.table, keys, truth_key)
    n_sections = len(record.section_names)
    _base.check_axes(ax, n_sections * len(layers))

    cells = _cells(n_sections, len(layers), ncols)
    windows = [_base.section_window(record, section, crop=crop) for section in range(n_sections)]
    aspect = float(np.median([window.aspect for window in windows]))
    figure, axes = _base.panels(cells, aspect, _legend_inches(layers, n_sections, legend), ax)
    for panel, (layer, section) in zip(axes, itertools.product(layers, range(n_sections)), strict=True):
        _base.draw_section(panel, record, section, windows[section])
        rows = np.flatnonzero(record.section == section)
        diameter = size * _base.spot_diameters(record, rows)
        _base.draw_spots(panel, record.xy[rows], diameter, layer.rgba(rows, cmap, alpha))
        panel.set_title(layer.key if n_sections == 1 else record.section_names[section])
    for start, layer in zip(range(0, len(axes), n_sections), layers, strict=True):
        # beside the last panel of the layer's first row, where it narrows no other column
        beside = max(i for i in range(start, start + n_sections) if cells[i][0] == cells[start][0])
        if legend is not None:
            explain(axes[beside], layer, cmap=cmap, where=legend, title=layer.key if n_sections > 1 else "")

    for layer in layers[: len(keys)]:
        if layer.colors is not None:
            store_colors(record.table, layer.key, layer.colors)
    return _base.finish(figure, axes, ax=ax, show=show, save=save)


def _check_numbers(*, size: float, alpha: float, ncols: int | None, legend: str | None) -> None:
    if not size > 0:
        raise ValueError(f"size is a positive number of spot diameters, got {size}")
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha lies above 0 and up to 1, got {alpha}")
    if ncols is not None and ncols < 1:
        raise ValueError(f"ncols is at least 1, got {ncols}")
    if legend not in ("right", "bottom", None):
        raise ValueError(f"legend is 'right', 'bottom' or None, got {legend!r}")


def _cells(n_sections: int, n_layers: int, ncols: int | None) -> list[tuple[int, int]]:
    """Row and column of each panel: all sections of the first column, then all of the next."""
    n_side = n_sections if n_sections > 1 else n_layers
    columns = min(ncols or 4, n_side)
    block = -(-n_sections // columns)
    if n_sections == 1:
        return [divmod(i, columns) for i in range(n_layers)]
    return [(layer * block + s // columns, s % columns) for layer in range(n_layers) for s in range(n_sections)]


def _legend_inches(layers: list[Layer], n_sections: int, legend: str | None) -> tuple[float, float]:
    """Room for the legends: beside every panel of one section, or after the last of several."""
    each = [layer.legend_inches(legend, layer.key if n_sections > 1 else "") for layer in layers]
    widths, heights = zip(*each, strict=True)
    return (sum(widths), max(heights)) if n_sections == 1 else (max(widths), sum(heights))
