"""What was made from a field goes when the field is made anew, and is refused when somebody else changed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from multist import _keys
from multist._missing import as_names
from multist._settings import logger
from multist.access.absent import listed

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.access.draft import Draft

Place = tuple[str, ...]
"""Where a field lies: group and name, in ``uns`` several names."""

_GRAPH = ("obsp", _keys.CONNECTIVITIES)
_OF_DOMAINS = (_keys.PSEUDOTIME, _keys.INTERACTIONS, _keys.LIGREC, _keys.BORDER_SHARPNESS)
_ON_GRAPH = (_keys.INTERACTIONS, _keys.BORDER_SHARPNESS)
_SOURCES = ("use_rep", "expression_key", "histology_key")
"""Parameters that name the ``obsm`` entry from which a result was made."""

_OF_DIVISION = ("use_rep", "n_domains", "n_domains_asked", "labels_key", "unlabeled_category", "trust", "refine")
"""Parameters of the domains. They lie among those of the embedding, and share the following with it."""
_OF_BOTH = ("random_state", "table_key", "library_key")

_OF_ENTRY = {"decisions", "schema", "library_key"}
"""What an entry of ``uns`` holds besides its results."""

_EMBEDDING = ("multist_domains", "fit", "embed", "predict")
_DIVIDING = ("cluster_domains", "cluster", "predict")
"""Functions whose decisions are about the embedding, and about the domains."""

DIGEST, NAMES = "domains_digest", "domains_names"
"""Parameters that tell the domains a result was made from, and what these were called."""


class StaleError(ValueError):
    """A result was made from other domains than the table has now."""


class Derived(NamedTuple):
    """Something that was made from other fields.

    Attributes
    ----------
    place
        Where it lies.
    sources
        What it was made from.
    function
        What makes it anew.
    key
        Entry of ``uns`` with what is told of it.
    told
        Names within that entry.
    beside
        Fields that were written with it.
    steps
        Functions whose decisions were about it.
    """

    place: Place
    sources: set[Place]
    function: str
    key: str
    told: tuple[str, ...] = ()
    beside: tuple[Place, ...] = ()
    steps: tuple[str, ...] = ()


def replaced(table: Draft, fields: Mapping[str, Any]) -> list[Place]:
    """Fields of ``obs``, ``obsm`` and ``obsp`` in whose place others are about to come."""
    found: list[Place] = []
    for group in ("obs", "obsm", "obsp"):
        held, entries = getattr(table, group), fields.get(group, {})
        found += [(group, name) for name, new in entries.items() if name in held and not _same(held[name], new)]
    return found


def forget_dependents(table: Draft, new: Iterable[Place]) -> dict[Place, str]:
    """Remove from a draft what was made from fields that are new, and what was made from that.

    Returns
    -------
    Place of everything removed, and a sentence that says it. Shapes do not lie in the table, and are left to the
    caller.
    """
    removed: dict[Place, str] = {}
    waiting = [*new]
    for result in [each for each in _results(table) if each.place in waiting]:
        _drop_decisions(table, result)
    while waiting:
        source = waiting.pop(0)
        for result in [each for each in _results(table) if source in each.sources]:
            _forget(table, result)
            state = "gone" if source in removed else "new"
            removed[result.place] = (
                f"{_named(result.place)} is removed: it was made from {_named(source)}, which is {state}; "
                f"run {result.function} again"
            )
            waiting.append(result.place)
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
        The table. One with fewer spots than the result was made from is taken as a part of it; only names are compared
        then, and the log says of how many spots the result is.
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
    StaleError
        If the domains are others, or have other names.
    """
    key, digest = params.get("cluster_key"), params.get(DIGEST)
    if key is None or digest is None:
        return
    cure = f"run {function} again, or put back the domains"
    if key not in table.obs:
        raise KeyError(f"{what} was made from obs[{key!r}], which is not there any more; {cure}")
    named, n_before = set(map(str, names)), int(params["n_obs"])
    now, before = _in_order(table.obs[key]), json.loads(params.get(NAMES, "[]"))
    if table.n_obs != n_before:
        if named and before and set(now) - set(before):
            raise StaleError(f"{what} was made from domains of other names than obs[{key!r}] holds now; {cure}")
        if table.n_obs < n_before:
            logger.info("%s was made from %d spots, of which data holds %d", what, n_before, table.n_obs)
        return
    if digest_of(table.obs[key]) != digest:
        raise StaleError(f"{what} was made from other domains than obs[{key!r}] holds now; {cure}")
    if gone := named - set(now):
        raise StaleError(f"{what} names {listed(sorted(gone))}, which obs[{key!r}] does not hold any more; {cure}")
    if named and before and before != now:
        raise StaleError(f"{what} was made before domains of obs[{key!r}] changed their names; {cure}")


def domain_params(table: AnnData, cluster_key: str) -> dict[str, Any]:
    """What a result keeps of the domains that it is made from."""
    domains = table.obs[cluster_key]
    return {
        "cluster_key": cluster_key,
        DIGEST: digest_of(domains),
        NAMES: json.dumps(_in_order(domains)),  # one text, so that parameters of two results can be compared
        "n_obs": int(table.n_obs),
    }


def _in_order(domains: pd.Series) -> list[str]:
    """Names of the domains, each where its first spot is."""
    return as_names(domains).dropna().unique().tolist()


def _entries(table: Draft) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Entries of ``uns`` that may be ours."""
    for key in list(table.uns):
        entry = table.uns[key]
        if isinstance(entry, Mapping) and isinstance(entry.get("params", {}), Mapping):
            yield key, entry


def _results(table: Draft) -> Iterator[Derived]:
    """Everything in a table that is known to be made from something else in it."""
    for key, entry in _entries(table):
        yield from _embedded(table, key, entry)
        for name in _OF_DOMAINS:
            beside = name == _keys.BORDER_SHARPNESS
            held = entry.get(f"{name}_params") if beside else entry.get(name)
            params = held if beside else held.get("params") if isinstance(held, Mapping) else None
            if name in entry and isinstance(params, Mapping):
                sources = {("obs", str(params.get("cluster_key")))} | _arrays(params)
                if name in _ON_GRAPH or float(params.get("spatial_weight", 0)) > 0:
                    sources.add(_GRAPH)
                column = (("obs", _keys.pseudotime_key(key)),) if name == _keys.PSEUDOTIME else ()
                told = (name, f"{name}_params")
                yield Derived(("uns", key, name), sources, f"tl.{name}", key, told, column, (name,))
    outlines = table.uns.get(_keys.MULTIST, {})
    for name, params in (outlines.get(_keys.DOMAIN_SHAPES, {}) if isinstance(outlines, Mapping) else {}).items():
        outlined: set[Place] = {("obs", str(params.get("cluster_key")))}
        yield Derived(("shapes", name), outlined, "tl.domain_shapes", _keys.MULTIST, steps=(_keys.DOMAIN_SHAPES,))


def _embedded(table: Draft, key: str, entry: Mapping[str, Any]) -> Iterator[Derived]:
    """The image's features, the embedding and the domains of an entry."""
    params, histology = entry.get("params", {}), entry.get("histology", {})
    if isinstance(histology, Mapping) and histology.get("key_added") in table.obsm:
        images: set[Place] = {("images", str(name)) for name in np.atleast_1d(histology.get("image_key", []))}
        described = ("obsm", histology["key_added"])
        yield Derived(described, images, "pp.embed_histology", key, ("histology",), steps=("embed_histology",))
    embedding, domains = _keys.embedding_key(key), _keys.domain_key(key)
    if "expression_key" in params and embedding in table.obsm:
        image: set[Place] = {("obsm", _keys.HISTOLOGY)} if params.get("with_image") else set()
        sources = {_GRAPH, ("obsm", str(params["expression_key"]))} | image
        told = ("image_gain", "n_image_dimensions", "structured", _keys.STRUCTURED_SHARE, "losses")
        fields = (("obs", _keys.image_weight_key(key)), ("obsp", _keys.attention_key(key)))
        function = "MultiST.embed" if "fitted_on" in params else "tl.multist_domains"
        yield Derived(("obsm", embedding), sources, function, key, told, fields, _EMBEDDING)
    if "use_rep" in params and domains in table.obs:
        sources = {_GRAPH, ("obsm", str(params["use_rep"]))}
        beside: tuple[Place, ...] = (
            ("obs", _keys.confidence_key(key)),
            ("obsm", _keys.probability_key(key)),
            ("uns", f"{domains}_colors"),
        )
        about = (_keys.CURVE, _keys.GUIDED)
        yield Derived(("obs", domains), sources, "tl.cluster_domains", key, about, beside, _DIVIDING)


def _arrays(params: Mapping[str, Any]) -> set[Place]:
    return {("obsm", str(params[name])) for name in _SOURCES if name in params}


def _forget(table: Draft, result: Derived) -> None:
    _without(table, result.key, result.told)
    _drop_decisions(table, result)
    entry, name = table.uns[result.key], result.place[-1]
    if result.place[0] == "shapes":
        others = {other: params for other, params in entry[_keys.DOMAIN_SHAPES].items() if other != name}
        table.put("uns", result.key, {**entry, _keys.DOMAIN_SHAPES: others})
        return
    if result.place in (("obsm", _keys.embedding_key(result.key)), ("obs", _keys.domain_key(result.key))):
        params = _params_without(entry["params"], embedding=result.place[0] == "obsm")
        if params:
            table.put("uns", result.key, {**entry, "params": params})
        else:
            _without(table, result.key, ("params", "versions"))
    for group, *path in (result.place, *result.beside):
        if len(path) == 1:
            table.drop(group, path[0])
    left = table.uns[result.key]
    if not left.get("decisions") and set(left) <= _OF_ENTRY:
        table.drop("uns", result.key)


def _drop_decisions(table: Draft, result: Derived) -> None:
    entry = table.uns[result.key]
    decisions = entry.get("decisions", {})
    kept = {name: lines for name, lines in decisions.items() if name not in result.steps}
    if len(kept) < len(decisions):
        table.put("uns", result.key, {**entry, "decisions": kept})


def embedding_params(table: AnnData, key: str) -> dict[str, Any]:
    """Parameters of an entry that are to be kept where its domains are found anew."""
    return _params_without(_params(table, key), embedding=False)


def division_params(table: AnnData, key: str) -> dict[str, Any]:
    """Parameters of an entry that are to be kept where its embedding is made anew: of domains that are still there."""
    return _params_without(_params(table, key), embedding=True) if _keys.domain_key(key) in table.obs else {}


def _params(table: AnnData, key: str) -> Mapping[str, Any]:
    entry = table.uns.get(key, {})
    params = entry.get("params", {}) if isinstance(entry, Mapping) else {}
    return params if isinstance(params, Mapping) else {}


def _params_without(params: Mapping[str, Any], *, embedding: bool) -> dict[str, Any]:
    """Those of the domains alone, or of the embedding alone."""
    kept = {name: value for name, value in params.items() if (name in _OF_DIVISION) == embedding or name in _OF_BOTH}
    return kept if kept.keys() - set(_OF_BOTH) else {}


def _named(place: Place) -> str:
    return place[0] + "".join(f"[{name!r}]" for name in place[1:])


def _without(table: Draft, key: str, names: Iterable[str]) -> None:
    entry = table.uns[key]
    table.put("uns", key, {name: value for name, value in entry.items() if name not in names})


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    if sparse.issparse(old) and sparse.issparse(new):
        return old.shape == new.shape and (old != new).nnz == 0
    if sparse.issparse(old) or sparse.issparse(new):
        return False
    if isinstance(old, pd.DataFrame):
        return isinstance(new, pd.DataFrame) and old.equals(new)
    if isinstance(old, pd.Series):
        return old.astype(object).equals(pd.Series(new, index=old.index).astype(object))
    return np.shape(old) == np.shape(new) and np.array_equal(old, new)
