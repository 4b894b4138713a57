"""Domains that a person's strokes name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from multist import _keys
from multist._palette import domain_colors
from multist._settings import logger
from multist._threads import steady_threads
from multist.access import Part, stored_colors
from multist.tl._inputs import Tissue, features_of

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.cluster.guided import GuidedDomains

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
    """

    names: list[str]
    labels: np.ndarray
    colors: dict[str, str]


def read_strokes(parts: Sequence[Part], labels_key: str, unlabeled_category: str | None) -> Strokes:
    """The column of all parts.

    Raises
    ------
    KeyError
        If a part lacks it, or nothing is named ``unlabeled_category``.
    ValueError
        If no spot is named.
    """
    columns: list[pd.Series] = []
    colors: dict[str, str] = {}
    for part in parts:
        table = part.table
        if labels_key not in table.obs:
            found = ", ".join(map(repr, table.obs)) or "nothing"
            raise KeyError(f"labels_key {labels_key!r} not found in obs; found: {found}")
        columns.append(_named(table, labels_key))
        colors |= stored_colors(table, labels_key) or {}
    names = list(dict.fromkeys(name for column in columns for name in column.cat.categories))
    if unlabeled_category is not None:
        if unlabeled_category not in names:
            listed = ", ".join(map(repr, names)) or "nothing"
            raise KeyError(
                f"unlabeled_category {unlabeled_category!r} is no value of obs[{labels_key!r}]; found: {listed}"
            )
        names.remove(unlabeled_category)
    labels = np.concatenate([pd.Categorical(column.astype(object), names).codes for column in columns]).astype(np.int64)
    used = np.unique(labels[labels >= 0])
    if not len(used):
        raise ValueError(f"obs[{labels_key!r}] names no spot; draw a stroke in each domain, or leave out labels_key")
    place = np.full(len(names) + 1, -1)
    place[used] = np.arange(len(used))
    return Strokes([names[code] for code in used], place[labels], colors)


def guided_views(parts: Sequence[Part], tissue: Tissue, use_rep: str, key_added: str) -> list[list[np.ndarray]]:
    """The tissue at several scales: components and embedding of each spot, and components averaged further and further.

    An embedding of :func:`multist.tl.multist_domains` is taken apart into its modalities, and brings the components that it was made
    of; any other stands for itself.
    """
    from multist.cluster.stroke_views import scale_views

    code = features_of(parts, use_rep)
    held = parts[0].table.uns.get(key_added, {})
    source = held.get("params", {}).get("expression_key") if use_rep == _keys.embedding_key(key_added) else None
    if source is None or not all(source in part.table.obsm for part in parts):
        return scale_views([code], code, tissue.adjacency)
    components = features_of(parts, source)[:, :_COMPONENTS]
    n_expression = code.shape[1] - int(held.get("n_image_dimensions", 0))
    near = [components, code[:, :n_expression], code[:, n_expression:]]
    return scale_views([view for view in near if view.shape[1]], components, tissue.adjacency)


def guide(
    parts: Sequence[Part], tissue: Tissue, strokes: Strokes, n_domains: Any, *, use_rep: str, key_added: str, trust: float,
    random_state: int,
) -> GuidedDomains:  # fmt: skip
    """Name all spots; ``n_domains`` above the number of classes finds the rest besides.

    Raises
    ------
    TypeError, ValueError
        If ``n_domains`` is no integer, less than the classes, or fewer than two.
    """
    from multist.cluster.guided import guided_domains

    n_classes = len(strokes.names)
    if n_domains is not None and (isinstance(n_domains, bool) or not isinstance(n_domains, int | np.integer)):
        raise TypeError(f"with labels_key, n_domains is None or an integer; got {n_domains!r}")
    if n_domains is not None and n_domains < n_classes:
        raise ValueError(f"obs names {n_classes} classes ({', '.join(strokes.names)}); n_domains is {n_domains}")
    n_more = 0 if n_domains is None else int(n_domains) - n_classes
    if n_classes + n_more < 2:
        raise ValueError(
            f"only {strokes.names[0]!r} is named: name another domain, or give n_domains above one to find the rest"
        )
    views = guided_views(parts, tissue, use_rep, key_added)
    with steady_threads("sklearn.cluster"):
        found = guided_domains(
            views, tissue.adjacency, tissue.xy, strokes.labels, n_classes, n_more=n_more, trust=trust, section=tissue.section,
            random_state=random_state,
        )  # fmt: skip
    if np.isfinite(found.held_out_accuracy):
        logger.info("%.0f %% of the strokes are recognised when they are held out", 100 * found.held_out_accuracy)
    return found


def guided_columns(found: GuidedDomains, strokes: Strokes) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Columns for ``obs``, entries for ``uns``, and the colour of each domain."""
    n_domains = found.probability.shape[1]
    names = list(strokes.names)
    for number in range(n_domains - len(names)):
        names.append(next(name for name in _further(number) if name not in names))
    free = (color for color in domain_colors(2 * n_domains) if color not in strokes.colors.values())
    colors = [strokes.colors.get(name) or next(free) for name in names]
    columns = {
        "domain": pd.Categorical.from_codes(found.labels, names),
        "confidence": found.probability[np.arange(len(found.labels)), found.labels],
    }
    guided = {"classes": names, "held_out_accuracy": found.held_out_accuracy, "remoteness": found.remoteness}
    return columns, {"guided": guided}, colors


def _further(number: int) -> list[str]:
    return [f"other {number + 1}", f"further domain {number + 1}", f"unnamed domain {number + 1}"]


def _named(table: AnnData, key: str) -> pd.Series:
    """Column as strings in categories; missing stays missing."""
    column = table.obs[key]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.rename_categories([str(name) for name in column.cat.categories])
    return column.where(column.isna(), column.astype(str)).astype("category")
