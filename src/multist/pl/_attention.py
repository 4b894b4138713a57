"""Whom chosen spots listened to: the weights of the spots around them on the tissue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd
import scipy.sparse as sp

from multist import _keys
from multist._numbers import is_positive
from multist._settings import logger
from multist.access import check_whole, get_table, listed, not_found, read_graph
from multist.pl._attention_panels import Close, Style, attention_panels, draw_close, explain_closes
from multist.pl._layer import Layer, domain_layer
from multist.pl._look import Look, MapOptions, drawn
from multist.pl._names import in_lines
from multist.pl._slides import slides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

    from multist.access.record import SpatialRecord

_MAX_SPOTS = 12
"""Spots in a figure; more are too small to read."""
_WHOLE = 0.995
"""Sum of the weights of a spot from which on none is missing, but for rounding."""


@drawn(MapOptions)
def attention(
    data: AnnData | SpatialData,
    spots: str | Sequence[str],
    key: str = _keys.MULTIST,
    *,
    cluster_key: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
    radius: float | None = None,
    ncols: int | None = None,
    **look: Unpack[MapOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw how much a spot's image listened to each of the spots within two steps, relative to equal weights.

    Every chosen spot has a close-up of the tissue. Circles are filled with the weight of a spot around it relative to
    equal weights: 1 is what a plain mean would give, so all near 1 means that nothing was learned here. The number is
    written where there is room for it, as in most figures of one spot. Edges of circles have the colour of their
    domain; spots that are not listened to are drawn as edges alone, and so is the chosen spot, in a black ring: its own
    expression was hidden when attention was learnt. Below are the means over the spots in its own domain and in others:
    where the image holds back from what lies across a border, the others have less than 1.

    Attention is one of several averages that make up the embedding. Which modality can tell the two sides of a border
    apart is measured by :func:`multist.tl.border_sharpness`.

    ``vmax`` is the factor to which the scale reaches, and ``vmin`` to what fraction; the larger of the two holds for
    both sides of
    1. ``cmap`` is a diverging map (``"BrBG"``), whose middle stands for 1.

    Parameters
    ----------
    data
        Table with a result of :func:`multist.tl.multist_domains`.
    spots
        Name of a spot or cell in ``obs_names``, or up to 12 of them.
    library_key
        Column of ``obs`` that names the section of each spot; only the chosen spot's own is drawn.
    radius
        How far a close-up reaches from its spot, in spot diameters. Where these are unknown, the distance between
        neighbours is 1. None shows the spots that are listened to and what is next to them.
    ncols
        Chosen spots in a row, by default up to two.

    Returns
    -------
    The figure with ``return_fig=True``; the list of axes with ``show=False`` or ``ax``, one for each spot; else None.
    Nothing is written to ``data``.

    Raises
    ------
    KeyError
        If a spot, the result or the domains do not exist; the message lists what there is. Where no image took part,
        all spots count alike, and the log says so.
    ValueError
        If ``spots`` are none or more than 12, a spot has no weights, or a number is out of range.

    Examples
    --------
    >>> mt.pl.attention(adata, ["AAACAAGTATCTCCCA-1", "AAACAGAGCGACTCCT-1"], save="attention.png")
    """
    options = Look.of(look)
    if radius is not None and not is_positive(radius):
        raise ValueError(f"radius is a positive number of spot diameters, or None, got {radius}")
    for name, limit in (("vmin", options.vmin), ("vmax", options.vmax)):
        if limit is not None and not is_positive(limit):
            raise ValueError(f"{name} is a positive factor, or None, got {limit!r}")
    if ncols is not None:
        check_whole(ncols=ncols)
    if not isinstance(spots, Iterable):
        raise TypeError(f"spots are names of obs_names, one or several; got {spots!r}")
    names = [spots] if isinstance(spots, str) else list(dict.fromkeys(spots))
    rows = _rows(get_table(data, table_key), names)
    tissue = slides(data, image_key=image_key, table_key=table_key, library_key=library_key)
    record = tissue.only
    weights = _weights(record.table, key, rows)
    domains = domain_layer(tissue, cluster_key or _keys.domain_key(key), options)
    diameter = np.full(record.table.n_obs, np.nan)
    for section in np.unique(record.section[rows]):
        diameter[tissue.rows(section)] = tissue.diameters(section)
    closes = [
        Close.at(record, row, keys, weight, diameter, radius) for row, (keys, weight) in zip(rows, weights, strict=True)
    ]
    style = Style.over(closes, domains.only(options.chosen), options)
    entries = style.entries(closes)
    titles = [_heading(record, close, key, domains) for close in closes]
    canvas, side = attention_panels(titles, ncols, list(entries), options)
    for ax, close in zip(canvas.axes, closes, strict=True):
        draw_close(ax, tissue, close, style, domains, diameter)
    explain_closes(side, style, entries)
    canvas.set_titles(titles, loc="left")
    return canvas.finish("attention", listed=True)


def _rows(table: AnnData, names: list[str]) -> list[int]:
    """Rows of the chosen spots."""
    if not 1 <= len(names) <= _MAX_SPOTS:
        raise ValueError(f"spots names {len(names)} spots; give one, or a list of up to {_MAX_SPOTS}")
    missing = [name for name in names if name not in table.obs_names]
    if missing:
        some = listed(table.obs_names[:3])
        raise KeyError(f"spots {listed(missing)} not found in obs_names; found {table.n_obs} names such as {some}")
    return [int(row) for row in table.obs_names.get_indexer(names)]


def _weights(table: AnnData, key: str, rows: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each row: whom it listens to, and with what weight relative to equal ones."""
    name = _keys.attention_key(key)
    if name in table.obsp:
        chosen = sp.csr_matrix(table.obsp[name][rows])
    elif _keys.image_weight_key(key) in table.obs and _keys.CONNECTIVITIES in table.obsp:
        logger.warning("no image took part in %r, or nothing was trained: all spots within two steps count alike", key)
        chosen = _within_two_steps(read_graph(table), rows)
    else:
        raise not_found(name, "obsp", table.obsp, key_added=key)
    weights = []
    for i, row in enumerate(rows):
        part = slice(chosen.indptr[i], chosen.indptr[i + 1])
        given = chosen.data[part].astype(float)
        spot = table.obs_names[row]
        if not given.sum() > 0:
            raise ValueError(f"obsp[{name!r}] has no weights for {spot!r}: it has no neighbours, or they were cut off")
        if name in table.obsp and given.sum() < _WHOLE:
            logger.warning(
                "%r listened to spots that were cut off the table, with %.0f %% of its weight: the others are drawn "
                "relative to equal weights among themselves",
                spot,
                100 * (1 - given.sum()),
            )
        weights.append((chosen.indices[part], given / given.mean()))
    return weights


def _within_two_steps(adjacency: sp.csr_matrix, rows: list[int]) -> sp.csr_matrix:
    """(m, n) ones for the spots within two steps; the spot itself only where there are no others."""
    near = (adjacency[rows] + adjacency[rows] @ adjacency).tolil()
    near[np.arange(len(rows)), rows] = (np.diff(adjacency.indptr)[rows] == 0).astype(near.dtype)
    return (near.tocsr() != 0).astype(np.float32)


def _heading(record: SpatialRecord, close: Close, key: str, domains: Layer) -> str:
    """Name and domain of the spot, and what else the result says of it."""
    obs = record.table.obs.iloc[close.row]
    name = str(record.table.obs_names[close.row])
    if len(record.section_names) > 1:
        name += f", {record.section_names[record.section[close.row]]}"
    domain = domains.values.iloc[close.row]
    columns = {"confidence": f"{key}_confidence", "image weight": _keys.image_weight_key(key)}
    said = [f"{label} {obs[column]:.2f}" for label, column in columns.items() if column in obs.index]
    return "\n".join([*map(in_lines, (name, "no domain" if pd.isna(domain) else f"domain {domain}")), *said])
