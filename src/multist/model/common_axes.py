"""Embeddings that were made in each section by itself, brought to common axes where the sections touch."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from multist._settings import logger
from multist.model.factors import smooth
from multist.model.sections import within_sections

_COMPONENTS = 50  # as many as pp.embed_expression makes; a rotation of more is fitted to noise
_LOOKED_AT = 10  # components
_UNCORRELATED = 1e-3
_HOPS = 6


def common_axes(features: np.ndarray, adjacency: sp.csr_matrix, section: np.ndarray) -> np.ndarray:
    """Rotate each section's principal components so that what lies on each other agrees.

    Components of a section by itself have axes of their own. Where sections are aligned, so that the graph joins spots across them,
    the averages over the neighbourhoods at both ends of these edges should be the same: the rotation that brings them
    closest is Procrustes' (Schönemann, Psychometrika 1966). Sections are placed one after another, each on those that are.
    Nothing happens if no edge joins two sections, or if the components are correlated within a section, which they are not
    where they were made in it.

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
    if not across.any() or not _made_by_section(features, section):
        return features
    features = features[:, :_COMPONENTS].copy()
    start, end = edges.row[across], edges.col[across]
    for own in range(section.max() + 1):
        features[section == own] -= features[section == own].mean(axis=0)
    around = smooth(features, within_sections(adjacency, section), _HOPS)
    placed, waiting = {0}, set(range(1, section.max() + 1))
    while waiting:
        joined = {own: (section[start] == own) & np.isin(section[end], list(placed)) for own in waiting}
        own = max(waiting, key=lambda number: (int(joined[number].sum()), -number))
        if not joined[own].any():
            raise ValueError(
                f"{len(waiting)} sections touch none of the others, and their embedding was made in each by itself: align "
                "all of them, or make one embedding of all"
            )
        rotation = _procrustes(around[start[joined[own]]], around[end[joined[own]]])
        rows = section == own
        features[rows], around[rows] = features[rows] @ rotation, around[rows] @ rotation
        placed.add(own)
        waiting.remove(own)
    logger.info("the embedding was made in each section by itself; brought to common axes where the sections touch")
    return features


def _made_by_section(features: np.ndarray, section: np.ndarray) -> bool:
    """Whether the leading components are uncorrelated within each section, and so were made in it."""
    some = features[:, :_LOOKED_AT]
    for own in range(section.max() + 1):
        values = some[section == own]
        spread = values.std(axis=0)
        if len(values) <= some.shape[1] or not spread.all():
            return False
        related = np.corrcoef(values.T) - np.eye(some.shape[1])
        if np.abs(related).max(initial=0) > _UNCORRELATED:
            return False
    return features.shape[1] > 1


def _procrustes(moved: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """(p, p) rotation or reflection that brings (m, p) points closest to as many others."""
    left, _, right = np.linalg.svd(moved.T @ fixed)
    return left @ right
