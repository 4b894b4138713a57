"""From an embedding to spatial domains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.cluster.consensus import consensus
from multist.cluster.mixture import fit_mixture
from multist.cluster.refine import majority_vote, with_exact_count

_SHARES = (0.75, 0.875, 1.0)  # of the embedding's dimensions that the partitions of the consensus see


class Domains(NamedTuple):
    """What :func:`find_domains` gives.

    Attributes
    ----------
    labels
        (n,) int64 from 0, the largest domain, upwards.
    confidence
        (n,) float64. Share of the partitions that agree with the label before refinement; ones without consensus.
    """

    labels: np.ndarray
    confidence: np.ndarray


def find_domains(
    embedding: np.ndarray,
    adjacency: sp.csr_matrix,
    n_domains: int,
    *,
    use_consensus: bool = True,
    refine: bool = True,
    n_starts: int = 48,
    n_polished: int = 12,
    random_state: int = 0,
) -> Domains:
    """Partition an embedding into exactly ``n_domains`` coherent domains.

    Tied-covariance mixtures are fitted to several numbers of leading dimensions, each from many starts; what most of
    the likeliest agree on is refined in space.

    Parameters
    ----------
    embedding
        (n, d), finite.
    adjacency
        (n, n) sparse spatial neighbourhoods.
    n_domains
        Number of domains, at most n.
    use_consensus
        Vote over several numbers of dimensions; else all dimensions once.
    refine
        Let spots that stand alone join what surrounds them.
    n_starts, n_polished
        Starts of each mixture, and how many of the likeliest are voters.
    random_state
        Seed.
    """
    points = _leading_first(np.asarray(embedding, dtype=np.float64))
    if n_domains == 1 or len(np.unique(points, axis=0)) < n_domains:
        start = np.zeros(len(points), dtype=np.int64)
        return Domains(with_exact_count(start, points, n_domains), np.ones(len(points)))
    shares = _SHARES if use_consensus else (1.0,)
    widths = sorted({max(1, round(share * points.shape[1])) for share in shares})
    fits = [
        fit_mixture(points[:, :d], n_domains, n_starts=n_starts, n_polished=n_polished, random_state=random_state)
        for d in widths
    ]
    partitions = [fit.partitions if use_consensus else fit.partitions[:1] for fit in fits]
    labels, votes = consensus(np.concatenate(partitions), n_domains)
    confidence = votes[np.arange(len(labels)), labels]
    if refine:
        labels = majority_vote(labels, adjacency)
    return Domains(with_exact_count(labels, points, n_domains), confidence)


def _leading_first(points: np.ndarray) -> np.ndarray:
    """Rotate to principal axes, signs fixed by the largest loading."""
    points = points - points.mean(axis=0)
    axes = np.linalg.svd(points, full_matrices=False)[2]
    signs = np.where(axes[range(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)
    return points @ (axes * signs[:, None]).T
