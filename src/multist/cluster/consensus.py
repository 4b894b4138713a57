"""One partition from many: what most of them agree on."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.optimize import linear_sum_assignment

_MAX_ROUNDS = 20
_SAMPLE = 5_000  # points on which partitions are compared
_ENOUGH = 20_000  # points on which names are matched; the others only vote


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
    (n,) int64 labels, and the (n, n_domains) share of the partitions that voted for each domain; float32 of many points.

    References
    ----------
    Strehl & Ghosh, JMLR 2002 (cluster ensembles); alignment by the Hungarian method.
    """
    partitions = np.asarray(partitions)
    every = max(1, partitions.shape[1] // _SAMPLE)
    agreement = _agreement(partitions[:, ::every], n_domains).mean(axis=1)
    voters = partitions[:, :: -(-partitions.shape[1] // _ENOUGH)] if partitions.shape[1] > _ENOUGH else partitions
    leading = int(agreement.argmax())
    labels = voters[leading]
    for _ in range(_MAX_ROUNDS):
        names = [_matching(partition, labels, n_domains) for partition in voters]
        voted = _counted(voters, names, n_domains, labels).argmax(axis=1)
        if (voted == labels).all():
            break
        labels = voted
    votes = _counted(partitions, names, n_domains)
    if voters is not partitions:
        labels = _counted(partitions, names, n_domains, names[leading][partitions[leading]]).argmax(axis=1)
    votes /= len(partitions)
    return labels.astype(np.int64), votes


def _agreement(partitions: np.ndarray, n_domains: int) -> np.ndarray:
    """(m, m) adjusted Rand indices (Hubert & Arabie, 1985), from counts: sorting out the labels of each pair takes far longer."""
    m, n = partitions.shape
    labels = partitions.astype(np.int64)
    together = [_n_pairs(each) for each in labels]
    agreement = np.ones((m, m))
    for i, j in combinations(range(m), 2):
        both = _n_pairs(labels[i] * n_domains + labels[j])
        chance, both = together[i] * together[j], both * n * (n - 1)
        most = (together[i] + together[j]) * n * (n - 1) // 2
        agreement[i, j] = agreement[j, i] = (both - chance) / (most - chance) if most > chance else 1.0
    return agreement


def _n_pairs(labels: np.ndarray) -> int:
    """Ordered pairs of points with the same label, as an integer that products do not overflow."""
    count = np.bincount(labels)
    return int((count * (count - 1)).sum())


def _counted(
    partitions: np.ndarray, names: list[np.ndarray], n_domains: int, present: np.ndarray | None = None
) -> np.ndarray:
    """(n, n_domains) votes of renamed partitions; a tie stays with the ``present`` label, so that rounds end."""
    n = partitions.shape[1]
    votes = np.zeros((n, n_domains), dtype=np.float64 if n <= _ENOUGH else np.float32)
    rows = np.arange(n)
    for partition, name in zip(partitions, names, strict=True):
        votes[rows, name[partition]] += 1
    if present is not None:
        votes[rows, present] += 0.5
    return votes


def aligned(partition: np.ndarray, reference: np.ndarray, n_domains: int) -> np.ndarray:
    """Rename the labels of a partition so that it overlaps most with the reference."""
    return _matching(partition, reference, n_domains)[partition]


def _matching(partition: np.ndarray, reference: np.ndarray, n_domains: int) -> np.ndarray:
    """New name of each label of the partition."""
    pairs = partition.astype(np.int64) * n_domains + reference
    overlap = np.bincount(pairs, minlength=n_domains**2).reshape(n_domains, n_domains)
    old, new = linear_sum_assignment(-overlap)
    name = np.empty(n_domains, dtype=np.int64)
    name[old] = new
    return name
