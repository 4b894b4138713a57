"""Spatial refinement: spots that stand alone join what surrounds them, and no domain gets lost."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

_MIN_DOMAIN_SPOTS = 5  # spots of a domain, where there are enough; with fewer it joins another
_SPOTS_AT_ONCE = 2**16  # spots whose neighbourhoods of two steps are held at once


def majority_vote(labels: np.ndarray, adjacency: sp.csr_matrix) -> np.ndarray:
    """Give a spot the label that more than half of the spots within two steps have, its own not counted.

    The strict majority leaves straight borders and layers of two or more spots where they are; only lone spots change.

    Parameters
    ----------
    labels
        (n,) int.
    adjacency
        (n, n) sparse neighbourhoods.
    """
    near = (sp.csr_matrix(adjacency) != 0).astype(np.float32)
    named = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    starts = range(0, len(labels), _SPOTS_AT_ONCE)
    return np.concatenate([_voted(labels, named, near, start) for start in starts])


def _voted(labels: np.ndarray, named: np.ndarray, near: sp.csr_matrix, start: int) -> np.ndarray:
    """New labels of the block of spots that begins at ``start``."""
    block = near[start : start + _SPOTS_AT_ONCE]
    within = ((block + block @ near) != 0).astype(np.float32).tocoo()
    other = within.col != within.row + start
    within = sp.csr_matrix((within.data[other], (within.row[other], within.col[other])), shape=block.shape)
    votes = within @ named
    clear = votes.max(axis=1) > np.asarray(within.sum(axis=1)).ravel() / 2
    return np.where(clear, votes.argmax(axis=1), labels[start : start + _SPOTS_AT_ONCE])


def fewest_spots(n: int, n_domains: int) -> int:
    """How many of ``n`` spots a domain has at least: a handful, or half of its even share where spots are few."""
    return max(1, min(_MIN_DOMAIN_SPOTS, n // (2 * n_domains)))


def with_exact_count(labels: np.ndarray, points: np.ndarray, n_domains: int) -> np.ndarray:
    """Return exactly ``n_domains`` domains of at least a handful of spots, numbered from the largest to the smallest.

    A domain below that size joins the one whose mean is nearest; the widest of the others is split at the median of its
    leading component until the number is right. Tables with few spots per domain lower the bar.

    Parameters
    ----------
    labels
        (n,) int.
    points
        (n, d) embedding.
    n_domains
        Wanted number, at most n.
    """
    smallest = fewest_spots(len(labels), n_domains)
    labels = labels.copy()
    names, counts = np.unique(labels, return_counts=True)
    for name in names[counts < smallest] if (counts >= smallest).any() else []:
        kept = np.unique(labels[~np.isin(labels, names[counts < smallest])])
        means = np.stack([points[labels == k].mean(axis=0) for k in kept])
        inside = labels == name
        labels[inside] = kept[((points[inside, None] - means) ** 2).sum(axis=2).argmin(axis=1)]
    while len(names := np.unique(labels)) < n_domains:
        # halves are no smaller than a domain may be; of fewer domains than wanted one is large enough
        scatter = [
            points[labels == k].var(axis=0).sum() * (labels == k).sum() if (labels == k).sum() >= 2 * smallest else -1
            for k in names
        ]
        rows = np.flatnonzero(labels == names[int(np.argmax(scatter))])
        centred = points[rows] - points[rows].mean(axis=0)
        leading = leading_axes(centred)[0]
        upper = np.argsort(centred @ leading, kind="stable")[len(rows) // 2 :]
        labels[rows[upper]] = labels.max() + 1
    names, counts = np.unique(labels, return_counts=True)
    rank = np.empty(labels.max() + 1, dtype=np.int64)
    rank[names[np.argsort(-counts, kind="stable")]] = np.arange(len(names))
    return rank[labels]


def leading_axes(centred: np.ndarray) -> np.ndarray:
    """Principal axes of (n, d) centred points as rows, the leading one first."""
    if len(centred) <= _SPOTS_AT_ONCE:
        return np.linalg.svd(centred, full_matrices=False)[2]
    # the singular vectors of that many points would take their place again
    return np.linalg.eigh(centred.T @ centred)[1].T[::-1]
