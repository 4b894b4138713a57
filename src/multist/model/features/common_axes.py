"""Embeddings that were made in each section by itself, brought to common axes where the sections touch."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from multist._settings import logger
from multist._words import counted
from multist.model.features.neighbourhood import smooth
from multist.model.features.sections import within_sections

_MAX_COMPONENTS = 50  # as many as pp.embed_expression makes; a rotation of more is fitted to noise
_MAX_COMPARED = 10  # components
_UNCORRELATED = 1e-3  # correlation up to which components count as made in the spots at hand
_HOPS = 6  # steps on the graph, over which features are averaged before sections are brought together


def common_axes(features: np.ndarray, adjacency: sp.csr_matrix, section: np.ndarray) -> np.ndarray:
    """Rotate each section's principal components so that what lies on each other agrees.

    Components of a section by itself have axes of their own. Where sections are aligned, so that the graph joins spots
    across them, the averages over the neighbourhoods at both ends of these edges should be the same: the rotation that
    brings them closest is Procrustes' (Schönemann, Psychometrika 1966). Sections are placed one after another, each on
    those that are. Nothing happens if the components are correlated within a section, which they are not where they
    were made in it, or if no edge joins two sections; then a warning says that the columns do not mean the same
    everywhere.

    Parameters
    ----------
    features
        (n, p) floating point.
    adjacency
        (n, n) spatial neighbourhoods.
    section
        (n,) int from 0.

    Returns
    -------
    (n, up to 50) rotated components, or the features as they are.
    """
    edges = sp.coo_matrix(adjacency)
    across = section[edges.row] != section[edges.col]
    n_sections = section.max() + 1
    if n_sections == 1 or len(component_spread(features, section)) < n_sections:
        return features
    if not across.any():
        logger.warning(
            "the embedding was made in each of the %d sections by itself, so its columns mean something else in "
            "each, and no edge of the graph joins two sections: make one embedding of all (pp.embed_expression on "
            "the counts), or align the sections and run pp.spatial_graph with aligned_key",
            n_sections,
        )
        return features
    features = features[:, :_MAX_COMPONENTS].copy()
    start, end = edges.row[across], edges.col[across]
    for k in range(n_sections):
        features[section == k] -= features[section == k].mean(axis=0)
    around = smooth(features, within_sections(adjacency, section), _HOPS)
    placed, waiting = {0}, set(range(1, n_sections))
    while waiting:
        joined = {k: (section[start] == k) & np.isin(section[end], list(placed)) for k in waiting}
        k = max(waiting, key=lambda number: (int(joined[number].sum()), -number))
        if not joined[k].any():
            raise ValueError(
                f"{counted(len(waiting), 'section touches', 'sections touch')} none of the others, and the embedding "
                "was made in each by itself: align all of them, or make one embedding of all"
            )
        rotation = _procrustes(around[start[joined[k]]], around[end[joined[k]]])
        rows = section == k
        features[rows], around[rows] = features[rows] @ rotation, around[rows] @ rotation
        placed.add(k)
        waiting.remove(k)
    logger.info("the embedding was made in each section by itself; brought to common axes where the sections touch")
    return features


def component_spread(features: np.ndarray, section: np.ndarray) -> np.ndarray:
    """Spread of the leading components in the spots that they were made in, as far as those are among the rows.

    Principal components are uncorrelated in the spots they come from, and nowhere else: projected on them, other spots
    are correlated by far more than rounding.

    Parameters
    ----------
    features
        (n, p) floating point.
    section
        (n,) int from 0.

    Returns
    -------
    (m, up to 10) standard deviations: of each section whose components were made in it, or else a single row if they
    were made in all of them together. No row if they come from elsewhere, or are no principal components.
    """
    some = features[:, :_MAX_COMPARED]
    sections = (some[section == number] for number in range(section.max() + 1))
    spreads = [values.std(axis=0, dtype=np.float64) for values in sections if _uncorrelated(values)]
    if not spreads and _uncorrelated(some):
        spreads = [some.std(axis=0, dtype=np.float64)]
    return np.reshape(spreads, (len(spreads), some.shape[1]))


def _uncorrelated(values: np.ndarray) -> bool:
    n_spots, n_columns = values.shape
    if n_columns < 2 or n_spots <= n_columns or not values.std(axis=0).all():
        return False
    return bool(np.abs(np.corrcoef(values.T) - np.eye(n_columns)).max() <= _UNCORRELATED)


def _procrustes(moved: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """(p, p) rotation or reflection that brings (m, p) points closest to as many others."""
    left, _, right = np.linalg.svd(moved.T @ fixed)
    return left @ right
