"""Principal axes of the expression of one table, on which that of any table is projected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from multist._settings import logger
from multist._words import shown
from multist.access import Expression, Result, refuse_twins

POWERS = {"log": 0.0, "sqrt": 0.5, "none": 1.0}
"""Of the family that Box and Cox (1964) put in one row: the logarithm is its member at zero."""

_MIN_SHARED_GENES = 0.5  # share of the genes; with less, the names are of another kind
_MAX_EXACT_GENES = 512  # genes up to which all axes are found at once
_MAX_COVARIANCE_GENES = 5000  # genes up to which the matrix of all covariances may be held
_MAX_EXACT_SPOTS = 20_000  # spots of which axes are exact
_SPARE = 10  # axes that are sought beside those that are wanted, for precision
_ROWS_AT_ONCE = 4096  # spots that are dense at once


@dataclass(frozen=True, eq=False)
class ExpressionAxes:
    """Principal axes of transformed genes.

    Attributes
    ----------
    genes
        (g,) names.
    mean
        (g,) of the transformed expression.
    loadings
        (g, d) float32, orthonormal columns.
    library
        (m,) names of all genes that were seen; the library size is the sum over them.
    share
        (m,) share of all molecules that each of them has.
    depth
        Library size that every spot is brought to; NaN where values are taken as they are.
    power
        0 for the logarithm of one more, 0.5 for the square root, 1 for the values as they are.
    """

    genes: np.ndarray
    mean: np.ndarray
    loadings: np.ndarray
    library: np.ndarray
    share: np.ndarray
    depth: np.ndarray
    power: np.ndarray

    def to_dict(self) -> dict[str, np.ndarray]:
        """Arrays, as ``uns`` keeps them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def takes_counts(self) -> bool:
        """Whether it is counts that are projected, or values as they are."""
        return not np.isnan(self.depth)

    @classmethod
    def given(cls, held: Mapping[str, Any], key: str) -> ExpressionAxes:
        """The axes that ``uns[key]`` of a table holds.

        Raises
        ------
        KeyError
            If there are none.
        """
        missing = [field.name for field in fields(cls) if field.name not in held]
        if missing:
            raise KeyError(
                f"the reference holds no axes (uns[{key!r}] lacks {', '.join(missing)}); run pp.embed_expression on "
                "it first"
            )
        arrays = {field.name: np.asarray(held[field.name]) for field in fields(cls)}
        # zarr gives strings of variable length, which h5ad and numpy's own do not take
        return cls(
            **arrays
            | {name: np.array([str(gene) for gene in arrays[name]], dtype=str) for name in ("genes", "library")}
        )

    @classmethod
    def fit(
        cls, expression: Expression, genes: np.ndarray, sums: np.ndarray, power: float, n_comps: int, random_state: int
    ) -> tuple[ExpressionAxes, float]:
        """Axes of the covariance of the genes, and the variance over all genes.

        Of up to 20,000 spots the axes are exact. Of more they are those of a sample, with ten to spare, after one power
        iteration on all spots (Halko et al. 2011, doi:10.1137/090771806). The values stay sparse: the mean is taken off
        the sums.

        Parameters
        ----------
        expression
            The values.
        genes
            (g,) positions of the genes to take.
        sums
            (n_genes,) sum of each gene's values over all spots.
        power
            One of :data:`POWERS`; with 1 the values are taken as they are.
        n_comps
            Number of axes, less than g.
        random_state
            Seed of the sample and of ARPACK's start vector.
        """
        counted = power != POWERS["none"]
        seen = np.flatnonzero(sums > 0) if counted else np.empty(0, dtype=np.int64)
        depth = float(np.median(expression.total[expression.total > 0])) if counted else np.nan
        blocks = _Transformed(expression, genes, _scale(expression.total, depth), power)
        rng = np.random.default_rng(random_state)
        n_obs = len(expression.total)
        if n_obs <= _MAX_EXACT_SPOTS:
            every = blocks.rows(np.ones(n_obs, dtype=bool))
            loadings, mean, total = _leading(every, n_comps, rng)
        else:
            sample = blocks.rows(np.isin(np.arange(n_obs), rng.choice(n_obs, _MAX_EXACT_SPOTS, replace=False)))
            start = _leading(sample, min(n_comps + _SPARE, len(genes) - 1), rng)[0]
            product, mean, total = blocks.times_covariance(start)
            loadings = np.linalg.svd(product, full_matrices=False)[0][:, :n_comps]
        # the sign of an axis has no meaning: its largest entry is positive
        largest = loadings[np.abs(loadings).argmax(axis=0), np.arange(n_comps)]
        names = expression.genes.to_numpy(dtype=str)
        axes = cls(
            names[genes],
            mean,
            np.where(largest < 0, -loadings, loadings).astype(np.float32),
            names[seen],
            (sums[seen] / sums[seen].sum()).astype(np.float32),
            np.array(depth),
            np.array(power),
        )
        return axes, total

    def project(self, expression: Expression, genes: np.ndarray | None = None) -> np.ndarray:
        """(n, d) float32 components.

        Where genes are missing, the components are those that fit the others best (least squares), as long as half of
        them are there.

        Parameters
        ----------
        expression
            The values.
        genes
            (g,) positions of the genes, where they are known; else they are found by name.

        Raises
        ------
        ValueError
            If less than half of the genes are there, or a name is there twice.
        """
        place, total = (genes, expression.total) if genes is not None else self._found(expression)
        there = place >= 0
        scale, power = _scale(total, float(self.depth)), float(self.power)
        loadings = self.loadings[there]
        if not there.all():  # least squares on the genes that are there
            loadings = np.linalg.pinv(loadings).T.astype(loadings.dtype)
        center = self.mean[there] @ loadings
        result = np.empty((len(total), loadings.shape[1]), np.float32)
        transformed = _Transformed(expression, place[there], scale, power)
        for rows, found in transformed.results(partial(_on_axes, loadings=loadings, center=center)):
            result[rows] = found
        return result

    def _found(self, expression: Expression) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the genes, -1 for those that are not there, and the library sizes."""
        names = expression.genes.astype(str)
        refuse_twins(names, "var_names")
        refuse_twins(self.genes, "genes of the reference, which is to be embedded again,")
        place = names.get_indexer(pd.Index(self.genes))
        there = place >= 0
        if there.mean() < _MIN_SHARED_GENES:
            raise ValueError(
                f"{int(there.sum())} of the reference's {len(there)} genes are in var_names ({shown(names[0])}, ...); "
                f"the reference has {shown(self.genes[0])}, ...: are these names of the same kind?"
            )
        if not there.all():
            logger.info(
                "%d of %d genes of the reference are missing; components are fitted to the others",
                (~there).sum(),
                len(there),
            )
        return place, self._library_size(expression, names) if self.takes_counts else expression.total

    def _library_size(self, expression: Expression, names: pd.Index) -> np.ndarray:
        """(n,) sum over the genes that made the library size of the reference, as if all of them were there."""
        counted = names.isin(self.library)
        total = expression.total
        if not counted.all():
            others = np.concatenate([block @ ~counted for _, block in expression.blocks()])
            total = total - others
        missing = self.share[~pd.Index(self.library).isin(names)].sum()
        return total / (1 - float(missing))


def _scale(total: np.ndarray, depth: float) -> np.ndarray:
    """(n,) by what each spot is multiplied."""
    return np.ones(len(total)) if np.isnan(depth) else depth / np.maximum(total, 1.0)


class _Transformed(NamedTuple):
    """Genes of an expression, brought to a depth and stabilised, block by block; zeros stay zeros.

    Attributes
    ----------
    expression
        The values.
    genes
        (g,) positions of the genes.
    scale
        (n,) by what each spot is multiplied.
    power
        One of :data:`POWERS`.
    """

    expression: Expression
    genes: np.ndarray
    scale: np.ndarray
    power: float

    def results(self, work: Callable[..., Result], *by_row: np.ndarray) -> Iterator[tuple[slice, Result]]:
        """Rows and what ``work`` makes of their values, (rows, g) float32 CSR."""
        every = np.array_equal(self.genes, np.arange(len(self.expression.genes)))
        first = partial(_on_transformed, work, None if every else self.genes, self.power)
        return self.expression.results(first, self.scale, *by_row)

    def rows(self, wanted: np.ndarray) -> sparse.csr_matrix:
        """Values of the rows that are ``wanted``, (n,) bool."""
        return sparse.csr_matrix(sparse.vstack([found for _, found in self.results(_rows_of, wanted)], format="csr"))

    def times_covariance(self, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """(g, k) covariance of all rows times (g, k) axes; (g,) means; the sum of the variances."""
        product, n_obs = np.zeros(axes.shape), len(self.scale)
        sums, squares = np.zeros(len(axes)), 0.0
        for _, found in self.results(partial(_sums_with, axes=axes.astype(np.float32))):
            product += found[0]
            sums += found[1]
            squares += found[2]
        mean = sums / n_obs
        product -= np.outer(sums, mean @ axes)
        return product / (n_obs - 1), mean, float(squares - sums @ mean) / (n_obs - 1)


def _on_transformed(
    work: Callable[..., Result],
    genes: np.ndarray | None,
    power: float,
    block: sparse.csr_matrix,
    scale: np.ndarray,
    *by_row: np.ndarray,
) -> Result:
    """Bring a block to a depth and stabilise it, and do the work with that."""
    values = block if genes is None else block[:, genes]
    values.data = values.data * np.repeat(scale, np.diff(values.indptr)).astype(np.float32)
    if power == POWERS["log"]:
        np.log1p(values.data, out=values.data)
    elif power == POWERS["sqrt"]:
        np.sqrt(values.data, out=values.data)
    return work(values, *by_row)


def _rows_of(block: sparse.csr_matrix, wanted: np.ndarray) -> sparse.csr_matrix:
    return block if wanted.all() else block[np.flatnonzero(wanted)]


def _sums_with(block: sparse.csr_matrix, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(g, k) product of a block, its transpose and axes; (g,) sums; the sum of the squares."""
    squares = float(np.square(block.data, dtype=np.float64).sum())
    return block.T @ (block @ axes), np.bincount(block.indices, block.data, len(axes)), squares


def _on_axes(block: sparse.csr_matrix, loadings: np.ndarray, center: np.ndarray) -> np.ndarray:
    return (block @ loadings - center).astype(np.float32)


def _leading(values: sparse.csr_matrix, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Leading eigenvectors (g, count) of the covariance of (n, g) values, (g,) means, and the sum of the variances.

    ARPACK multiplies by the covariance some four hundred times: by the sparse values, or, where that would take longer,
    by the matrix.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import LinearOperator, eigsh

    n_obs, width = values.shape
    mean = values.mean(axis=0, dtype=np.float64).A1
    total = float(np.square(values.data, dtype=np.float64).sum() - n_obs * mean @ mean) / (n_obs - 1)
    if width <= max(_MAX_EXACT_GENES, 4 * count):
        return eigh(_covariance(values, mean), subset_by_index=[width - count, width - 1])[1][:, ::-1], mean, total
    # a sparse entry, met twice a round, takes five times as long as one of the matrix; making that takes the time of
    # n_obs / 16 rounds
    if width > _MAX_COVARIANCE_GENES or 10 * values.nnz < width**2 * (1 + n_obs / 6400):
        turned, middle = values.T.tocsr(), mean.astype(np.float32)

        def multiply(vector: np.ndarray) -> np.ndarray:
            return (turned @ (values @ vector) - n_obs * middle * (middle @ vector)) / (n_obs - 1)

        matrix = LinearOperator((width, width), matvec=multiply, dtype=np.float32)
    else:
        matrix = _covariance(values, mean).astype(np.float32)
    found, vectors = eigsh(matrix, count, which="LA", v0=rng.uniform(-1, 1, width).astype(np.float32))
    return vectors[:, np.argsort(found)[::-1]].astype(np.float64), mean, total


def _covariance(values: sparse.csr_matrix, mean: np.ndarray) -> np.ndarray:
    """(g, g) covariance of (n, g) values, in blocks of rows that are dense."""
    from scipy.linalg.blas import ssyrk

    n_obs, width = values.shape
    upper = np.zeros((width, width), order="F")
    for start in range(0, n_obs, _ROWS_AT_ONCE):
        upper += ssyrk(1.0, values[start : start + _ROWS_AT_ONCE].toarray().T)
    return (np.triu(upper) + np.triu(upper, 1).T - n_obs * np.outer(mean, mean)) / (n_obs - 1)
