"""squidpy's permutation test of ligands and receptors between clusters, on input that it can take as it is."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._numbers import is_number
from multist._settings import logger, settings

if TYPE_CHECKING:
    from multist.tl.borders._molecules import Molecules


_MAX_TESTED, _LEAST_TESTED = 50_000, 200  # spots of all domains, and of a small one


def squidpys_test(
    expression: np.ndarray,
    molecules: Molecules,
    domain: np.ndarray,
    directed: list[tuple[int, int]],
    *,
    threshold: float,
    n_perms: int,
    random_state: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Run :func:`squidpy.gr.ligrec` from domains to domains.

    Molecules and domains go in under plain names of their own, so that no gene with an underscore is taken for a
    complex, and no two names become one in capital letters. Of more than 50,000 spots it gets as many, drawn from each
    domain.

    Parameters
    ----------
    expression
        (n, n_molecules) log-normalised.
    molecules
        The pairs.
    domain
        (n,) codes, -1 where a spot has none; such spots are left out.
    directed
        Domain of the ligand and domain of the receptor, each once.
    threshold, n_perms, random_state
        As :func:`multist.tl.interactions` takes them.

    Returns
    -------
    (n_pairs, n_directed) means, and p-values: NaN where squidpy does not test, because too few spots express one of the
    two.
    """
    import squidpy as sq

    # it says nothing about the result, so it is not kept with it
    said = {"decision": False, "once": True}
    logger.info("the first call of squidpy's permutation test compiles it, which takes some seconds", extra=said)
    labelled = _some_of_each(domain, np.random.default_rng(random_state))
    codes = sorted({code for ends in directed for code in ends})
    names = {code: f"d{rank:06d}" for rank, code in enumerate(codes)}
    working = AnnData(
        sparse.csr_matrix(expression[labelled]),
        obs=pd.DataFrame(
            {"domain": pd.Categorical([names.get(code) for code in domain[labelled]], list(names.values()))},
            index=pd.RangeIndex(len(labelled)).astype(str),
        ),
        var=pd.DataFrame(index=[f"M{i}" for i in range(expression.shape[1])]),
    )
    working = working[working.obs["domain"].notna().to_numpy()].copy()
    columns = [(names[a], names[b]) for a, b in directed]
    pairs = {"source": [f"M{i}" for i in molecules.ligand], "target": [f"M{i}" for i in molecules.receptor]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found = sq.gr.ligrec(
            working,
            "domain",
            use_raw=False,
            copy=True,
            n_perms=n_perms,
            seed=random_state,
            threshold=threshold,
            interactions=pd.DataFrame(pairs),
            clusters=columns,
            n_jobs=1,
            show_progress_bar=settings.progress,
        )
    shape = (len(molecules.ligand), len(directed))
    mean, pvalue = (found[name][columns].to_numpy(dtype=np.float64).reshape(shape) for name in ("means", "pvalues"))
    return mean, pvalue


def pair_table(
    pairs: pd.DataFrame, directed: list[tuple[int, int]], names: list[str], mean: np.ndarray, pvalue: np.ndarray
) -> pd.DataFrame:
    """A row per pair and directed pair of domains, with squidpy's test of it."""
    ends = np.array([(names[a], names[b]) for a, b in directed], dtype=object)
    table = pairs.loc[pairs.index.repeat(len(directed))].astype(object).reset_index(drop=True)
    table[["ligand_domain", "receptor_domain"]] = np.tile(ends, (len(pairs), 1))
    return table.assign(mean=mean.ravel(), cluster_pvalue=pvalue.ravel(), cluster_fdr=adjusted(pvalue.ravel()))


def _some_of_each(domain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spots that have a domain; of many, a sample in which each domain has its share, and small ones more."""
    labelled = np.flatnonzero(domain >= 0)
    if len(labelled) <= _MAX_TESTED:
        return labelled
    members = [labelled[domain[labelled] == code] for code in np.unique(domain[labelled])]
    quotas = [max(len(rows) * _MAX_TESTED // len(labelled), _LEAST_TESTED) for rows in members]
    drawn = [
        rng.choice(rows, min(quota, len(rows)), replace=False) for rows, quota in zip(members, quotas, strict=True)
    ]
    chosen = np.sort(np.concatenate(drawn))
    logger.info("squidpy's test compares %d spots of %d, drawn from each domain", len(chosen), len(labelled))
    return chosen


def check_threshold(threshold: float) -> None:
    """Raise a ValueError if it is no share of spots."""
    if not (is_number(threshold) and 0 <= threshold <= 1):
        raise ValueError(f"threshold is a share of spots, from 0 to 1; got {threshold!r}")


def too_few(threshold: float) -> str:
    """Why squidpy does not test a pair between two domains."""
    share = f"less than {100 * threshold:g} %" if threshold > 0 else "none"
    return f"ligand or receptor is in {share} of the spots of its domain"


def with_true_labels(share: np.ndarray, n_perms: int) -> np.ndarray:
    """p-values from squidpy's share of permutations, which can be zero: the true labels are one more of them."""
    return (share * n_perms + 1) / (n_perms + 1)


def without_true_labels(pvalue: np.ndarray, n_perms: int) -> np.ndarray:
    """Share of permutations, as squidpy tells it, from what :func:`with_true_labels` made of it."""
    return np.round(pvalue * (n_perms + 1) - 1) / n_perms


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose rows have numbers as text for names, as files keep them."""
    return table.set_axis(pd.RangeIndex(len(table)).astype(str))


def adjusted(pvalues: np.ndarray) -> np.ndarray:
    """False discovery rates after Benjamini and Hochberg; NaN where there is no p-value."""
    from scipy.stats import false_discovery_control

    rates = np.full(len(pvalues), np.nan)
    tested = ~np.isnan(pvalues)
    if tested.any():
        rates[tested] = false_discovery_control(pvalues[tested])
    return rates
