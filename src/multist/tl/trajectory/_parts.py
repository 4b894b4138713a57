"""Parts of a graph that no path joins."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from multist._words import counted
from multist.tl.trajectory._roots import Root

STRAY = -1
"""Part of a cell that belongs to none large enough."""

_MAX_LISTED = 8


def find_parts(graph: sparse.csr_matrix, smallest: int) -> np.ndarray:
    """Part of each cell, 0 being the largest, and :data:`STRAY` in parts of less than ``smallest`` cells.

    Raises
    ------
    ValueError
        If no part is large enough.
    """
    _, labels = connected_components(graph, directed=False)
    sizes = np.bincount(labels)
    code = np.argsort(np.argsort(-sizes, kind="stable"))
    code[sizes < smallest] = STRAY
    if (code == STRAY).all():
        raise ValueError(
            f"the graph of neighbours falls into {counted(len(sizes), 'part')} of less than {smallest} cells each; "
            "increase n_neighbors"
        )
    return code[labels]


def root_part(asked: Root, parts: np.ndarray, domains: np.ndarray) -> int:
    """The part that holds the root: the observation, or most of the domain's cells; the largest one for the rule.

    Raises
    ------
    ValueError
        If the root lies in no part.
    """
    if asked.cell is not None:
        home = int(parts[asked.cell])
    elif asked.domain is not None:
        inside = parts[(domains == asked.domain) & (parts != STRAY)]
        home = int(np.bincount(inside).argmax()) if len(inside) else STRAY
    else:
        home = 0
    if home == STRAY:
        raise ValueError("the root is one of a few cells that no path joins to the others; choose another one")
    return home


def describe_parts(parts: np.ndarray, domains: np.ndarray, sections: np.ndarray) -> str:
    """How many cells each part has, of which domains, and of which sections if there are several.

    Parameters
    ----------
    parts
        (n,) part of each cell.
    domains
        (n,) names, None where there is none.
    sections
        (n,) name of each cell's section.
    """
    lines = []
    for part in range(min(parts.max() + 1, _MAX_LISTED)):
        inside = parts == part
        what = f"domains {_shares(domains[inside])}"
        if len(np.unique(sections)) > 1:
            what += f"; sections {_shares(sections[inside])}"
        lines.append(f"part {part + 1}: {inside.sum()} cells ({what})")
    rest = parts.max() + 1 - _MAX_LISTED
    return "; ".join(lines) + (f"; and {rest} more" if rest > 0 else "")


def _shares(names: np.ndarray) -> str:
    found, counts = np.unique([str(name) if name is not None else "none" for name in names], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = ", ".join(f"{str(found[i])!r}: {counts[i]}" for i in order[:_MAX_LISTED])
    return shown + (", ..." if len(found) > _MAX_LISTED else "")
