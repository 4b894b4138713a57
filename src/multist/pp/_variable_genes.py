"""Which genes vary most, by blocks of spots."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import sparse

from multist.access import Expression

_SPAN = 0.3  # share of the genes that one fit of the trend sees, as in Seurat and scanpy


class Moments(NamedTuple):
    """Of each gene within each section.

    Attributes
    ----------
    spots
        (n_sections,) number of spots.
    detected
        (n_genes,) spots of all sections that have the gene.
    sums, squares
        (n_sections, n_genes) of the values and of their squares.
    """

    spots: np.ndarray
    detected: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    def mean(self) -> np.ndarray:
        """(n_sections, n_genes)."""
        return self.sums / self.spots[:, None]

    def variance(self) -> np.ndarray:
        """(n_sections, n_genes) with n - 1 in the denominator."""
        spread = self.squares - self.sums * self.mean()
        return np.maximum(spread, 0) / np.maximum(self.spots - 1, 1)[:, None]


def moments(expression: Expression, section: np.ndarray, ceiling: np.ndarray | None = None) -> Moments:
    """Moments of the values, or, with a ``ceiling`` (n_sections, n_genes), of the values cut there."""
    shape = (int(section.max()) + 1, len(expression.genes))
    detected, sums, squares = np.zeros(shape[1], dtype=np.int64), np.zeros(shape), np.zeros(shape)
    for _, (codes, *found) in expression.results(partial(_block_moments, ceiling=ceiling), section):
        detected += found[0]
        sums[codes] += found[1]
        squares[codes] += found[2]
    return Moments(np.bincount(section, minlength=shape[0]), detected, sums, squares)


def _block_moments(
    block: sparse.csr_matrix, section: np.ndarray, *, ceiling: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sections of a block; rows that have each gene; sums and squares by section."""
    codes, local = np.unique(section, return_inverse=True)
    width, values = block.shape[1], block.data.astype(np.float64)
    place = np.repeat(local * width, np.diff(block.indptr)) + block.indices
    if ceiling is not None:
        values = np.minimum(values, ceiling[codes].ravel()[place])
    sums, squares = (np.bincount(place, each, len(codes) * width).reshape(-1, width) for each in (values, values**2))
    return codes, np.bincount(block.indices, minlength=width), sums, squares


def most_variable(
    expression: Expression, section: np.ndarray, found: Moments, candidates: np.ndarray, count: int
) -> np.ndarray:
    """Positions of the genes that vary most, sorted.

    Counts are compared with the trend of the variance over the mean, cut at the square root of the number of spots, as
    Seurat and scanpy do (``seurat_v3``; Stuart et al. 2019, doi:10.1016/j.cell.2019.05.031); other values by their
    variance. The rank of a gene is the median of its ranks within sections.

    Parameters
    ----------
    expression
        The values.
    section
        (n_obs,) section of each spot.
    found
        What :func:`moments` gave.
    candidates
        Positions of the genes to choose from.
    count
        How many.

    Raises
    ------
    ValueError
        If the trend cannot be fitted.
    """
    if len(candidates) <= count:
        return candidates
    spread = found.variance()[:, candidates]
    if expression.kind == "counts":
        expected = np.ones((len(found.spots), len(expression.genes)))
        try:
            expected[:, candidates] = [_trend(*both) for both in zip(found.mean()[:, candidates], spread, strict=True)]
        except ValueError as error:
            raise ValueError(
                f"the variance of the genes could not be fitted ({error}); the sections may be too small: leave out "
                f"library_key, or take all genes by n_top_genes={len(candidates)}"
            ) from error
        ceiling = found.mean() + np.sqrt(expected * found.spots[:, None])
        cut = moments(expression, section, ceiling)
        around = cut.squares - 2 * cut.sums * found.mean() + found.spots[:, None] * found.mean() ** 2
        spread = (around / expected / np.maximum(found.spots - 1, 1)[:, None])[:, candidates]
    rank = np.argsort(np.argsort(-spread, axis=1, kind="stable"), axis=1).astype(float)
    chosen = rank < count
    rank[~chosen] = np.nan
    often = chosen.any(axis=0)
    middle = np.full(len(candidates), np.inf)
    middle[often] = np.nanmedian(rank[:, often], axis=0)
    order = np.lexsort([-chosen.sum(axis=0), middle])
    return np.sort(candidates[order[:count]])


def _trend(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Variance that a gene of this mean is expected to have."""
    from skmisc.loess import loess

    varied = variance > 0
    if varied.sum() * _SPAN < 1:  # loess would write beyond its memory
        raise ValueError("too few genes vary")
    model = loess(np.log10(mean[varied]), np.log10(variance[varied]), span=_SPAN, degree=2)
    try:
        model.fit()
    except ValueError as error:  # whose message is bytes
        raise ValueError(error.args[0].decode()) from error
    expected = np.ones(len(mean))
    expected[varied] = 10**model.outputs.fitted_values
    return expected
