"""From an embedding to the fields of a table, for every function that finds domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from multist import _keys
from multist._numbers import is_whole
from multist._palette import domain_colors
from multist._settings import logger
from multist._threads import steady_threads
from multist._words import counted
from multist.cluster.count import choose_count, most_domains

if TYPE_CHECKING:
    import scipy.sparse as sp

    from multist.access import Part

_MUST_BE = "n_domains must be an integer, a list of integers such as range(4, 12), or 'auto'"


def candidate_counts(n_domains: Any, n_obs: int) -> list[int]:
    """The numbers of domains to choose from; one if the user gave one.

    Raises
    ------
    TypeError, ValueError
        If it is neither an integer, nor several, nor ``"auto"``, or does not fit the table.
    """
    if n_obs < 2:
        raise ValueError("the table has one spot; there are no domains to tell apart with less than two")
    if n_domains is None:
        raise TypeError(f"{_MUST_BE}, or None together with labels_key=; got None without labels_key")
    if isinstance(n_domains, str):
        if n_domains != "auto":
            raise ValueError(f"{_MUST_BE}; got {n_domains!r}")
        return list(range(2, most_domains(n_obs) + 1))
    several = isinstance(n_domains, Sequence | np.ndarray) and np.iterable(n_domains)
    counts = list(n_domains) if several else [n_domains]
    if not counts or not all(map(is_whole, counts)):
        raise TypeError(f"{_MUST_BE}; got {n_domains!r}")
    if not all(1 <= k <= n_obs for k in counts):
        raise ValueError(f"n_domains must be between 1 and the number of spots, {n_obs}; got {n_domains}")
    return sorted({int(k) for k in counts})


def labels_and_curve(
    code: np.ndarray,
    adjacency: sp.csr_matrix,
    counts: list[int],
    *,
    structured_share: float,
    refine: bool,
    random_state: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns for ``obs``, and the curve for ``uns`` if there was a number to choose (else nothing).

    Parameters
    ----------
    code
        (n, d) embedding.
    adjacency
        (n, n) spatial neighbourhoods.
    counts
        Numbers of domains to choose from.
    structured_share
        How much of what the embedding was made of space structures.
    refine, random_state
        As :func:`multist.tl.multist_domains` takes them.
    """
    from multist.cluster.domains import find_domains

    uns: dict[str, Any] = {}
    asked: dict[str, Any] = {"structured_share": structured_share, "random_state": random_state}
    with steady_threads(limit=1):  # sums over spots decide between divisions that are nearly as likely
        counts = _possible(code, counts)
        n_domains = counts[0]
        if len(counts) > 1:
            curve = choose_count(code, adjacency, counts, **asked)
            n_domains = curve.chosen
            uns[_keys.CURVE] = curve._asdict()
            logger.info("%s, of %d to %d", counted(n_domains, "domain"), curve.candidates[0], curve.candidates[-1])
        domains = find_domains(code, adjacency, n_domains, refine=refine, **asked)
    names = [str(k) for k in range(n_domains)]
    labels = pd.Categorical.from_codes(domains.labels, names)
    return {"domain": labels, "confidence": domains.confidence}, uns


def _possible(code: np.ndarray, counts: list[int]) -> list[int]:
    """Candidates that the embedding has enough different points for, or the smallest."""
    from multist.cluster.distinct import count_distinct

    if len(counts) == 1:
        return counts
    distinct = count_distinct(code, max(counts))
    possible = [k for k in counts if k <= distinct] or counts[:1]
    if len(possible) < len(counts):
        logger.warning(
            "the embedding has only %s, so that of the numbers asked for %s cannot be found",
            counted(distinct, "different point"),
            ", ".join(str(k) for k in counts if k > distinct),
        )
    return possible


def write_division(
    part: Part,
    obs: dict[str, Any],
    uns: dict[str, Any],
    key_added: str,
    *,
    colors: list[str] | None = None,
    probability: np.ndarray | None = None,
) -> None:
    """Write the fields, with the domains' colours, in place of those of an earlier run."""
    draft = cast("Any", part.table)
    before = draft.uns.get(key_added, {})
    stale = {name for name in (_keys.CURVE, _keys.GUIDED) if name in before and name not in uns}
    if stale:  # what an earlier run left would pass for this one's
        draft.put("uns", key_added, {name: value for name, value in before.items() if name not in stale})
    probability_key = _keys.probability_key(key_added)
    if probability is None:
        draft.drop("obsm", probability_key)
    colors = colors or domain_colors(len(obs["domain"].categories))
    part.write(
        obs={f"{key_added}_{name}": value for name, value in obs.items()},
        obsm={} if probability is None else {probability_key: probability},
        uns={key_added: uns, f"{_keys.domain_key(key_added)}_colors": colors},
    )
