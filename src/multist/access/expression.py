"""What a matrix of expression holds, told by one set of rules, and its values block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from multist._settings import logger
from multist.access.absent import listed, not_found
from multist.access.blocks import Result, active_client, block_results, row_blocks
from multist.access.tables import open_file

if TYPE_CHECKING:
    from anndata import AnnData

Kind = Literal["counts", "log-normalised", "scaled", "unknown", "not finite"]
"""Whole numbers from 0 on; logarithms of normalised counts; values below 0; other decimals; NaN or infinite values."""

TARGET_SUM = 1e4
_COUNT_LAYERS = ("counts", "raw_counts", "count", "raw")
_HIGHEST_LOG = 20.0  # no logarithm of a count is above: e to the 20 is half a billion
_SPREAD = 0.1  # up to which row sums are called constant
# bases of logarithms, and up to which row sums are constant in each; of rare ones less may be chance
_BASES = {math.e: _SPREAD, 2.0: 0.01, 10.0: 0.01}
_WHOLE_SHARE, _ENOUGH_VALUES = 0.9, 100  # share of whole multiples that counts leave, and how many values tell it
_SAMPLED = 1000  # spots that tell what X is, where it is not read
_LOGGED: tuple[Collection[Kind], ...] = (("counts", "log-normalised"),)


@dataclass(frozen=True, eq=False)
class Expression:
    """A matrix of expression, of which it is known what it holds.

    Attributes
    ----------
    values
        (n_obs, n_genes) CSR or dense, dask, or on disk; possibly the table's own, so it is only read.
    where
        What to call it.
    genes
        (n_genes,) names.
    kind
        What it holds.
    total
        (n_obs,) float64 sum over all genes.
    """

    values: Any
    where: str
    genes: pd.Index
    kind: Kind
    total: np.ndarray

    @classmethod
    def judged(cls, values: Any, where: str, genes: pd.Index, *, logged: bool = False) -> Expression:
        """Look at all values; ``logged`` is whether the table says that somebody took their logarithm.

        Raises
        ------
        ValueError
            If they are no numbers.
        """
        if np.dtype(values.dtype).kind not in "biuf":
            raise ValueError(f"{where} holds {values.dtype}, not numbers")
        values = _readable(values)
        total, least, most, whole, finite = np.zeros(values.shape[0]), 0.0, 0.0, True, True
        for rows, seen in block_results(values, _looked_at):
            finite, whole = finite and seen[0], whole and seen[1]
            least, most, total[rows] = min(least, seen[2]), max(most, seen[3]), seen[4]
        kind: Kind = "unknown"
        if not finite:
            kind = "not finite"
        elif least < 0:
            kind = "scaled"
        elif whole:
            kind = "counts"
        elif most < _HIGHEST_LOG and (logged or _logs_of_normalised(values)):
            kind = "log-normalised"
        return cls(values, where, genes, kind, total)

    def blocks(self) -> Iterator[tuple[slice, sparse.csr_matrix]]:
        """Rows and their values, see :func:`row_blocks`."""
        return row_blocks(self.values)

    def results(self, work: Callable[..., Result], *by_row: np.ndarray) -> Iterator[tuple[slice, Result]]:
        """Rows and what ``work`` makes of their values, see :func:`block_results`."""
        return block_results(self.values, work, *by_row)

    def to_memory(self) -> sparse.csr_matrix:
        """(n_obs, n_genes) float32 CSR, a copy."""
        return sparse_rows(self.values)

    def described(self) -> str:
        """What it holds, in words."""
        if self.kind == "unknown" and _spread(self.total) <= _SPREAD:
            return "values that are divided by the library size and were not logged"
        return {
            "counts": "counts",
            "log-normalised": "log-normalised values",
            "scaled": "scaled values (some are negative)",
            "unknown": "decimals that are neither counts nor log-normalised "
            "(as what removes ambient molecules leaves them)",
            "not finite": "NaN or infinite values",
        }[self.kind]


def find_expression(
    table: AnnData, layer: str | None, wanted: Sequence[Collection[Kind]] = _LOGGED, *, advice: str = ""
) -> Expression:
    """The expression of a table that is of the kind wanted most.

    ``X`` is looked at first, then a layer with the name of counts, then ``raw``; a given ``layer`` is the only one.
    Values are *counts* if all are whole numbers from 0 on; *scaled* if some are negative; *log-normalised* if all lie
    below 20 and either ``uns["log1p"]`` says so of ``X``, or their exponentials to base e, 2 or 10, minus one, are like
    counts over a library size: rows of near the same sum, or whole multiples of the least value of the row; *unknown*
    otherwise.

    Parameters
    ----------
    table
        The table; it is only read.
    layer
        Layer to read; None to look.
    wanted
        Kinds that will do, the best first; those of one set are equally good.
    advice
        What else can be done, for the error.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        There are no values, or none of the kinds wanted.
    """
    check_layer(table, layer)
    found: list[Expression] = []
    for values, where, genes in _candidates(table, layer):
        logged = where == "X" and "log1p" in table.uns
        found.append(Expression.judged(values, where, genes, logged=logged))
        if found[-1].kind in wanted[0]:
            break
    for kinds in wanted:
        chosen = next((one for one in found if one.kind in kinds), None)
        if chosen is not None:
            beside = "".join(f"; {one.where} holds {one.described()}" for one in found if one is not chosen)
            logger.info("%s holds %s and is read%s", chosen.where, chosen.described(), beside)
            return chosen
    only_counts = {kind for kinds in wanted for kind in kinds} == {"counts"}
    needed = "counts" if only_counts else "counts or log-normalised expression"
    cure = f"pass layer= with {needed} (layers: {listed(layer_names(table))}){advice}"
    if not found:
        where = "X" if layer is None else f"layers[{layer!r}]"
        raise ValueError(f"{where} {'holds no genes' if 0 in table.shape else 'is empty'}; {cure}")
    held = "; ".join(f"{one.where} holds {one.described()}" for one in found)
    if found[0].kind == "unknown":
        cure += "; of nearly whole counts make a layer by round()"
        cure += "" if only_counts else ", of normalised values one by log1p()"
    raise ValueError(f"{held}; {cure}")


def check_layer(table: AnnData, layer: str | None) -> None:
    """Raise a KeyError if there is no such layer, also where it may not be read: a slip of the pen is one."""
    if layer is not None and layer not in table.layers:
        raise not_found(layer, "layers", layer_names(table), argument="layer")


def layer_names(table: AnnData) -> list[str]:
    """Names of the layers, among which newer versions of anndata count ``X``, under None."""
    return [name for name in table.layers if name is not None]


def sparse_rows(values: Any) -> sparse.csr_matrix:
    """(n_obs, n_genes) float32 CSR copy of a matrix that may be on disk or lazy, and is never dense as a whole."""
    return sparse.csr_matrix(sparse.vstack([block for _, block in row_blocks(_readable(values))], format="csr"))


def log_expression(table: AnnData, layer: str | None, columns: np.ndarray | None = None) -> Any:
    """Log-normalised expression, on a copy.

    Counts are divided by the spot's total over all genes, times 10,000, and ``log1p`` is taken; log-normalised values
    stay as they are.

    Parameters
    ----------
    table
        The table; it is only read.
    layer
        Layer to read; None for what :func:`find_expression` finds.
    columns
        Positions of the genes in ``table.var`` to take; None for all.

    Returns
    -------
    (n_obs, n_genes) float32 CSR.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        There are no values, or they are of another kind.
    """
    return _logged(find_expression(table, layer, _LOGGED), table, columns)


def shown_expression(table: AnnData, layer: str | None, columns: np.ndarray | None = None) -> tuple[Any, bool]:
    """The same to be drawn, and whether it is log-normalised: values of another kind are taken as they are.

    A warning says so.
    """
    found = find_expression(table, layer, (*_LOGGED, ("scaled", "unknown", "not finite")))
    log_normalised = found.kind in _LOGGED[0]
    if not log_normalised:
        logger.warning("%s holds %s; the values are taken as they are", found.where, found.described())
    return _logged(found, table, columns), log_normalised


def _logged(found: Expression, table: AnnData, columns: np.ndarray | None) -> Any:
    place = np.arange(table.n_vars) if columns is None else np.asarray(columns)
    if not found.genes.equals(table.var_names):  # raw
        place = found.genes.get_indexer(table.var_names[place])
    scale = TARGET_SUM / np.maximum(found.total, 1)
    blocks = []
    for rows, block in found.blocks():
        chosen = block[:, place]
        if found.kind == "counts":
            chosen = sparse.csr_matrix(sparse.diags(scale[rows]) @ chosen).log1p()
        blocks.append(chosen.astype(np.float32))
    return sparse.vstack(blocks, format="csr")


def warn_of_raw_components(table: AnnData) -> None:
    """Warn where scanpy made ``X_pca`` of counts as they are, as far as the first spots tell."""
    made = table.uns.get("pca", {})
    params = made.get("params") if isinstance(made, Mapping) else None
    # this package looks at the kind itself, and of components from elsewhere nobody knows what they were made of
    if not isinstance(params, Mapping) or "kind" in params or params.get("layer") or "log1p" in table.uns:
        return
    values = _held_x(table)
    if values is None or np.dtype(values.dtype).kind not in "biuf":
        return
    if Expression.judged(values[:_SAMPLED], "X", table.var_names).kind == "counts":
        logger.warning(
            "obsm['X_pca'] seems to be of raw counts: X holds counts and uns no 'log1p'. Its first components are then "
            "little but library size; delete it, and pp.embed_expression makes another"
        )


def _candidates(table: AnnData, layer: str | None) -> Iterator[tuple[Any, str, pd.Index]]:
    """Matrices to look at in order, what to call each, and the names of its genes."""
    names = table.var_names
    if layer is not None:
        yield table.layers[layer], f"layers[{layer!r}]", names
        return
    held = _held_x(table)
    if held is not None:
        yield held, "X", names
    for name in _COUNT_LAYERS:
        if name in table.layers:
            yield table.layers[name], f"layers[{name!r}]", names
    raw = table.raw
    # genes of raw are found by name, so that they have to have one each, unless they are the same in the same order
    if raw is not None and raw.X is not None:
        unique = raw.var_names.is_unique and names.is_unique
        if raw.var_names.equals(names) or (unique and names.isin(raw.var_names).all()):
            yield raw.X, "raw", raw.var_names


def _held_x(table: AnnData) -> Any:
    """``X``, or None where there are no values; a file may hold none."""
    open_file(table)
    return None if 0 in table.shape or (table.isbacked and "X" not in table.file) else table.X


def _looked_at(block: sparse.csr_matrix) -> tuple[bool, bool, float, float, np.ndarray]:
    """Whether all values are finite, and whole; the least and the largest, zero included; (rows,) sums."""
    whole = np.array_equal(block.data, np.rint(block.data))
    ends = float(block.data.min(initial=0)), float(block.data.max(initial=0))
    return bool(np.isfinite(block.data).all()), whole, *ends, block.sum(axis=1, dtype=np.float64).A1


def _readable(values: Any) -> Any:
    """The same in a form of which rows can be taken quickly."""
    if hasattr(values, "compute") and len(values.chunks[0]) == 1 and active_client() is None:
        values = values.compute()  # one chunk is in memory as a whole in every pass, so it is read once
    if getattr(values, "format", "csr") == "csc":  # in memory or on disk
        values = values.to_memory() if hasattr(values, "to_memory") else values
        return sparse.csr_matrix(values)
    return sparse.csr_matrix(values) if sparse.issparse(values) else values


def _logs_of_normalised(values: Any) -> bool:
    """Whether exponentials, minus one, look like counts over a library size, and the values themselves do not."""
    own, natural = _traces_of_counts(values, np.asarray, partial(_unlogged, math.e))
    if _are_counts(natural, own, _BASES[math.e]):
        return True
    # exponentials take longest, and most tables need no others
    rare = [base for base in _BASES if base != math.e]
    traces = _traces_of_counts(values, *(partial(_unlogged, base) for base in rare))
    return any(_are_counts(trace, own, _BASES[base]) for base, trace in zip(rare, traces, strict=True))


def _are_counts(trace: tuple[float, float], own: tuple[float, float], constant: float) -> bool:
    """Whether exponentials leave the trace of counts, and the values themselves do not."""
    (spread, whole), (own_spread, own_whole) = trace, own
    return (spread <= constant and spread < own_spread) or whole >= _WHOLE_SHARE > own_whole


def _unlogged(base: float, logs: np.ndarray) -> np.ndarray:
    return np.expm1(np.log(base) * logs)


def _traces_of_counts(values: Any, *functions: Callable[[np.ndarray], np.ndarray]) -> list[tuple[float, float]]:
    """Of each function of the values the spread of row sums, and the share of whole multiples of their row's least."""
    of_blocks = [[_seen_in(block, function) for function in functions] for _, block in row_blocks(values)]
    traces = []
    for seen in zip(*of_blocks, strict=True):
        sums, compared, whole = zip(*seen, strict=True)
        share = sum(whole) / sum(compared) if sum(compared) >= _ENOUGH_VALUES else 0.0
        traces.append((_spread(np.concatenate(sums)), share))
    return traces


def _seen_in(block: sparse.csr_matrix, function: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, int, int]:
    """Row sums of a function of the values; how many are compared with the least of their row, and are multiples."""
    made = function(block.data.astype(np.float64))
    sums = sparse.csr_matrix((made, block.indices, block.indptr), shape=block.shape).sum(axis=1).A1
    filled = np.diff(block.indptr) > 0
    if not filled.any():
        return sums, 0, 0
    least = np.minimum.reduceat(made, block.indptr[:-1][filled])
    multiple = made / np.repeat(least, np.diff(block.indptr)[filled])
    multiple = multiple[(multiple > 1.5) & (multiple < 100)]
    return sums, len(multiple), int((np.abs(multiple - np.rint(multiple)) < 0.02).sum())


def _spread(sums: np.ndarray) -> float:
    """Distance between the 5 % and 95 % quantiles of what is above zero, relative to the median."""
    filled = sums[sums > 0]
    if len(filled) < 2:
        return np.inf
    low, middle, high = np.quantile(filled, [0.05, 0.5, 0.95])
    return float((high - low) / middle)
