"""squidpy's test of ligand-receptor pairs, with inputs that it can rely on and a result that can be stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist.access import check_whole, domain_params, plain, run, versions
from multist.tl.borders._cluster_test import (
    check_threshold,
    numbered,
    pair_table,
    squidpys_test,
    too_few,
    with_true_labels,
)
from multist.tl.borders._contacts import domain_codes
from multist.tl.borders._molecules import find_molecules, molecule_expression
from multist.tl.borders._pairs import read_pairs

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@described
def ligrec(
    data: AnnData | SpatialData,
    cluster_key: str = _keys.domain_key(),
    *,
    pairs: pd.DataFrame | str | Path,
    layer: str | None = None,
    gene_symbols: str | None = None,
    threshold: float = 0.01,
    n_perms: int = 1000,
    table_key: str | None = None,
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Test which ligand-receptor pairs are characteristic of two domains, by :func:`squidpy.gr.ligrec`.

    The test is squidpy's, an implementation of CellPhoneDB's; what is added is that it gets what it needs. On a
    SpatialData the table is found; counts are normalised and logged on a copy, while squidpy reads ``.raw`` or raw
    counts as they are; genes are found whatever their case or by symbols; and the result is a plain table that files
    can hold, of which
    :func:`multist.tl.ligrec_result` makes squidpy's form. Of more than 50,000 spots as many are compared, drawn from
    each domain.

    It asks whether the domains express the pair, whether or not they are near each other, and markers of two domains
    pass it.
    :func:`multist.tl.interactions` asks also whether the pair is raised where they touch.

    Parameters
    ----------
    data
        Table with domains, and with counts or log-normalised expression; not changed but for the field below.
    pairs
        Ligands and receptors, as :func:`multist.tl.interactions` takes them. Nothing is downloaded.
    layer
        Layer with counts or log-normalised expression; left out, the first of ``X``, a layer of counts and ``raw`` that
        holds such.
    n_perms
        Number of permutations.

    Returns
    -------
    None, or the changed copy. Written to ``uns["multist"]["ligrec"]`` of the table (for the default ``key_added``):

    ``"pairs"``
        DataFrame with a row per pair and two domains, in both directions and within each, the most significant first:
        ``source``, ``target``, ``ligand_domain``, ``receptor_domain``, ``mean``, ``cluster_pvalue`` with the true
        labels as one of the permutations, and its false discovery rate ``cluster_fdr`` (Benjamini and Hochberg). NaN
        where not tested, of which ``why`` gives the reason.
    ``"params"``, ``"versions"``
        What was asked for, with what.

    Raises
    ------
    FileNotFoundError, ImportError
        The folder or liana of ``pairs`` is not there.
    KeyError
        A key does not exist; the message lists those that do.
    ValueError
        No pair has its genes in the table, there are no domains, values are negative, or a number is out of range.

    References
    ----------
    Please cite squidpy: Palla et al., Nat Methods 2022; and the method: Efremova et al., Nat Protoc 2020.

    Examples
    --------
    >>> pairs = pd.DataFrame({"source": ["CXCL12", "TGFB1"], "target": ["CXCR4", "TGFBR1_TGFBR2"]})
    >>> mt.tl.ligrec(sdata, pairs=pairs)
    >>> sq.pl.ligrec(mt.tl.ligrec_result(sdata, of="ligrec"), alpha=0.01)
    """
    check_whole(n_perms=n_perms)
    check_threshold(threshold)
    with run(
        data, "ligrec", random_state=random_state, key_added=key_added, copy=copy, spatial=False, table_key=table_key
    ) as work:
        table = work.part.table
        domain, names = domain_codes(table, cluster_key)
        if not names:
            raise ValueError(f"obs[{cluster_key!r}] holds no domain for any of the {table.n_obs} spots")
        molecules = find_molecules(read_pairs(pairs), table, gene_symbols)
        options: dict[str, Any] = {"threshold": threshold, "n_perms": n_perms, "random_state": random_state}
        directed = [(a, b) for a in range(len(names)) for b in range(len(names))]
        expression = molecule_expression(table, layer, molecules.genes)
        mean, pvalue = squidpys_test(expression, molecules, domain, directed, **options)
        found = pair_table(molecules.pairs, directed, names, mean, with_true_labels(pvalue, n_perms))
        found["why"] = np.where(np.isnan(pvalue), too_few(threshold), "").ravel().astype(object)
        found = found.sort_values(["cluster_pvalue", "mean"], ascending=[True, False], kind="stable")
        params = {
            **domain_params(table, cluster_key),
            "layer": layer,
            "gene_symbols": gene_symbols,
            "table_key": table_key,
            "pairs": "DataFrame" if isinstance(pairs, pd.DataFrame) else str(pairs),
        }
        result = {
            "pairs": numbered(found),
            "params": plain(options | params),
            "versions": versions(),
        }
        work.part.write(uns={key_added: {_keys.LIGREC: result}})
    return work.result
