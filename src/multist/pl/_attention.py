"""What chosen spots attended to: the weights of their neighbours on the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist import _keys
from multist.access import get_table
from multist.pl import _base
from multist.pl._attention_panels import Look, Style, attention_panels, draw_look, explain_looks
from multist.pl._colors import category_colors, obs_values
from multist.pl._layer import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

    from multist.access.record import SpatialRecord

_MOST = 12
"""Spots in a figure; more are too small to read."""


def attention(
    data: AnnData | SpatialData,
    spots: str | Sequence[str],
    key: str = _keys.MULTIST,
    *,
    domain_key: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    radius: float | None = None,
    size: float = 1.0,
    alpha: float = 1.0,
    cmap: str = "BrBG",
    ncols: int | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Draw what chosen spots attended to: how much each neighbour counted, in expression and in the image.

    Every spot has a close-up of the tissue for each modality. Circles are filled with the neighbour's weight relative to
    equal weights, and the number says it: 1 is what a plain mean would give, so all near 1 means that nothing was
    learned here. Their edges have the colour of their domain; spots that are no neighbours are drawn as edges alone, and a
    black ring marks the chosen spot, which attends to itself, too. Below are the means over the neighbours in its own domain
    and in others: where a modality holds back from what lies across a border, the others have less than 1.

    The attention is the last hop of several, of which those before are plain means: a neighbour stands for its own
    surroundings, too. Which modality can tell the two sides of a border apart is measured by
    :func:`multist.tl.border_sharpness`.

    Parameters
    ----------
    data
        Table with a result of :func:`multist.tl.multist_domains`.
    spots
        Name of a spot or cell in ``obs_names``, or up to 12 of them.
    key
        Name of the result: the ``key_added`` of :func:`multist.tl.multist_domains`.
    domain_key
        ``obs`` column of the domains; None takes those of the result.
    table_key
        Table of a SpatialData.
    image_key
        Image to draw; ``"auto"`` takes the only one, as it was scanned, and None draws none.
    library_key
        Column of ``obs`` that names the section of each spot; only the chosen spot's own is drawn.
    radius
        How far a close-up reaches from its spot, in spot diameters. Where these are unknown, the distance between
        neighbours is 1. None shows the neighbours and what is next to them.
    size
        Diameter of the drawn spots in true diameters.
    alpha
        Opacity of the weights, 0 to 1.
    cmap
        Matplotlib's name of a diverging colour map; its middle stands for 1, and factors to both sides are symmetric.
    ncols
        Chosen spots in a row. By default two, or up to four where there is no image.
    show
        Show the figure; by default if it is neither saved nor returned. With False, the axes are returned.
    save
        File to save the figure to.
    return_fig
        Return the figure.

    Returns
    -------
    The figure with ``return_fig=True``; the list of axes with ``show=False``, for each spot expression and then the image;
    else None. Nothing is written to ``data``.

    Raises
    ------
    KeyError
        If a spot, the attention or the domains do not exist; the message lists what there is.
    ValueError
        If ``spots`` are none or more than 12, a spot has no weights, or a number is out of range.

    Examples
    --------
    >>> mt.pl.attention(adata, ["AAACAAGTATCTCCCA-1", "AAACAGAGCGACTCCT-1"], save="attention.png")
    """
    _check_numbers(radius=radius, size=size, alpha=alpha, ncols=ncols)
    names = [spots] if isinstance(spots, str) else list(dict.fromkeys(spots))
    rows = _rows(get_table(data, table_key), names)
    record = _base.resolve_drawn(data, image_key=image_key, table_key=table_key, library_key=library_key)
    weights = _weights(record.table, key, rows)
    domains = _domains(record.table, domain_key or _keys.domain_key(key))
    diameter = np.full(record.table.n_obs, np.nan)
    for section in np.unique(record.section[rows]):
        own = np.flatnonzero(record.section == section)
        diameter[own] = _base.spot_diameters(record, own)
    looks = [
        Look.at(record, row, of, weight, diameter, radius)
        for i, row in enumerate(rows)
        for of, weight in ((of, each[i]) for of, each in weights.items())
    ]
    style = Style.over(looks, domains, size=size, alpha=alpha, cmap=cmap)
    figure, axes, side = attention_panels(len(rows), len(weights), ncols, domains)
    shown: set[int] = set()
    for i, (ax, look) in enumerate(zip(axes, looks, strict=True)):
        shown |= draw_look(ax, record, look, style, diameter)
        if i % len(weights) == 0:
            ax.set_title(_heading(record, look.row, key, domains), loc="left", fontsize="medium")
    explain_looks(side, style, shown)
    result = _base.finish(figure, axes, ax=None, show=bool(show) if return_fig else show, save=save)
    if return_fig:
        return figure
    return result if result is None or isinstance(result, list) else [result]


def _check_numbers(*, radius: float | None, size: float, alpha: float, ncols: int | None) -> None:
    if not size > 0 or not 0 < alpha <= 1:
        raise ValueError(f"size is positive and alpha lies above 0 and up to 1, got {size} and {alpha}")
    if radius is not None and not radius > 0:
        raise ValueError(f"radius is a positive number of spot diameters, or None, got {radius}")
    if ncols is not None and ncols < 1:
        raise ValueError(f"ncols is at least 1, got {ncols}")


def _rows(table: AnnData, names: list[str]) -> list[int]:
    """Rows of the chosen spots."""
    if not 1 <= len(names) <= _MOST:
        raise ValueError(f"spots names {len(names)} spots; give one, or a list of up to {_MOST}")
    missing = [name for name in names if name not in table.obs_names]
    if missing:
        known = ", ".join(map(repr, table.obs_names[:3]))
        raise KeyError(
            f"spots {', '.join(map(repr, missing))} not found in obs_names; found {table.n_obs} names such as {known}"
        )
    return [int(row) for row in table.obs_names.get_indexer(names)]


def _domains(table: AnnData, key: str) -> Layer:
    values = obs_values(table, key, "domain_key", whole_numbers_are_categories=True)
    if not isinstance(values.dtype, pd.CategoricalDtype):
        raise ValueError(f"obs[{key!r}] holds numbers that are no names of domains; give another domain_key")
    return Layer(key, values, category_colors(table, key, values))


def _weights(table: AnnData, key: str, rows: list[int]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """For each modality and row: whom it attends to, and with what weight relative to equal ones."""
    import scipy.sparse as sp

    keys = {"expression": _keys.attention_key(key), "image": _keys.image_attention_key(key)}
    if keys["expression"] not in table.obsp:
        found = ", ".join(map(repr, table.obsp)) or "nothing"
        raise KeyError(
            f"no {keys['expression']!r} in obsp; found: {found}. Run tl.multist_domains with key_added={key!r}"
        )
    weights: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for modality, name in keys.items():
        if name not in table.obsp:
            continue
        chosen, weights[modality] = sp.csr_matrix(table.obsp[name][rows]), []
        for i, row in enumerate(rows):
            part = slice(chosen.indptr[i], chosen.indptr[i + 1])
            own = chosen.data[part].astype(float)
            if not own.sum() > 0:
                raise ValueError(
                    f"obsp[{name!r}] has no weights for {table.obs_names[row]!r}; run tl.multist_domains again"
                )
            # rows sum to one, unless neighbours were cut off the table since
            weights[modality].append((chosen.indices[part], own / own.mean()))
    return weights


def _heading(record: SpatialRecord, row: int, key: str, domains: Layer) -> str:
    """Name of the spot, and what the result says of it."""
    obs = record.table.obs.iloc[row]
    name = str(record.table.obs_names[row])
    if len(record.section_names) > 1:
        name += f", {record.section_names[record.section[row]]}"
    domain = domains.values.iloc[row]
    said = ["no domain" if pd.isna(domain) else f"domain {domain}"]
    columns = {"confidence": f"{key}_confidence"}
    if _keys.image_attention_key(key) in record.table.obsp:
        columns["image weight"] = _keys.image_weight_key(key)
    said += [f"{label} {obs[column]:.2f}" for label, column in columns.items() if column in obs.index]
    return name + "\n" + " · ".join(said)
