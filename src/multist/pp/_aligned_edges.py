"""Neighbouring sections that touch in z, where their coordinates have been aligned."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from multist._spacing import local_spacings


def across_sections(place: np.ndarray, xy: np.ndarray, section: np.ndarray) -> sparse.csr_matrix:
    """Join each spot to the nearest one of the section before and of the section after it.

    Sections are stacked in the order of their codes. A spot has none across where nothing lies within the typical step
    between spots of one section: there the other section has no tissue.

    Parameters
    ----------
    place
        (n, 2) coordinates that all sections share.
    xy
        (n, 2) the sections' own coordinates, whose unit the distances get.
    section
        (n,) int from 0.

    Returns
    -------
    (n, n) symmetric CSR float64 of distances, brought to the unit of ``xy`` by the typical steps in both; joined spots
    that lie on each other have a tiny one.
    """
    rows = [np.flatnonzero(section == code) for code in range(section.max() + 1)]
    reach, step = _typical_step(place, rows), _typical_step(xy, rows)
    unit = step / reach if 0 < reach < np.inf and 0 < step < np.inf else 1.0
    starts, ends, distances = [], [], []
    for lower, upper in zip(rows[:-1], rows[1:], strict=True):
        for one, other in ((lower, upper), (upper, lower)):
            distance, nearest = cKDTree(place[other]).query(place[one], distance_upper_bound=reach * (1 + 1e-9))
            found = np.isfinite(distance)
            starts.append(one[found])
            ends.append(other[nearest[found]])
            distances.append(np.maximum(distance[found], 1e-9 * reach if np.isfinite(reach) else 1e-9))
    if not starts:
        return sparse.csr_matrix((len(place), len(place)))
    start, end = np.concatenate(starts), np.concatenate(ends)
    shape = (len(place), len(place))
    # a pair that is mutual comes twice, with one and the same distance
    half = sparse.csr_matrix((np.concatenate(distances) * unit, (start, end)), shape=shape)
    return sparse.csr_matrix(half.maximum(half.T))


def _typical_step(place: np.ndarray, rows: list[np.ndarray]) -> float:
    """Median over all spots of how far apart spots are around them."""
    steps = [local_spacings(place[inside]) for inside in rows if len(inside) > 1]
    return float(np.median(np.concatenate(steps))) if steps else np.inf
