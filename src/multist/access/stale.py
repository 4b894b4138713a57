"""What was made from a field goes when the field is made anew, and is refused when somebody else changed it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from multist import _keys
from multist.access.tables import listed

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.access.draft import Draft

_OF_DOMAINS = (_keys.PSEUDOTIME, _keys.INTERACTIONS, _keys.LIGREC, _keys.BORDER_SHARPNESS)
_SOURCES = ("use_rep", "expression_key", "histology_key")
"""Parameters that name the ``obsm`` entry from which a result was made."""

DIGEST = "domains_digest"
"""Parameter that tells the domains a result was made from."""


def forget_dependents(table: Draft, obs: Mapping[str, Any], obsm: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Remove from a draft what was made from columns and arrays that are about to be replaced by others.

    Returns
    -------
    Place (group and names) of everything removed, and a sentence that says it.
    """
    removed: dict[tuple[str, ...], str] = {}
    old_columns = table.obs if obs else {}
    columns = [k for k, new in obs.items() if k in old_columns and not _same(old_columns[k], new)]
    arrays = [k for k, new in obsm.items() if k in table.obsm and not _same(table.obsm[k], new)]
    for array in arrays:
        for key, entry in [*_entries(table)]:
            domains = _keys.domain_key(key)
            if entry.get("params", {}).get("use_rep") == array and domains in table.obs:
                removed |= _forget_domains(table, key, f"obsm[{array!r}]")
                columns.append(domains)
    for key, name, params in [*_results(table)]:
        source = next((f"obs[{c!r}]" for c in columns if params.get("cluster_key") == c), None)
        source = source or next((f"obsm[{a!r}]" for a in arrays for p in _SOURCES if params.get(p) == a), None)
        if source is not None:
            removed |= _forget_result(table, key, name, source)
    return removed


def digest_of(domains: pd.Series) -> str:
    """A number that tells this division of the spots from any other, whatever the domains are called."""
    codes, _ = pd.factorize(domains.astype(object), sort=False)
    return hashlib.sha256(np.asarray(codes, np.int64).tobytes()).hexdigest()[:16]


def refuse_stale(
    table: AnnData, params: Mapping[str, Any], what: str, function: str, names: Iterable[Any] = ()
) -> None:
    """Refuse a result that was made from other domains than the table has now.

    Parameters
    ----------
    table
        The table. One with fewer spots than the result was made from is taken as a part of it, and not compared.
    params
        What the result was made with; one without a digest, of an earlier version, is not compared.
    what, function
        What to call it, and what makes it anew.
    names
        Domains that the result names.

    Raises
    ------
    KeyError
        If the column of the domains is gone.
    ValueError
        If the domains are others, or have other names.
    """
    key, digest = params.get("cluster_key"), params.get(DIGEST)
    if key is None or digest is None or int(params["n_obs"]) != table.n_obs:
        return
    cure = f"run {function} again, or put back the domains"
    if key not in table.obs:
        raise KeyError(f"{what} was made from obs[{key!r}], which is not there any more; {cure}")
    if digest_of(table.obs[key]) != digest:
        raise ValueError(f"{what} was made from other domains than obs[{key!r}] holds now; {cure}")
    gone = set(map(str, names)) - set(table.obs[key].dropna().astype(str))
    if gone:
        raise ValueError(f"{what} names {listed(sorted(gone))}, which obs[{key!r}] does not hold any more; {cure}")


def domain_params(table: AnnData, cluster_key: str) -> dict[str, Any]:
    """What a result keeps of the domains that it is made from."""
    return {"cluster_key": cluster_key, DIGEST: digest_of(table.obs[cluster_key]), "n_obs": int(table.n_obs)}


def _entries(table: Draft) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Entries of ``uns`` that may be ours."""
    for key in list(table.uns):
        entry = table.uns[key]
        if isinstance(entry, Mapping) and isinstance(entry.get("params", {}), Mapping):
            yield key, entry


def _results(table: Draft) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Entry, name and parameters of everything that hangs on domains."""
    for key, entry in _entries(table):
        for name in _OF_DOMAINS:
            beside = name == _keys.BORDER_SHARPNESS
            held = entry.get(f"{name}_params") if beside else entry.get(name)
            params = held if beside else held.get("params") if isinstance(held, Mapping) else None
            if name in entry and isinstance(params, Mapping):
                yield key, name, params


def _forget_result(table: Draft, key: str, name: str, source: str) -> dict[tuple[str, ...], str]:
    _without(table, key, (name, f"{name}_params"))
    decisions = table.uns[key].get("decisions", {})
    if name in decisions:
        kept = {other: lines for other, lines in decisions.items() if other != name}
        table.put("uns", key, {**table.uns[key], "decisions": kept})
    if name == _keys.PSEUDOTIME:
        table.drop("obs", _keys.pseudotime_key(key))
    why = f"uns[{key!r}][{name!r}] is removed: it was made from {source}, which is new; run tl.{name} again"
    return {("uns", key, name): why}


def _forget_domains(table: Draft, key: str, source: str) -> dict[tuple[str, ...], str]:
    domains = _keys.domain_key(key)
    for name in (domains, _keys.confidence_key(key)):
        table.drop("obs", name)
    table.drop("obsm", _keys.probability_key(key))
    table.drop("uns", f"{domains}_colors")
    _without(table, key, (_keys.CURVE, _keys.GUIDED))
    why = f"obs[{domains!r}] is removed: it was made from {source}, which is new; run tl.cluster_domains again"
    return {("obs", domains): why}


def _without(table: Draft, key: str, names: Iterable[str]) -> None:
    entry = table.uns[key]
    table.put("uns", key, {name: value for name, value in entry.items() if name not in names})


def _same(old: Any, new: Any) -> bool:
    if sparse.issparse(old) or sparse.issparse(new) or isinstance(old, pd.DataFrame):
        return old is new
    if isinstance(old, pd.Series):
        return old.astype(object).equals(pd.Series(new, index=old.index).astype(object))
    return old is new or (np.shape(old) == np.shape(new) and np.array_equal(old, new))
