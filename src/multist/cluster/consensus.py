"""One partition from many: what most of them agree on."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

_MAX_ROUNDS = 20
_SAMPLE = 5_000  # points on which partitions are compared


def consensus(partitions: np.ndarray, n_domains: int) -> tuple[np.ndarray, np.ndarray]:
    """Align partitions to the one that agrees most with the others, vote, and repeat with the result.

    Parameters
    ----------
    partitions
        (m, n) int labels from 0 to ``n_domains - 1``.
    n_domains
        Number of domains.

    Returns
    -------
    (n,) int64 labels, and the (n, n_domains) share of the partitions that voted for each domain.

    References
    ----------
    Strehl & Ghosh, JMLR 2002 (cluster ensembles); alignment by the Hungarian method.
    """
    partitions = np.asarray(partitions)
    every = max(1, partitions.shape[1] // _SAMPLE)
    some = partitions[:, ::every]
    agreement = np.array([[adjusted_rand_score(a, b) for b in some] for a in some]).mean(axis=1)
    labels = partitions[agreement.argmax()]
    rows = np.arange(partitions.shape[1])
    for _ in range(_MAX_ROUNDS):
        votes = np.zeros((partitions.shape[1], n_domains))
        for partition in partitions:
            votes[rows, aligned(partition, labels, n_domains)] += 1
        # A tie stays with the present label, so that the rounds end.
        votes[rows, labels] += 0.5
        voted = votes.argmax(axis=1)
        votes[rows, labels] -= 0.5
        if (voted == labels).all():
            break
        labels = voted
    return labels.astype(np.int64), votes / len(partitions)


def aligned(partition: np.ndarray, reference: np.ndarray, n_domains: int) -> np.ndarray:
    """Rename the labels of a partition so that it overlaps most with the reference."""
    overlap = np.zeros((n_domains, n_domains), dtype=np.int64)
    np.add.at(overlap, (partition, reference), 1)
    old, new = linear_sum_assignment(-overlap)
    name = np.empty(n_domains, dtype=np.int64)
    name[old] = new
    return name[partition]
