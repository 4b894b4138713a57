"""From an embedding to spatial domains."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.cluster.consensus import consensus
from multist.cluster.distinct import count_distinct
from multist.cluster.mixture import fit_mixture
from multist.cluster.refine import leading_axes, majority_vote, with_exact_count
from multist.cluster.sampled import ENOUGH, mixture_from, sampled_partitions
from multist.cluster.watched import watched

_SHARES = (0.75, 0.8125, 0.875, 0.9375, 1.0)  # of the embedding's dimensions that the partitions of the consensus see


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
    device: str = "cpu",
) -> Domains:
    """Partition an embedding into exactly ``n_domains`` coherent domains.

    Tied-covariance mixtures are fitted to several numbers of leading dimensions, each from many starts; what most of
    the likeliest agree on is where a last mixture starts, and its partition is refined in space. Of more than
    10,000 points the starts see a sample, and the likeliest are polished on all; time and memory grow at most linearly with the points.

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
    device
        Torch device of the mixtures of more than 10,000 points; fewer are divided on the CPU, whatever the device.
    """
    points = _leading_first(np.asarray(embedding, dtype=np.float64))
    if n_domains == 1 or count_distinct(points, n_domains) < n_domains:
        start = np.zeros(len(points), dtype=np.int64)
        return Domains(with_exact_count(start, points, n_domains), np.ones(len(points)))
    shares = _SHARES if use_consensus else (1.0,)
    widths = sorted({max(1, round(share * points.shape[1])) for share in shares})
    options: dict[str, Any] = {"n_starts": n_starts, "n_polished": n_polished, "random_state": random_state}
    partitions = [
        _partitions(points[:, :d], n_domains, device, options)
        for d in watched(widths, len(widths), "multist: clustering")
    ]
    labels, votes = consensus(
        np.concatenate(partitions if use_consensus else [each[:1] for each in partitions]), n_domains
    )
    if use_consensus:
        # a vote may leave a domain with hardly a spot, or between two; the mixture that starts there is one
        labels = mixture_from(points, labels, n_domains)
    confidence = votes[np.arange(len(labels)), labels].astype(np.float64)
    if refine:
        labels = majority_vote(labels, adjacency)
    return Domains(with_exact_count(labels, points, n_domains), confidence)


def _partitions(points: np.ndarray, n_domains: int, device: str, options: dict[str, Any]) -> np.ndarray:
    """(m, n) partitions by the likeliest mixtures."""
    if len(points) > ENOUGH:
        return sampled_partitions(points, n_domains, device=device, **options)
    return fit_mixture(points, n_domains, **options).partitions


def _leading_first(points: np.ndarray) -> np.ndarray:
    """Rotate to principal axes, signs fixed by the largest loading."""
    points = points - points.mean(axis=0)
    axes = leading_axes(points)
    signs = np.where(axes[range(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)
    return points @ (axes * signs[:, None]).T
