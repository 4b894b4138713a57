"""Ligand-receptor pairs from where people have them: a table, an installed liana, or a CellPhoneDB folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from multist._settings import logger
from multist.access import check_columns

SOURCE, TARGET = "source", "target"

SUBUNITS = "_"
"""Joins the genes of a complex, as in squidpy and liana."""

_NAMES = ((SOURCE, TARGET), ("ligand", "receptor"))
_CELLPHONEDB = ("interaction_input.csv", "complex_input.csv", "gene_input.csv", "protein_input.csv")
_LIANA = "liana"


def read_pairs(pairs: Any) -> pd.DataFrame:
    """Pairs of any kind as one table; nothing is downloaded.

    Parameters
    ----------
    pairs
        DataFrame with columns ``source`` and ``target``, or ``ligand`` and ``receptor``; ``"liana"`` or
        ``"liana:<resource>"``; or the path of a folder with CellPhoneDB's four input files.

    Returns
    -------
    Columns ``source`` and ``target``, strings, each pair once; complexes are genes joined by ``_``.

    Raises
    ------
    TypeError, ValueError
        It is none of these, lacks a column or has it twice, or holds no pair.
    FileNotFoundError
        The folder or one of its files is not there.
    ImportError
        liana is asked for and not installed.
    """
    if isinstance(pairs, pd.DataFrame):
        table = _columns(pairs)
    elif isinstance(pairs, str) and pairs.split(":")[0] == _LIANA:
        table = _columns(_liana(pairs.partition(":")[2] or "consensus"))
    elif isinstance(pairs, str | Path):
        table = _cellphonedb(Path(pairs).expanduser())
    else:
        raise TypeError(
            "pairs must be a DataFrame, 'liana', or the path of a CellPhoneDB folder, not " + type(pairs).__name__
        )
    given = len(table)
    table = table.dropna().astype(str)
    table = table[(table != "").all(axis=1)]
    if table.empty:
        raise ValueError("pairs holds no pair of a ligand and a receptor")
    if len(table) < given:
        logger.warning(
            "%d of %d rows of pairs lack a ligand or a receptor, and are left out", given - len(table), given
        )
    return table.drop_duplicates(ignore_index=True)


def _columns(table: pd.DataFrame) -> pd.DataFrame:
    for names in _NAMES:
        if set(names) <= set(table.columns):
            check_columns(table[list(names)], "pairs")
            return table[list(names)].set_axis([SOURCE, TARGET], axis=1)
    found = ", ".join(repr(name) for name in table.columns) or "none"
    raise ValueError(f"pairs needs the columns 'source' and 'target', or 'ligand' and 'receptor'; found: {found}")


def _liana(resource: str) -> pd.DataFrame:
    try:
        from liana.resource import select_resource
    except ImportError as error:
        raise ImportError(
            "pairs='liana' takes the pairs from the package liana, which is not installed: pip install "
            "'multist[liana]', or pass a DataFrame or a CellPhoneDB folder"
        ) from error
    return select_resource(resource)


def _cellphonedb(folder: Path) -> pd.DataFrame:
    """Pairs of a ``data`` folder of CellPhoneDB 4 or 5, partners given as UniProt accessions or names of complexes."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"pairs {str(folder)!r} is no folder; pass a DataFrame, 'liana', or the folder with {_CELLPHONEDB[0]}"
        )
    missing = [name for name in _CELLPHONEDB if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; it should be the 'data' folder of CellPhoneDB")
    interactions, complexes, genes, proteins = (pd.read_csv(folder / name, dtype=str) for name in _CELLPHONEDB)
    symbols = _symbols(genes)
    parts = complexes[[column for column in complexes if column.startswith("uniprot")]]
    molecules = dict(symbols)
    for name, subunits in zip(complexes["complex_name"], parts.itertuples(index=False), strict=True):
        named = [symbols.get(subunit) for subunit in subunits if isinstance(subunit, str) and subunit]
        if named and None not in named:
            molecules[name] = SUBUNITS.join(str(subunit) for subunit in named)
    receptors = {*_flagged(proteins, "uniprot"), *_flagged(complexes, "complex_name")}
    first, second = interactions["partner_a"], interactions["partner_b"]
    # version 5 lists the ligand first and says so; before, only the receptors are marked
    directed = interactions.get("directionality", pd.Series("", index=interactions.index)).eq("Ligand-Receptor")
    turned = first.isin(receptors) & ~second.isin(receptors) & ~directed
    table = pd.DataFrame({SOURCE: first.where(~turned, second), TARGET: second.where(~turned, first)})
    return table.apply(lambda column: column.map(molecules))


def _symbols(genes: pd.DataFrame) -> dict[str, str]:
    """UniProt accession to gene symbol."""
    names = genes["gene_name"] if "hgnc_symbol" not in genes else genes["hgnc_symbol"].fillna(genes["gene_name"])
    complete = names.notna() & genes["uniprot"].notna()
    first = ~genes["uniprot"].duplicated() & complete
    return dict(zip(genes["uniprot"][first], names[first], strict=True))


def _flagged(table: pd.DataFrame, name: str) -> pd.Series:
    if "receptor" not in table:
        return pd.Series(dtype=object)
    return table.loc[table["receptor"].str.lower().eq("true"), name]
