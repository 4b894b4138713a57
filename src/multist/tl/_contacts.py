"""Which domains touch, how long their borders are, and which spots lie within reach of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.access import SpatialRecord

_FAR = 2.0
_STRAIGHT = np.pi / 4
"""Length of a smooth curve over that of the facets between the cells on its two sides, in the mean over directions."""


class Contact(NamedTuple):
    """Two domains that touch; ``first < second`` are codes, ``n_edges`` joins of neighbours across the border."""

    first: int
    second: int
    n_edges: int


def domain_codes(table: AnnData, key: str) -> tuple[np.ndarray, list[str]]:
    """(n_obs,) codes, -1 for none, and the names of the domains that have spots.

    Raises
    ------
    KeyError
        If there is no such column.
    """
    if key not in table.obs:
        found = ", ".join(map(repr, table.obs)) or "nothing"
        raise KeyError(f"domain_key {key!r} not found in obs; found: {found}. tl.multist_domains finds domains")
    column = table.obs[key].astype("category").cat.remove_unused_categories()
    return column.cat.codes.to_numpy(dtype=np.int64), [str(name) for name in column.cat.categories]


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
    edges = sparse.coo_matrix(sparse.triu(adjacency.maximum(adjacency.T), k=1))
    ends = np.sort(np.column_stack([codes[edges.row], codes[edges.col]]), axis=1)
    across = ends[(ends[:, 0] >= 0) & (ends[:, 0] != ends[:, 1])]
    found, counts = np.unique(across, axis=0, return_counts=True)
    return [Contact(int(a), int(b), int(n)) for (a, b), n in zip(found, counts, strict=True)]


def within_reach(adjacency: sparse.spmatrix, steps: int) -> sparse.csr_matrix:
    """(n, n) float32 of ones where ``steps`` steps on the graph, or fewer, lead from one spot to another."""
    step = sparse.csr_matrix(adjacency.maximum(adjacency.T) != 0, dtype=np.float32)
    reached = step
    for _ in range(steps - 1):
        reached = sparse.csr_matrix((reached @ step + step) != 0, dtype=np.float32)
    return reached


def spacings(record: SpatialRecord, adjacency: sparse.spmatrix) -> np.ndarray:
    """(n_sections,) median distance between joined spots in the units of ``record.xy``; NaN where none are joined."""
    edges = sparse.coo_matrix(adjacency)
    distance = np.linalg.norm(record.xy[edges.row] - record.xy[edges.col], axis=1)
    section = record.section[edges.row]
    own = (distance[section == i] for i in range(len(record.section_names)))
    return np.array([np.median(each) if len(each) else np.nan for each in own])


def border_lengths(
    record: SpatialRecord, adjacency: sparse.spmatrix, codes: np.ndarray, spacing: np.ndarray
) -> tuple[np.ndarray, str]:
    """Length of the border between every two domains, summed over the sections.

    The facets that the Voronoi cells of the two domains share form a zigzag along the border. In the mean over directions
    it is 4/pi times as long as the border (the formula of Cauchy and Crofton), which is divided out.

    Parameters
    ----------
    record
        Where the spots are.
    adjacency
        (n, n) spatial graph.
    codes
        (n,) domain of each spot, -1 where it has none.
    spacing
        (n_sections,) distance between neighbours.

    Returns
    -------
    (n_domains, n_domains) symmetric lengths, and their unit: ``"um"`` if every section says how large its pixels are, else
    ``"spacings"``, distances between neighbouring spots.
    """
    n_domains = int(codes.max()) + 1
    lengths = np.zeros((n_domains, n_domains))
    microns = [scale for scale in record.microns_per_pixel if scale is not None]
    known = len(microns) == len(record.section_names)
    local = _local_spacing(record, adjacency, spacing)
    for section in range(len(record.section_names)):
        rows = np.flatnonzero(record.section == section)
        unit = 1 / microns[section] if known else spacing[section]
        if np.isfinite(unit):
            lengths += _section_lengths(record.xy[rows], codes[rows], local[rows], n_domains) / unit
    return lengths, "um" if known else "spacings"


def _local_spacing(record: SpatialRecord, adjacency: sparse.spmatrix, spacing: np.ndarray) -> np.ndarray:
    """(n,) mean distance of each spot to those it is joined with; the section's where it is joined with none."""
    edges = sparse.coo_matrix(adjacency)
    distance = np.linalg.norm(record.xy[edges.row] - record.xy[edges.col], axis=1)
    count = np.bincount(edges.row, minlength=len(record.xy))
    total = np.bincount(edges.row, weights=distance, minlength=len(record.xy))
    return np.where(count > 0, total / np.maximum(count, 1), spacing[record.section])


def _section_lengths(xy: np.ndarray, codes: np.ndarray, local: np.ndarray, n_domains: int) -> np.ndarray:
    from scipy.spatial import QhullError, Voronoi

    lengths = np.zeros((n_domains, n_domains))
    try:
        cells = Voronoi(xy)
    except (QhullError, ValueError):
        return lengths  # fewer than four spots, or all in a row: there is no border line
    one, two = cells.ridge_points.T
    ends = np.array(cells.ridge_vertices)
    size = np.linalg.norm(cells.vertices[ends[:, 0]] - cells.vertices[ends[:, 1]], axis=1)
    # at the rim of the tissue facets run on, some of them without end
    around = (local[one] + local[two]) / 2
    size = np.where((ends < 0).any(axis=1), around, np.minimum(size, around))
    near = np.linalg.norm(xy[one] - xy[two], axis=1) < _FAR * around
    border = near & (codes[one] >= 0) & (codes[two] >= 0) & (codes[one] != codes[two])
    np.add.at(lengths, (codes[one[border]], codes[two[border]]), _STRAIGHT * size[border])
    return lengths + lengths.T
