"""Where the image counted: on the tissue, by domain, and at the borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from multist import _keys
from multist.access import refuse_stale
from multist.pl._canvas import name_rows
from multist.pl._colors import store_colors
from multist.pl._layer import Layer, domain_layer, number_layer
from multist.pl._look import Look, MapOptions, drawn
from multist.pl._maps import draw_maps, explained, map_panels
from multist.pl._names import LINE, NARROW, column, n_rows
from multist.pl._sharpness_panel import draw_sharpness, shown_borders
from multist.pl._slides import slides

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData


@drawn(MapOptions)
def modality_weights(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData],
    key: str = _keys.MULTIST,
    *,
    cluster_key: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    outlines: bool = True,
    **look: Unpack[MapOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw how much the image counted: on the tissue, in each domain, and which modality sees each border.

    Every section has a map of its own, all on one scale. Boxes are the quartiles of each domain, from the one in which
    the image counted most down, whiskers reach from the 5th to the 95th percentile. If
    :func:`multist.tl.border_sharpness` has been run, a last panel has the sharpness of each border in either modality:
    a full circle where it is sharper than lines drawn within the two domains (p ≤ 0.05), a black tick at what one in
    twenty of these lines reaches. The borders at the top lean on histology, those at the bottom on expression. Of more
    than 20 borders the longest are drawn. Where no image took part, the map says so; there is no distribution then.

    Parameters
    ----------
    data
        Table with a result of :func:`multist.tl.multist_domains`, or a list of sections that it was given; of a list
        the borders are left out, since they are measured in each.
    key
        Name of the result: the ``key_added`` of :func:`multist.tl.multist_domains` and
        :func:`multist.tl.border_sharpness`.
    outlines
        Draw lines between the domains on the maps.

    Returns
    -------
    The figure with ``return_fig=True``; the list of axes if ``show=False`` or ``ax`` is given: the maps, the
    distribution, and the borders if they were measured; else None.

    Raises
    ------
    KeyError
        If there are no weights or no domains; the message lists what there is.
    ValueError
        If no spot has a weight, or ``size`` or ``alpha`` is out of range.

    Notes
    -----
    Writes ``uns[f"{cluster_key}_colors"]`` where the domains have no colours yet, as scanpy does; nothing else.

    Examples
    --------
    >>> mt.tl.border_sharpness(adata)
    >>> mt.pl.modality_weights(adata, save="why.png")
    """
    options = Look.of(look)
    tissue = slides(data, image_key=image_key, table_key=table_key, library_key=library_key)
    weight = number_layer(tissue, _keys.image_weight_key(key), options, key)
    domains = domain_layer(tissue, cluster_key or _keys.domain_key(key), options)
    kept = domains.only(options.chosen)
    used = explained(weight)
    borders, title = _borders(tissue.tables, key, domains.key, options.chosen)
    letters = LINE if borders is None else NARROW
    rows = max(n_rows(column(domains.colors, letters)), 0 if borders is None else n_rows(borders["name"]))
    canvas, windows = map_panels(tissue, int(used) + (borders is not None), rows, options)
    outlined = domains.values.cat.codes.to_numpy() if outlines else None
    titles = draw_maps(canvas, tissue, weight.only(options.chosen, domains.values), windows, outlined=outlined)
    if used:
        _distribution(canvas.axes[len(windows)], weight.values.to_numpy(), kept, letters)
        titles.append("by domain")
    if borders is not None:
        draw_sharpness(canvas.axes[-1], borders)
        titles.append(title)
    canvas.set_titles(titles)
    if options.palette is None:
        store_colors(tissue.tables, domains.key, domains.colors)
    return canvas.finish("modality_weights")


def _borders(
    tables: list[AnnData], key: str, cluster_key: str, groups: tuple[str, ...] | None
) -> tuple[pd.DataFrame | None, str]:
    """What there is to draw of borders, and a heading that says so if they are those of other domains."""
    result: Any = tables[0].uns.get(key, {})
    measured = result.get(_keys.BORDER_SHARPNESS) if isinstance(result, Mapping) else None
    if measured is None or len(tables) > 1:
        return None, ""
    if groups is not None:
        measured = measured[measured["domain_1"].isin(groups) & measured["domain_2"].isin(groups)]
    params = result.get(f"{_keys.BORDER_SHARPNESS}_params", {})
    named = pd.unique(result[_keys.BORDER_SHARPNESS][["domain_1", "domain_2"]].to_numpy().ravel())
    refuse_stale(tables[0], params, f"uns[{key!r}][{_keys.BORDER_SHARPNESS!r}]", "tl.border_sharpness", named)
    of = str(params.get("cluster_key", cluster_key))
    shown = shown_borders(measured)
    return (shown if len(shown) else None), "borders" if of == cluster_key else f"borders of {of}"


def _distribution(ax: Axes, weight: np.ndarray, domains: Layer, letters: int) -> None:
    """A box a domain, from the one with the largest median down; names have lines of so many letters."""
    finite = np.isfinite(weight)
    by_domain = ((name, weight[(domains.values == name).to_numpy() & finite]) for name in domains.colors)
    weights_of = dict(sorted((item for item in by_domain if len(item[1])), key=lambda item: -float(np.median(item[1]))))
    for place, (name, values) in enumerate(weights_of.items()):
        lowest, low, middle, high, highest = np.percentile(values, [5, 25, 50, 75, 95])
        ax.plot([lowest, highest], [place, place], color="0.3", linewidth=0.9, zorder=1)
        ax.barh(
            place,
            high - low,
            left=low,
            height=0.62,
            color=domains.colors[name],
            edgecolor="0.3",
            linewidth=0.8,
            zorder=2,
        )
        ax.plot([middle, middle], [place - 0.31, place + 0.31], color="black", linewidth=2, zorder=3)
    ax.set_xlabel("weight of the image")
    name_rows(ax, column(weights_of, letters))
