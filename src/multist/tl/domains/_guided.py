"""Domains that a person's strokes name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from multist._missing import as_name, is_missing_text, renamed
from multist._numbers import is_whole
from multist._palette import spare_colors
from multist._settings import logger
from multist._threads import steady_threads
from multist._words import counted
from multist.access import Part, listed, not_found, refuse_measurements, stored_colors
from multist.tl.domains._inputs import Tissue, embedding_entry, features_of

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.cluster.guided import GuidedDomains

_DOUBTFUL = "unknown none na n/a null unlabeled unlabelled unassigned unannotated undefined".split()
"""Names that mean "not named" more often than a domain."""
_NEARLY_ALL = 0.9
"""Share of named spots from which strokes leave little to find."""

_COMPONENTS = 30
"""Components of expression that are averaged over several distances: as many as the embedding takes."""


class Strokes(NamedTuple):
    """What a person named.

    Attributes
    ----------
    names
        Names of the classes, in the order of the column's categories.
    labels
        (n,) int64 class of each spot, -1 where there is no stroke.
    colors
        Colour of each class, as far as the column has them.
    n_more
        How many domains are to be found besides.
    """

    names: list[str]
    labels: np.ndarray
    colors: dict[str, str]
    n_more: int


def read_strokes(
    parts: Sequence[Part],
    labels_key: str,
    unlabeled_category: str | None,
    *,
    n_domains: Any,
    refine: bool,
) -> Strokes:
    """The column of all parts, and whether it can be followed as is asked.

    Raises
    ------
    KeyError
        If no part has it, or nothing is named ``unlabeled_category``.
    TypeError, ValueError
        If no spot is named, ``n_domains`` is no integer, less than the classes, fewer than two or more than the spots,
        or ``refine`` is asked for.
    """
    if refine:
        raise ValueError(
            "refine=True is a vote, which erases thin domains; with labels_key there is none: leave it out"
        )
    tables = [part.table for part in parts]
    if not any(labels_key in table.obs for table in tables):
        raise not_found(labels_key, "obs", tables[0].obs, argument="labels_key")
    if lacking := [str(number) for number, table in enumerate(tables) if labels_key not in table.obs]:
        logger.info("no obs[%r] in object number %s: nothing is named there", labels_key, ", ".join(lacking))
    columns = [stroke_names(table, labels_key) for table in tables]
    colors: dict[str, str] = {}
    for table in tables:
        if labels_key in table.obs and (stored := stored_colors(table, labels_key)):
            colors |= {name.strip(): color for name, color in stored.items()}
    names = list(dict.fromkeys(name for column in columns for name in column.cat.categories))
    unlabeled = as_name(unlabeled_category).strip()
    if unlabeled_category is not None and not is_missing_text(unlabeled):
        if unlabeled not in names:
            raise KeyError(
                f"unlabeled_category {unlabeled_category!r} is no value of obs[{labels_key!r}]; found: {listed(names)}"
            )
        names.remove(unlabeled)
    labels = np.concatenate([column.cat.set_categories(names).cat.codes for column in columns]).astype(np.int64)
    used = np.unique(labels[labels >= 0])
    if not len(used):
        raise ValueError(f"obs[{labels_key!r}] names no spot; draw a stroke in each domain, or leave out labels_key")
    place = np.full(len(names) + 1, -1)
    place[used] = np.arange(len(used))
    named = [names[code] for code in used]
    _warn_of_named(labels_key, named, float((labels >= 0).mean()))
    return Strokes(named, place[labels], colors, _count_further(named, n_domains, len(labels)))


class Guided(NamedTuple):
    """What strokes gave.

    Attributes
    ----------
    found
        Classes of all spots, and what recognises them elsewhere.
    sources
        Names of what the classifier sees of a spot by itself, in its order; see :func:`spot_sources`.
    """

    found: GuidedDomains
    sources: tuple[str, ...]


def spot_sources(parts: Sequence[Part], use_rep: str) -> dict[str, np.ndarray]:
    """What is known of each spot by itself, by name.

    An embedding of :func:`multist.tl.multist_domains` is taken apart into ``"expression"`` and ``"image"``, and has the
    ``"components"`` that it was made of before them, where all tables have kept these. Any other is the
    ``"embedding"``.
    """
    code = features_of(parts, use_rep)
    held = [embedding_entry(part.table, use_rep) for part in parts]
    key = held[0].get("params", {}).get("expression_key")
    if key is None:
        return {"embedding": code}
    kept = all(entry.get("params", {}).get("components_kept", True) for entry in held)
    there = all(key in part.table.obsm for part in parts)
    components = features_of(parts, key) if kept and there else None
    return embedded_sources(code, int(held[0].get("n_image_dimensions", 0)), components)


def embedded_sources(code: np.ndarray, n_image: int, components: np.ndarray | None) -> dict[str, np.ndarray]:
    """An embedding of this package, whose last dimensions are the image's, and what it was made of if that is known."""
    end = code.shape[1] - n_image
    found = {} if components is None else {"components": components[:, :_COMPONENTS]}
    found["expression"] = code[:, :end]
    return found | ({"image": code[:, end:]} if n_image else {})


def guide(
    sources: Mapping[str, np.ndarray],
    tissue: Tissue,
    strokes: Strokes,
    *,
    trust: float,
    random_state: int,
) -> Guided:
    """Name all spots after strokes on a few."""
    from multist.cluster.guided import guided_domains
    from multist.cluster.stroke_views import scale_views

    with steady_threads("sklearn.cluster", limit=1):  # many small products: threads would wait for one another
        found = guided_domains(
            scale_views(sources, tissue.adjacency),
            tissue.adjacency,
            tissue.xy,
            strokes.labels,
            len(strokes.names),
            n_more=strokes.n_more,
            trust=trust,
            section=tissue.section,
            random_state=random_state,
        )
    if np.isfinite(found.held_out_accuracy):
        logger.info("%.0f %% of the strokes are recognised when they are held out", 100 * found.held_out_accuracy)
    if len(found.doubted):
        logger.warning(
            "%s contradicted by the others: nothing is learnt from them; %s",
            counted(len(found.doubted), "stroke is", "strokes are"),
            "they stay as they were drawn" if trust == 1 else "they may be overruled",
        )
    if empty := int((np.bincount(found.labels, minlength=found.probability.shape[1]) == 0).sum()):
        logger.warning(
            "%s no spot: what nobody named holds fewer", counted(empty, "further domain has", "further domains have")
        )
    return Guided(found, tuple(sources))


def guided_columns(found: GuidedDomains, strokes: Strokes) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Columns for ``obs``, entries for ``uns``, and the colour of each domain."""
    n_domains = found.probability.shape[1]
    names = list(strokes.names)
    for number in range(n_domains - len(names)):
        names.append(next(name for name in _further(number) if name not in names))
    free = spare_colors(n_domains, strokes.colors.values())
    colors = [strokes.colors.get(name) or next(free) for name in names]
    columns = {
        "domain": pd.Categorical.from_codes(found.labels, names),
        "confidence": found.probability[np.arange(len(found.labels)), found.labels],
    }
    guided = {"classes": names, "held_out_accuracy": found.held_out_accuracy, "remoteness": found.remoteness}
    return columns, {"guided": guided}, colors


def _count_further(names: Sequence[str], n_domains: Any, n_obs: int) -> int:
    if n_domains is None:
        n_domains = len(names)
    if not is_whole(n_domains):
        raise TypeError(f"with labels_key, n_domains is None or an integer; got {n_domains!r}")
    if n_domains < len(names):
        raise ValueError(
            f"obs names {counted(len(names), 'class', 'classes')} ({', '.join(names)}), but n_domains is {n_domains}: "
            f"leave it out, or give at least {len(names)}"
        )
    if n_domains > n_obs:
        raise ValueError(f"n_domains must be at most the number of spots, {n_obs}; got {n_domains}")
    if n_domains < 2:
        raise ValueError(
            f"only {names[0]!r} is named: name another domain, or give n_domains above one to find the rest"
        )
    return int(n_domains) - len(names)


def _warn_of_named(labels_key: str, named: Sequence[str], share: float) -> None:
    """Warn of names that hardly mean a domain or are spelt in two ways, and of a column that leaves nothing to find."""
    doubtful = [name for name in named if name.lower() in _DOUBTFUL]
    for name in doubtful:
        logger.warning(
            "%r in obs[%r] is taken for a domain: if it means that a spot is not named, give unlabeled_category=%r",
            name,
            labels_key,
            name,
        )
    spellings: dict[str, list[str]] = {}
    for name in named:
        spellings.setdefault(name.casefold(), []).append(name)
    for alike in spellings.values():
        if len(alike) > 1:
            logger.warning(
                "%s in obs[%r] are domains of their own: if they are meant to be one, give them one name",
                listed(alike),
                labels_key,
            )
    if share > _NEARLY_ALL:
        logger.warning(
            "obs[%r] names %.3g %% of the spots, which keep their names: strokes are meant to be few%s",
            labels_key,
            100 * share,
            "" if doubtful else "; unlabeled_category= tells the value that means that a spot is not named",
        )


def _further(number: int) -> list[str]:
    return [f"other {number + 1}", f"further domain {number + 1}", f"unnamed domain {number + 1}"]


def stroke_names(table: AnnData, key: str) -> pd.Series:
    """Column as strings in categories.

    What is missing, blank or a missing value as text stays missing, and so does all where there is no column.
    """
    if key not in table.obs:
        return pd.Series(np.nan, index=table.obs_names, dtype=object).astype("category")
    column = table.obs[key].astype("category")
    values = column.cat.categories
    refuse_measurements(values, key)
    named = renamed(column, [as_name(value).strip() for value in values])
    if padded := [value for value in values if isinstance(value, str) and value.strip() not in ("", value)]:
        logger.info("obs[%r]: %s without the blanks around", key, listed(padded))
    texts = [name for name in named.cat.categories if is_missing_text(name)]
    if texts:
        count = int(named.isin(texts).sum())
        logger.info("%d spots of obs[%r] hold %s, and count as not named", count, key, ", ".join(map(repr, texts)))
    return named.cat.remove_categories([name for name in named.cat.categories if not name or name in texts])
