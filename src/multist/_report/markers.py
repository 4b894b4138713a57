"""Which genes mark the domains."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from multist._report.page import Cell, Part, Table
from multist._report.result import Result
from multist._settings import logger
from multist.access import gene_names, identifiers_advice, log_expression

_MOST_SPOTS = 20_000
_MIN_SPOTS = 3
FDR = 0.05
"""False discovery rate up to which the page names a gene or a pair."""


def markers(result: Result) -> Part | str:
    """A row for each domain with its genes, or why there are none."""
    table, domains = result.record.table, result.domains
    if table.n_vars == 0:
        return "the table has no genes"
    names = gene_names(table, result.gene_symbols)
    advice = identifiers_advice(table) if result.gene_symbols is None else ""
    if advice:
        logger.info("%s", advice)
    rows, sampled = _sample(domains)
    tested = [name for name in result.names if (domains.iloc[rows] == name).sum() >= _MIN_SPOTS]
    if len(tested) < 2:
        return f"fewer than two domains have {_MIN_SPOTS} spots"
    try:
        expression = log_expression(table, result.layer)
    except ValueError as error:
        return f"there is no expression to test: {error}"
    found = _ranked(expression[rows], domains.iloc[rows], tested)
    body = []
    for name in result.names:
        genes = _listed(found[name], names, result.n_markers) if name in found else ""
        body.append([Cell(name, result.colors[name]), Cell(genes or f"none at a false discovery rate of {FDR:g}")])
    text = (
        "Genes that are higher in a domain than in all other spots, by Welch's t-test on log-normalised expression, "
        "the clearest first; in brackets the log2 of the ratio. The domains were found from the same expression, so "
        "p-values would be too small to report."
    )
    if sampled:
        text += f" Tested on a sample of {len(rows):,} spots."
    return Part("Markers", text, tables=[("", Table(["domain", "genes"], body))])


def _listed(ranked: pd.DataFrame, names: np.ndarray, count: int) -> str:
    """The genes that are higher, with their changes."""
    best = ranked[(ranked["scores"] > 0) & (ranked["pvals_adj"] <= FDR)].head(count)
    each = zip(best["names"].astype(int), best["logfoldchanges"], strict=True)
    return ", ".join(f"{names[gene]} ({change:.1f})" for gene, change in each)


def _sample(domains: pd.Series) -> tuple[np.ndarray, bool]:
    """Rows in a domain; of many an even share of each domain."""
    codes = domains.cat.codes.to_numpy()
    named = np.flatnonzero(codes >= 0)
    if len(named) <= _MOST_SPOTS:
        return named, False
    each = _MOST_SPOTS // len(domains.cat.categories)
    order = np.random.default_rng(0).permutation(named)
    rank = pd.Series(codes[order]).groupby(codes[order]).cumcount().to_numpy()
    return np.sort(order[rank < each]), True


def _ranked(expression: object, domains: pd.Series, tested: list[str]) -> dict[str, pd.DataFrame]:
    """Genes of each domain by their score; ``names`` are positions."""
    import scanpy as sc
    from anndata import AnnData

    given = AnnData(
        expression, obs=pd.DataFrame({"domain": domains.to_numpy()}, index=np.arange(len(domains)).astype(str))
    )
    with warnings.catch_warnings():
        # of pandas, about a frame that scanpy fills column by column
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        sc.tl.rank_genes_groups(given, "domain", groups=tested, method="t-test", use_raw=False)
    return {name: sc.get.rank_genes_groups_df(given, name) for name in tested}
