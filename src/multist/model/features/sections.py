"""What differs between sections as a whole is taken away, if the sections then look alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist._neighbourhood import neighbourhood_mean

_MAX_COMPARED = 1000  # spots of each section that are compared
_N_NEIGHBORS = 30  # of a spot in the features, among which other sections are counted
_HOPS = 3  # steps on the graph, over which features are averaged before they are compared
_LEAST_GAIN = 0.02  # share of the neighbours that has to be won


class Surroundings(NamedTuple):
    """Averages over the neighbourhood of some spots of every section, by which others are judged.

    Attributes
    ----------
    values
        (m, p).
    scale
        (p,) by which features are divided before they are compared.
    middle
        (p,) mean of the sections' means, to which others are brought.
    """

    values: np.ndarray
    scale: np.ndarray
    middle: np.ndarray


def section_offsets(
    features: np.ndarray, adjacency: sp.csr_matrix, section: np.ndarray, *, one_scale: bool, random_state: int = 0
) -> tuple[np.ndarray, Surroundings]:
    """What to subtract from each section: its distance from the mean of all, or nothing.

    A batch shifts the whole section; but sections that hold other tissue differ in the mean as well, and then the shift
    would bring unlike domains together. It is taken away only if spots of different sections are more often neighbours
    in the features after it than before, by a fiftieth at least.

    Parameters
    ----------
    features
        (n, p) floating point.
    adjacency
        (n, n) spatial neighbourhoods.
    section
        (n,) int from 0.
    one_scale
        Whether the features' relative scales carry information; if not, each is brought to unit variance to compare.
    random_state
        Seed of the spots that are compared.

    Returns
    -------
    (n_sections, p) offsets, and the surroundings without them.
    """
    rows = _some_of_each(section, random_state)
    around, member = _averaged(features, within_sections(adjacency, section), rows), section[rows]
    means = np.stack([features[section == k].mean(axis=0, dtype=np.float64) for k in range(section.max() + 1)])
    middle = means.mean(axis=0)
    offsets = means - middle
    centred = around - offsets[member]
    scale = np.ones(features.shape[1]) if one_scale else _spread(centred)
    if len(means) > 1 and mixing(centred / scale, member) > mixing(around / scale, member) + _LEAST_GAIN:
        return offsets, Surroundings(centred.astype(np.float32), scale, middle)
    return np.zeros_like(offsets), Surroundings(around.astype(np.float32), scale, middle)


def offsets_to(fitted: Surroundings, features: np.ndarray, adjacency: sp.csr_matrix, section: np.ndarray) -> np.ndarray:
    """(n_sections, p) offsets of sections that were not there when the others were ``fitted``, by the same rule."""
    rows = _some_of_each(section, random_state=0)
    around, offsets = _averaged(features, within_sections(adjacency, section), rows), []
    for k in range(section.max() + 1):
        averaged = around[section[rows] == k]
        offset = features[section == k].mean(axis=0, dtype=np.float64) - fitted.middle
        member = np.repeat([0, 1], [len(fitted.values), len(averaged)])
        before, after = (
            mixing(np.concatenate([fitted.values, each]) / fitted.scale, member)
            for each in (averaged, averaged - offset)
        )
        offsets.append(offset if after > before + _LEAST_GAIN else np.zeros_like(offset))
    return np.stack(offsets)


def within_sections(adjacency: sp.csr_matrix, section: np.ndarray) -> sp.csr_matrix:
    """(n, n) neighbourhoods without the edges that join sections, over which an average is of one section no more."""
    edges = sp.coo_matrix(adjacency)
    inside = section[edges.row] == section[edges.col]
    if inside.all():
        return adjacency
    return sp.csr_matrix((edges.data[inside], (edges.row[inside], edges.col[inside])), shape=edges.shape)


def mixing(points: np.ndarray, member: np.ndarray) -> float:
    """Share of the nearest neighbours of (m, p) points that are of another section than the point itself."""
    from sklearn.neighbors import NearestNeighbors

    k = min(_N_NEIGHBORS, len(points) - 1)
    near = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    return float((member[near] != member[:, None]).mean())


def _some_of_each(section: np.ndarray, random_state: int) -> np.ndarray:
    """Rows, as many of each section where it has them."""
    rng = np.random.default_rng(random_state)
    members = (np.flatnonzero(section == k) for k in range(section.max() + 1))
    chosen = [rng.choice(rows, _MAX_COMPARED, replace=False) if len(rows) > _MAX_COMPARED else rows for rows in members]
    return np.sort(np.concatenate(chosen))


def _averaged(features: np.ndarray, adjacency: sp.csr_matrix, rows: np.ndarray) -> np.ndarray:
    mean = neighbourhood_mean(adjacency, with_self=True)
    weights = mean[rows]
    for _ in range(_HOPS - 1):
        weights = weights @ mean
    return np.asarray(weights @ features, dtype=np.float64)


def _spread(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=0)
    # averages of what is the same everywhere differ by the rounding of their float32 weights
    return np.where(spread > 1e-6 * np.abs(values).max(axis=0, initial=0), spread, np.inf)
