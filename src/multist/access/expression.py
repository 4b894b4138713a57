"""Expression as it is tested and drawn: names of the genes, and values on a log scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from multist._settings import logger
from multist.access.tables import listed, read_matrix

if TYPE_CHECKING:
    from anndata import AnnData

TARGET_SUM = 1e4


def gene_names(table: AnnData, gene_symbols: str | None = None) -> np.ndarray:
    """(n_vars,) names of the genes as strings: ``var_names``, or a column of ``var``.

    Where the column has no value, it is the one in ``var_names``.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    names = table.var_names.astype(str).to_numpy()
    if gene_symbols is None:
        return names
    if gene_symbols not in table.var:
        raise KeyError(f"gene_symbols {gene_symbols!r} not found in var; found: {listed(table.var)}")
    column = table.var[gene_symbols]
    return np.where(column.isna(), names, column.astype(str).to_numpy())


def log_expression(
    table: AnnData, layer: str | None, columns: np.ndarray | None = None, *, scaled: bool = False
) -> Any:
    """Log-normalised expression, on a copy.

    Counts, known by being whole numbers, are divided by the spot's total over all genes, times 10,000, and ``log1p`` is taken;
    other values are taken as normalised already.

    Parameters
    ----------
    table
        The table; it is only read.
    layer
        Layer to read; None for ``X``.
    columns
        Positions of the genes to take; None for all.
    scaled
        Whether values below zero, or that are not finite, are taken as they are rather than refused.

    Returns
    -------
    (n_obs, n_genes) float64, CSR or dense.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        There are no values, or such as ``scaled`` is about.
    """
    values, where = read_matrix(table, layer)
    advice = f"pass layer= with counts or log-normalised expression (layers: {listed(table.layers)})"
    if values is None:
        raise ValueError(f"{where} is empty; {advice}")
    stored: np.ndarray = values.data if sparse.issparse(values) else values
    usual = bool(np.isfinite(stored).all() and (stored >= 0).all())
    if not (usual or scaled):
        raise ValueError(f"{where} holds negative values or values that are not finite; {advice}")
    chosen: Any = values if columns is None else values[:, columns]
    if sparse.issparse(chosen):
        chosen = sparse.csr_matrix(chosen, dtype=np.float64, copy=True)
    else:
        chosen = np.array(chosen, dtype=np.float64)
    if not usual or not np.array_equal(stored, np.rint(stored)):
        return chosen
    logger.info("%s holds counts: they are normalised by library size and logged", where)
    scale = TARGET_SUM / np.maximum(np.asarray(values.sum(axis=1), dtype=np.float64).ravel(), 1)
    if sparse.issparse(chosen):
        return sparse.csr_matrix(sparse.diags(scale) @ chosen).log1p()
    return np.log1p(chosen * scale[:, None])
