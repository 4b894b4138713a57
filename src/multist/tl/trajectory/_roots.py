"""Where pseudotime starts: a domain, an observation or a rule, never a bare index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multist._settings import logger
from multist._words import shown
from multist.access import listed

_AUTO = "auto"
_BOTH_SIDES = 0.25
"""Share of the cells that has to lie on either side of a root for it to be in the middle."""

_NEARLY_THE_SAME, _MOST = 0.1, 2 / 3
"""Part of pseudotime, and share of the cells in it; on seven public sections a tenth holds .4 of them at most."""

_APART = 0.98
"""Share of the pairs of cells from which sections lie one behind the other in pseudotime."""


class Root(NamedTuple):
    """What the user asked for.

    Attributes
    ----------
    domain
        Name of the domain; None for the rule.
    cell
        Row of the observation, None if it was none.
    """

    domain: str | None = None
    cell: int | None = None


def read_root(root: Any, obs_names: pd.Index, domains: pd.Series, cluster_key: str) -> Root:
    """The root as a domain, a row, or neither; a name that is both is taken for the domain.

    Raises
    ------
    TypeError
        If it is no name, such as a bare index, which would be another cell after the next filtering.
    KeyError
        If nothing has that name; the message lists the domains.
    """
    if not isinstance(root, str):
        raise TypeError(f"root must be a domain, an observation name or 'auto', not {root!r} ({type(root).__name__})")
    if root in domains.cat.categories and (domains == root).any():
        if root in obs_names:
            logger.info("root %r is a domain and an observation; the domain is taken", root)
        return Root(domain=root)
    if root == _AUTO:
        return Root()
    if root in obs_names:
        row = int(obs_names.get_indexer([root])[0])
        return Root(None if pd.isna(domains.iloc[row]) else domains.iloc[row], row)
    found = listed(domains.cat.categories)
    raise KeyError(
        f"root {shown(root)} is neither a domain nor an observation; domains in obs[{cluster_key!r}]: {found}"
    )


def root_domain(component: np.ndarray, domains: np.ndarray, smallest: int) -> str | None:
    """The domain whose median lies farthest from that of all cells along the leading diffusion component.

    The sign of a component has no meaning, and this does not depend on it. Domains with fewer than ``smallest`` cells
    do not count unless there are no others; of equals the larger one is taken, then the first by name.

    Parameters
    ----------
    component
        (n,) leading diffusion component.
    domains
        (n,) names, None where there is none.
    smallest
        Cells a domain must have.

    Returns
    -------
    The domain, or None if no cell has one.
    """
    names, sizes = np.unique(domains[domains != None].astype(str), return_counts=True)  # noqa: E711  elementwise
    if (sizes >= smallest).any():
        names, sizes = names[sizes >= smallest], sizes[sizes >= smallest]
    middle, medians = np.median(component), _medians(component, domains, names)
    ranked = [(-abs(medians[name] - middle), -size, name) for name, size in zip(names, sizes, strict=True)]
    return min(ranked)[2] if ranked else None


def root_cell(component: np.ndarray, domains: np.ndarray, domain: str | None) -> int:
    """The cell of a domain that lies farthest from the other domains along the leading diffusion component.

    Parameters
    ----------
    component
        (n,) leading diffusion component.
    domains
        (n,) names, None where there is none.
    domain
        The domain; where it is None, or holds all cells, the cell farthest from the middle is taken.

    Returns
    -------
    Row.
    """
    inside = domains == domain
    if domain is None or inside.all():
        return int(np.argmax(np.abs(component - np.median(component))))
    away = 1.0 if np.median(component[inside]) >= np.median(component[~inside]) else -1.0
    return int(np.argmax(np.where(inside, away * component, -np.inf)))


def warn_of_middle(component: np.ndarray, domains: np.ndarray, cell: int) -> None:
    """Say so where a root lies amid the cells, so that both ends of the tissue get the same pseudotime.

    Parameters
    ----------
    component
        (n,) leading diffusion component.
    domains
        (n,) names, None where there is none.
    cell
        Row of the root.
    """
    below, above = float((component < component[cell]).mean()), float((component > component[cell]).mean())
    if min(below, above) < _BOTH_SIDES:
        return
    medians = _medians(component, domains, set(domains) - {None})
    ends = [repr(find(medians, key=lambda name: (medians[name], name))) for find in (min, max)] if medians else []
    logger.warning(
        "the root lies in the middle: %.0f %% of the cells are on one side of it and %.0f %% on the other, which get "
        "the same pseudotime; pass a root at one end%s",
        100 * below,
        100 * above,
        f", such as {' or '.join(dict.fromkeys(ends))}" if ends else "",
    )


def warn_of_crowd(time: np.ndarray) -> None:
    """Say so where most cells have nearly the same pseudotime, as where the root is far from all others.

    Parameters
    ----------
    time
        (n,) from 0 to 1.
    """
    ordered = np.sort(time)
    within = np.searchsorted(ordered, ordered + _NEARLY_THE_SAME, side="right") - np.arange(len(time))
    share = float(within.max()) / len(time)
    if share > _MOST:
        logger.warning(
            "pseudotime tells %.0f %% of the cells hardly apart, which lie within a tenth of it: the root, or a few "
            "other cells, are far from all others; see pl.pseudotime, and pass another root, or leave those cells out",
            100 * share,
        )


def warn_of_sections(time: np.ndarray, section: np.ndarray, names: Sequence[str]) -> None:
    """Say so where pseudotime goes from one section to the next, and not through the tissue of each.

    Parameters
    ----------
    time
        (n,) pseudotime; cells without any do not count.
    section
        (n,) int code of each cell.
    names
        Of the sections.
    """
    from scipy.stats import mannwhitneyu

    each = [time[(section == code) & np.isfinite(time)] for code in range(len(names))]
    order = sorted((code for code in range(len(names)) if len(each[code])), key=lambda code: np.median(each[code]))
    for first, second in pairwise(order):
        later = mannwhitneyu(each[second], each[first]).statistic / (len(each[first]) * len(each[second]))
        if later > _APART:
            logger.warning(
                "pseudotime tells sections apart: in %.1f %% of pairs a cell of %r comes before one of %r; find it in "
                "each section by itself, or in an embedding that mixes them",
                100 * later,
                names[first],
                names[second],
            )
            return


def _medians(component: np.ndarray, domains: np.ndarray, names: Iterable[str]) -> dict[str, float]:
    """Where each of some domains lies along a component."""
    return {name: float(np.median(component[domains == name])) for name in names}
