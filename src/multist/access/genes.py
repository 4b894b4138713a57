"""Genes by their names: who is meant, and what becomes of several that share one."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._settings import logger
from multist._words import counted
from multist.access.absent import listed, not_found
from multist.access.expression import Expression, layer_names, sparse_rows

_SHOWN = 3
_ENSEMBL, _MOST = r"ENS[A-Z]*G\d+", 0.5
"""Identifiers of genes, and the share of names from which a table is said to use them."""


def table_with(table: AnnData, genes: Iterable[str], gene_symbols: str | None) -> AnnData:
    """The table itself, or all that its ``raw`` holds where only that has all of the genes; the log says so."""
    raw, wanted = table.raw, set(genes)
    missing = wanted - set(gene_names(table, gene_symbols))
    if not missing or raw is None or gene_symbols not in (None, *raw.var):
        return table
    if not wanted <= set(gene_names(raw, gene_symbols)):
        return table
    logger.info("%s: found in raw alone, which is read", listed(sorted(missing)))
    return AnnData(raw.X, obs=table.obs[[]], var=raw.var)


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
        raise not_found(gene_symbols, "var", table.var, argument="gene_symbols")
    column = table.var[gene_symbols]
    return np.where(column.isna(), names, column.astype(str).to_numpy())


def names_place(gene_symbols: str | None) -> str:
    """Where the names of :func:`gene_names` lie, as an error says it."""
    return "var_names" if gene_symbols is None else f"var[{gene_symbols!r}]"


def some_names(names: np.ndarray) -> str:
    """The first names of the genes as they are shown in an error."""
    return f"{listed(names[:_SHOWN].tolist())}{', ...' if len(names) > _SHOWN else ''}"


def symbols_advice(table: AnnData, missing: Iterable[str]) -> str:
    """What to add to an error about genes that are not there: the columns of ``var`` that hold them, if any do."""
    wanted = list(missing)
    held = [name for name in table.var if table.var[name].astype(str).isin(wanted).any()]
    return f". They are in var, column {listed(held)}: give gene_symbols={held[0]!r}" if held else ""


def identifiers_advice(table: AnnData) -> str:
    """What to say of a table whose genes are named by Ensembl's identifiers; empty for any other."""
    if not len(table.var_names) or table.var_names.str.match(_ENSEMBL).mean() < _MOST:
        return ""
    texts = {name: table.var[name] for name in table.var if not pd.api.types.is_numeric_dtype(table.var[name])}
    # names differ from gene to gene, as a chromosome does not
    columns = [name for name, text in texts.items() if text.nunique() > _MOST * table.n_vars]
    columns = [name for name in columns if texts[name].astype(str).str.match(_ENSEMBL).mean() < _MOST]
    found = f"those of var are: {listed(columns)}" if columns else "var has none yet"
    return f"genes are named by identifiers such as {table.var_names[0]!r}; gene_symbols takes a column, and {found}"


def refuse_twins(names: Iterable[Any], where: str, asked: Iterable[str] | None = None) -> None:
    """Raise a ValueError if several genes share a name, so that it does not tell which is meant.

    Parameters
    ----------
    names
        Of all genes.
    where
        What holds them.
    asked
        The names that matter; None for all.
    """
    index = pd.Index(names).astype(str)
    shared = index[index.duplicated()].unique()
    if asked is not None:
        shared = shared[shared.isin(list(asked))]
    if len(shared) == 0:
        return
    at = ", ".join(map(str, np.flatnonzero(index == shared[0])[: _SHOWN + 1]))
    more = "" if len(shared) == 1 else f", and {counted(len(shared) - 1, 'more name is', 'more names are')} shared"
    raise ValueError(
        f"{where}: {shared[0]!r} names several genes (columns {at}){more}, so it does not tell which is meant; add "
        "their counts up by multist.pp.sum_genes, or rename or drop those that are not meant"
    )


def summed_twins(table: AnnData, gene_symbols: str | None = None) -> AnnData:
    """A table of its own in memory, in which genes that share a name are one; see :func:`multist.pp.sum_genes`."""
    names = pd.Index(gene_names(table, gene_symbols))
    codes, kept = pd.factorize(names)
    first = np.flatnonzero(~names.duplicated())
    matrices = {"X": table.X} | {f"layers[{name!r}]": table.layers[name] for name in layer_names(table)}
    for where, values in matrices.items():
        judged = None if values is None else Expression.judged(values, where, table.var_names)
        if judged is not None and judged.kind != "counts":
            raise ValueError(
                f"{where} holds {judged.described()}, of which sums mean nothing: sum the counts first, or drop it"
            )
    summed = {where: values if values is None else _added(values, codes) for where, values in matrices.items()}
    shared = names[names.duplicated(keep=False)]
    logger.info("%d genes share %s, and are summed", len(shared), counted(shared.nunique(), "name"))
    return AnnData(
        summed["X"],
        obs=table.obs.copy(),
        var=table.var.iloc[first].set_axis(kept),
        obsm={name: table.obsm[name].copy() for name in table.obsm},
        obsp={name: table.obsp[name].copy() for name in table.obsp},
        layers={name: summed[f"layers[{name!r}]"] for name in layer_names(table)},
        uns=deepcopy(dict(table.uns)),
        shape=None if summed["X"] is not None else (table.n_obs, len(kept)),
    )


def _added(values: Any, codes: np.ndarray) -> Any:
    """Columns of one code added up; whole numbers in 64 bits, so that none is too large."""
    held = values if isinstance(values, np.ndarray) or sparse.issparse(values) else sparse_rows(values)
    dtype = held.dtype if held.dtype.kind == "f" else np.dtype(np.int64)
    shape = (len(codes), int(codes.max(initial=-1)) + 1)
    which = sparse.csr_matrix((np.ones(len(codes), dtype), (np.arange(len(codes)), codes)), shape=shape)
    return sparse.csr_matrix(held @ which) if sparse.issparse(held) else held @ which
