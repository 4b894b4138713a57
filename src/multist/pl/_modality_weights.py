"""Where the image counted: on the tissue, by domain, and at the borders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist.pl import _base
from multist.pl._colors import category_colors, obs_values, store_colors
from multist.pl._layer import Layer
from multist.pl._maps import draw_maps, map_cells
from multist.pl._sharpness_panel import draw_sharpness, shown_borders

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData


def modality_weights(
    data: AnnData | SpatialData,
    key: str = _keys.MULTIST,
    *,
    domain_key: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    size: float = 1.0,
    alpha: float = 0.9,
    cmap: str = "viridis",
    outlines: bool = True,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | list[Axes] | None:
    """Draw how much the image counted: on the tissue, in each domain, and which modality sees each border.

    Every section has a map of its own, all on one scale. Boxes are the quartiles of each domain, from the one in which
    the image counted most down, whiskers reach from the 5th to the 95th percentile. If
    :func:`multist.tl.border_sharpness` has been run, a last panel has the sharpness of each border in either modality: a full
    circle where it is sharper than lines drawn within the two domains (p ≤ 0.05), a black tick at what one in twenty of
    these lines reaches. The borders at the top lean on histology, those at the bottom on expression. Of more than 20 borders
    the longest are drawn.

    Parameters
    ----------
    data
        Table with a result of :func:`multist.tl.multist_domains`.
    key
        Name of the result: the ``key_added`` of :func:`multist.tl.multist_domains` and :func:`multist.tl.border_sharpness`.
    domain_key
        ``obs`` column of the domains; None takes those of the result.
    table_key
        Table of a SpatialData.
    image_key
        Image to draw; ``"auto"`` takes the only one, as it was scanned, and None draws none.
    library_key
        Column of ``obs`` that names the section of each spot.
    size
        Diameter of the drawn spots in true diameters.
    alpha
        Opacity of the spots, 0 to 1.
    cmap
        Matplotlib's name of the colour map.
    outlines
        Draw lines between the domains on the maps.
    show
        Show the figure; by default if it is not saved. With False, the axes are returned.
    save
        File to save the figure to.

    Returns
    -------
    The list of axes if ``show=False``: the maps, the distribution, and the borders if they were measured; else None.

    Raises
    ------
    KeyError
        If there are no weights or no domains; the message lists what there is.
    ValueError
        If no spot has a weight, or ``size`` or ``alpha`` is out of range.

    Notes
    -----
    Writes ``uns[f"{domain_key}_colors"]`` where the domains have no colours yet, as scanpy does; nothing else.

    Examples
    --------
    >>> mt.tl.border_sharpness(adata)
    >>> mt.pl.modality_weights(adata, save="why.png")
    """
    if not size > 0 or not 0 < alpha <= 1:
        raise ValueError(f"size is positive and alpha lies above 0 and up to 1, got {size} and {alpha}")
    record = _base.resolve_drawn(data, image_key=image_key, table_key=table_key, library_key=library_key)
    weight, domains = _columns(record.table, key, domain_key or _keys.domain_key(key))
    borders, title = _borders(record.table, key, domains.key)
    windows = [_base.section_window(record, section, crop=True) for section in range(len(record.section_names))]
    cells = map_cells(len(windows), 1 if borders is None else 2)
    aspect = max(1.1, float(np.median([window.aspect for window in windows])))
    figure, axes = _base.panels(cells, aspect, (2.4, 0.6), None)
    draw_maps(
        axes, record, weight, windows, size=size, alpha=alpha, cmap=cmap, title="weight of the image",
        outlined=domains.values.cat.codes.to_numpy() if outlines else None,
    )  # fmt: skip
    _distribution(axes[len(windows)], weight.values.to_numpy(), domains)
    if borders is not None:
        draw_sharpness(axes[-1], borders, title)
    if domains.colors is not None:
        store_colors(record.table, domains.key, domains.colors)
    return _base.finish(figure, axes, ax=None, show=show, save=save)


def _columns(table: AnnData, key: str, domain_key: str) -> tuple[Layer, Layer]:
    """Weights and domains, checked."""
    column = _keys.image_weight_key(key)
    if column not in table.obs:
        found = ", ".join(map(repr, table.obs.columns)) or "nothing"
        raise KeyError(f"no {column!r} in obs; found: {found}. Run tl.multist_domains with key_added={key!r}")
    weight = Layer(column, table.obs[column].astype(float), None)
    if not np.isfinite(weight.values).any():
        raise ValueError(f"obs[{column!r}] has no value for any of the {table.n_obs} spots")
    domains = obs_values(table, domain_key, "domain_key", whole_numbers_are_categories=True)
    if not isinstance(domains.dtype, pd.CategoricalDtype):
        raise ValueError(f"obs[{domain_key!r}] holds numbers that are no names of domains; give another domain_key")
    return weight, Layer(domain_key, domains, category_colors(table, domain_key, domains))


def _borders(table: AnnData, key: str, domain_key: str) -> tuple[pd.DataFrame | None, str]:
    """What there is to draw of borders, and a heading that says so if they are those of other domains."""
    result: Any = table.uns.get(key, {})
    measured = result.get(_keys.BORDER_SHARPNESS) if isinstance(result, Mapping) else None
    if measured is None:
        return None, ""
    of = str(result.get(f"{_keys.BORDER_SHARPNESS}_params", {}).get("domain_key", domain_key))
    shown = shown_borders(measured)
    return (shown if len(shown) else None), "borders" if of == domain_key else f"borders of {of}"


def _distribution(ax: Axes, weight: np.ndarray, domains: Layer) -> None:
    """A box a domain, from the one with the largest median down."""
    own = {name: weight[(domains.values == name).to_numpy() & np.isfinite(weight)] for name in domains.colors or {}}
    own = dict(sorted(((n, w) for n, w in own.items() if len(w)), key=lambda item: -float(np.median(item[1]))))
    for place, (name, values) in enumerate(own.items()):
        lowest, low, middle, high, highest = np.percentile(values, [5, 25, 50, 75, 95])
        ax.plot([lowest, highest], [place, place], color="0.3", linewidth=1.2, zorder=1)
        ax.barh(
            place, high - low, left=low, height=0.62, color=(domains.colors or {})[name], edgecolor="0.3", linewidth=0.8,
            zorder=2,
        )  # fmt: skip
        ax.plot([middle, middle], [place - 0.31, place + 0.31], color="black", linewidth=2, zorder=3)
    ax.set(xlabel="weight of the image", ylim=(len(own) - 0.4, -0.6), title="by domain")
    ax.set_yticks(range(len(own)), list(own))
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
