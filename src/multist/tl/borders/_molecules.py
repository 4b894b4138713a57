"""Expression of ligands and receptors: genes found whatever their case, complexes by their scarcest subunit."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from multist._settings import logger
from multist._words import counted
from multist.access import gene_names, log_expression, names_place, some_names
from multist.tl.borders._pairs import SOURCE, SUBUNITS, TARGET

if TYPE_CHECKING:
    from anndata import AnnData

_ROWS_AT_ONCE = 4096  # spots that are dense in all genes at once, before complexes are one molecule


class Molecules(NamedTuple):
    """The pairs that the table has genes for.

    Attributes
    ----------
    pairs
        Columns ``source`` and ``target``: the names as the pairs have them.
    genes
        Positions of the genes of each molecule; a complex has several.
    ligand, receptor
        (n_pairs,) index into ``genes``.
    """

    pairs: pd.DataFrame
    genes: list[tuple[int, ...]]
    ligand: np.ndarray
    receptor: np.ndarray


def find_molecules(pairs: pd.DataFrame, table: AnnData, gene_symbols: str | None) -> Molecules:
    """Look up the genes of each pair; upper and lower case are told apart only where the table does.

    Parameters
    ----------
    pairs
        Columns ``source`` and ``target``.
    table
        The table.
    gene_symbols
        Column of ``var`` with the names; None for ``var_names``.

    Returns
    -------
    The pairs whose ligand and receptor are there, a complex with all of its subunits.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        The table has no genes, no pair is there, or a gene that is asked for has a name that is there twice.
    """
    names = gene_names(table, gene_symbols)
    if len(names) == 0:
        raise ValueError("the table has no genes, so that no pair is in it")
    exact, folded = _positions(names), _positions(np.char.upper(names.astype(str)))
    asked = pd.unique(pairs[[SOURCE, TARGET]].to_numpy().ravel())
    where = names_place(gene_symbols)
    genes = {name: _genes(name, exact, folded, where) for name in asked}
    found_pairs = pairs[[bool(genes[s] and genes[t]) for s, t in zip(pairs[SOURCE], pairs[TARGET], strict=True)]]
    if found_pairs.empty:
        examples = ", ".join(repr(name) for name in asked[:3])
        columns = ", ".join(map(repr, table.var)) or "none"
        raise ValueError(
            f"none of {counted(len(pairs), 'pair')} has both its genes in the table: pairs name {examples}, "
            f"{where} holds {some_names(names)}; "
            f"gene_symbols takes a column of var with the symbols (columns: {columns})"
        )
    distinct = list(dict.fromkeys(genes[name] for name in found_pairs.to_numpy().ravel()))
    number = {molecule: i for i, molecule in enumerate(distinct)}
    codes = np.array([[number[genes[name]] for name in pair] for pair in found_pairs.to_numpy()])
    # names that differ in case only are the same pair
    _, first = np.unique(codes, axis=0, return_index=True)
    kept = np.sort(first)
    logger.info("%d of %s with all genes in the table", len(kept), counted(len(pairs), "ligand-receptor pair"))
    return Molecules(found_pairs.iloc[kept].reset_index(drop=True), distinct, codes[kept, 0], codes[kept, 1])


def molecule_expression(table: AnnData, layer: str | None, genes: list[tuple[int, ...]]) -> np.ndarray:
    """Log-normalised expression of each molecule, see :func:`multist.access.log_expression`.

    Parameters
    ----------
    table
        The table.
    layer
        Layer to read; None for the first of ``X``, a layer of counts and ``raw`` that will do.
    genes
        Positions of the genes of each molecule.

    Returns
    -------
    (n_obs, n_molecules) float32; of a complex the least of its subunits, spot by spot.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        Values are missing, negative or not finite.
    """
    needed, at = np.unique(np.concatenate(genes), return_inverse=True)
    starts = np.cumsum([0, *map(len, genes[:-1])])
    values = log_expression(table, layer, needed)
    result = np.empty((table.n_obs, len(genes)), dtype=np.float32)
    for start in range(0, table.n_obs, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        result[rows] = np.minimum.reduceat(values[rows].toarray()[:, at], starts, axis=1)
    return result


def _positions(names: np.ndarray) -> dict[str, list[int]]:
    """Name to the positions that have it."""
    found: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        found.setdefault(name, []).append(position)
    return found


def _genes(name: str, exact: dict[str, list[int]], folded: dict[str, list[int]], where: str) -> tuple[int, ...]:
    """Positions of a gene or of all subunits of a complex; nothing if one is not there.

    Raises
    ------
    ValueError
        If several genes have a name.
    """
    whole = exact.get(name, folded.get(name.upper()))
    parts = [whole] if whole else [exact.get(part, folded.get(part.upper())) for part in name.split(SUBUNITS)]
    if None in parts:
        return ()
    places = [part for part in parts if part is not None]
    if any(len(place) > 1 for place in places):
        raise ValueError(
            f"{name!r} names several genes in {where} (columns {', '.join(map(str, max(places, key=len)[:5]))}), so "
            "it does not tell which is meant; add their counts up by multist.pp.sum_genes, write it as the table "
            "does, or drop or rename those that are not meant"
        )
    return tuple(sorted({place[0] for place in places}))
