"""Genes along a coordinate: which to draw, and a curve with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from multist.access import advice, gene_names, listed, names_place, refuse_twins, some_names, symbols_advice

if TYPE_CHECKING:
    from anndata import AnnData

_RISING, _FALLING = 3, 3
_MIN_CELLS = 10
_SPAN = 0.25
"""Share of the cells that a point of the curve looks at."""
_POINTS = 60  # of a curve, at even steps
_GAP = 0.05  # of the axis: farther from every cell than that there is no curve


class Trend(NamedTuple):
    """A smooth curve.

    Attributes
    ----------
    at, mean, error
        (n_points,) coordinate, local mean and its standard error.
    """

    at: np.ndarray
    mean: np.ndarray
    error: np.ndarray


def find_genes(table: AnnData, genes: str | Sequence[str], gene_symbols: str | None) -> list[int]:
    """Positions of genes in a table, by ``var_names`` or a column of ``var``.

    Raises
    ------
    KeyError
        If one is not there.
    ValueError
        If one is there several times.
    """
    names = gene_names(table, gene_symbols)
    where = names_place(gene_symbols)
    wanted = {gene: np.flatnonzero(names == gene) for gene in ([genes] if isinstance(genes, str) else genes)}
    missing = [gene for gene, at in wanted.items() if not len(at)]
    if missing:
        raise KeyError(
            f"genes {listed(missing)} not found in {where}; the table has {some_names(names)}"
            f"{symbols_advice(table, missing) or advice(missing[0], names)}"
        )
    refuse_twins(names, where, wanted)
    return [int(at[0]) for at in wanted.values()]


def strongest_genes(values: sparse.csr_matrix, time: np.ndarray) -> list[int]:
    """Positions of three genes that rise and three that fall most along ``time``, by their correlation with its ranks.

    Parameters
    ----------
    values
        (n_obs, n_vars) expression; genes in less than ten cells are left out.
    time
        (n_obs,) coordinate, NaN where there is none.
    """
    from scipy.stats import rankdata

    has_time = np.isfinite(time)
    rows, rank = values[has_time], rankdata(time[has_time])
    rank = (rank - rank.mean()) / np.maximum(rank.std(), np.finfo(float).tiny)
    mean = np.asarray(rows.mean(axis=0)).ravel()
    squared = np.asarray(rows.multiply(rows).mean(axis=0)).ravel()
    sd = np.sqrt(np.maximum(squared - mean**2, 0))
    enough = (np.asarray((rows != 0).sum(axis=0)).ravel() >= _MIN_CELLS) & (sd > 0)
    strength = np.where(enough, np.asarray(rows.T @ rank).ravel() / len(rank) / np.where(sd > 0, sd, 1), 0)
    order = np.argsort(strength, kind="stable")
    falling, rising = order[:_FALLING], order[::-1][:_RISING]
    return [int(i) for i in (*rising[strength[rising] > 0], *falling[strength[falling] < 0])]


def standardized(values: sparse.csr_matrix, gene: int, has_time: np.ndarray) -> np.ndarray:
    """Expression of a gene in cells with a pseudotime, with mean 0 and deviation 1; all 0 where it is constant."""
    column = values[:, gene].toarray().ravel()
    column = column[has_time] - column[has_time].mean()
    sd = column.std()
    return column / sd if sd > 0 else column


def local_trend(time: np.ndarray, values: np.ndarray) -> Trend:
    """Local linear regression with tricube weights (Cleveland 1979, doi:10.1080/01621459.1979.10481038).

    Parameters
    ----------
    time
        (n,) coordinate, finite.
    values
        (n,) values, finite.

    Returns
    -------
    The curve, level beyond the cells that are nearest and NaN far from them; the standard error is that of a linear
    smoother with the residuals of the local fit.
    """
    order = np.argsort(time, kind="stable")
    time, values = time[order], values[order]
    window = min(len(time), max(10, int(_SPAN * len(time))))
    at = np.linspace(time[0], time[-1], _POINTS)
    mean, error = np.empty(_POINTS), np.empty(_POINTS)
    for i, point in enumerate(at):
        start = _nearest_window(time, point, window)
        near, y = time[start : start + window], values[start : start + window]
        if np.abs(near - point).min() > _GAP * (time[-1] - time[0]):
            mean[i] = error[i] = np.nan
            continue
        x = near - np.clip(point, near[0], near[-1])  # beyond the cells a slope would lead anywhere
        reach = np.abs(x).max() * 1.0001
        weight = (1 - (np.abs(x) / reach) ** 3) ** 3 if reach > 0 else np.ones(len(x))
        moments = [(weight * x**power).sum() for power in range(3)]
        spread = moments[0] * moments[2] - moments[1] ** 2
        flat = spread <= 1e-12 * moments[0] ** 2
        smoother = weight / moments[0] if flat else weight * (moments[2] - moments[1] * x) / spread
        slope = 0.0 if flat else (weight * (moments[0] * x - moments[1]) * y).sum() / spread
        mean[i] = smoother @ y
        error[i] = np.sqrt((smoother**2) @ (y - mean[i] - slope * x) ** 2)
    return Trend(at, mean, error)


def _nearest_window(time: np.ndarray, point: float, window: int) -> int:
    """Start of the ``window`` values of a sorted array that are nearest to ``point``."""
    low, high = max(0, int(np.searchsorted(time, point)) - window), len(time) - window
    candidates = np.arange(low, min(high, int(np.searchsorted(time, point))) + 1)
    reach = np.maximum(point - time[candidates], time[candidates + window - 1] - point)
    return int(candidates[np.argmin(reach)])
