"""Genes that share a name, made one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multist._described import described
from multist.access import get_table, summed_twins, with_table

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@described
def sum_genes(
    data: AnnData | SpatialData, *, gene_symbols: str | None = None, table_key: str | None = None
) -> AnnData | SpatialData:
    """Make one gene of those that share a name, by adding up their counts.

    Functions that ask for genes by name refuse a name that several genes bear, as annotations of two Ensembl
    identifiers by one symbol do. This is for tables in which they are meant to be one.

    Parameters
    ----------
    data
        AnnData or SpatialData with counts; it stays as it is.
    gene_symbols
        Column of ``var`` with the names; left out, ``var_names``. Where it has no value, the name is the one in
        ``var_names``.

    Returns
    -------
    A copy, with names as ``var_names``, each once, in the order of their first genes, whose row of ``var`` they keep.
    ``X`` and all layers are sums; ``raw``, ``varm`` and ``varp``, which are about the single genes, are left out.

    Raises
    ------
    KeyError
        There is no such column or table.
    ValueError
        ``X`` or a layer does not hold counts.

    Examples
    --------
    >>> adata = mt.pp.sum_genes(adata, gene_symbols="symbol")
    """
    return with_table(data, summed_twins(get_table(data, table_key), gene_symbols), table_key)
