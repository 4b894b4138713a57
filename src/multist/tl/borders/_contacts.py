"""Which domains touch, how long their borders are, and which spots lie within reach of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from multist._facets import border_facets
from multist._spacing import spacing
from multist.access import read_domains

if TYPE_CHECKING:
    from anndata import AnnData

_STRAIGHT = np.pi / 4
"""Length of a smooth curve over that of the facets between the cells on its two sides, in the mean over directions."""


class Contact(NamedTuple):
    """Two domains that touch; ``first < second`` are codes, ``n_edges`` joins of neighbours across the border."""

    first: int
    second: int
    n_edges: int


def domain_codes(table: AnnData, key: str) -> tuple[np.ndarray, list[str]]:
    """(n_obs,) codes, -1 for none, and names of the domains that have spots; raises what ``read_domains`` raises."""
    column = read_domains(table, key).cat.remove_unused_categories()
    return column.cat.codes.to_numpy(dtype=np.int64), list(column.cat.categories)


def find_contacts(adjacency: sparse.spmatrix, codes: np.ndarray) -> list[Contact]:
    """Domains with neighbours in each other.

    Parameters
    ----------
    adjacency
        (n, n) spatial graph.
    codes
        (n,) domain of each spot, -1 where it has none.

    Returns
    -------
    One contact per pair of domains, in the order of the codes.
    """
    edges = sparse.triu(adjacency, k=1, format="coo")
    ends = np.sort(np.column_stack([codes[edges.row], codes[edges.col]]), axis=1)
    across = ends[(ends[:, 0] >= 0) & (ends[:, 0] != ends[:, 1])]
    found, counts = np.unique(across, axis=0, return_counts=True)
    return [Contact(int(a), int(b), int(n)) for (a, b), n in zip(found, counts, strict=True)]


def within_reach(adjacency: sparse.spmatrix, steps: int) -> sparse.csr_matrix:
    """(n, n) float32 of ones where ``steps`` steps on the graph, or fewer, lead from one spot to another."""
    step = reached = (adjacency != 0).astype(np.float32)
    for _ in range(steps - 1):
        reached = ((reached @ step + step) != 0).astype(np.float32)
    return reached


def section_spacings(places: np.ndarray, section: np.ndarray) -> np.ndarray:
    """(n_sections,) distance between neighbouring spots in the unit of ``places``; NaN of a single spot."""
    return np.array([spacing(places[section == code]) for code in range(section.max() + 1)])


def border_lengths(places: np.ndarray, section: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Length of the border between every two domains, summed over the sections.

    The facets that the Voronoi cells of the two domains share, which are those that plots draw, form a zigzag along the
    border. In the mean over directions it is 4/pi times as long as the border (the formula of Cauchy and Crofton),
    which is divided out.

    Parameters
    ----------
    places
        (n, 2) where the spots are.
    section
        (n,) code of the section.
    codes
        (n,) domain of each spot, -1 where it has none.

    Returns
    -------
    (n_domains, n_domains) symmetric, in the unit of ``places``.
    """
    n_domains = int(codes.max()) + 1
    lengths = np.zeros((n_domains, n_domains))
    for code in range(section.max() + 1):
        found = border_facets(places[section == code], codes[section == code])
        np.add.at(lengths, tuple(found.codes.T), _STRAIGHT * found.lengths())
    return lengths + lengths.T
