"""How many domains an embedding supports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist._progress import with_progress
from multist.cluster.assign import DomainClassifier
from multist.cluster.distinct import count_distinct, telling_sample
from multist.cluster.mixture import MixtureFit, fit_mixture
from multist.cluster.neighbour_prior import NeighbourPrior, neighbour_prior
from multist.cluster.refine import leading_axes

_MAX_CORRELATED = 20_000  # spots around which the correlation of neighbours is measured
_MAX_FITTED = 5_000  # spots that the mixtures are fitted to; the curve hardly changes with more
_MOST_DOMAINS, _MIN_SPOTS_EACH = 20, 10  # that are tried unless they are named, and spots of each on average
_N_HALVES = 4  # of the spots, whose partitions are compared
_SEARCHES = 4  # for each number; twice as many leave the criterion as it is
_STRONG_EVIDENCE = 10.0  # differences of BIC beyond which the evidence is very strong (Kass & Raftery 1995)
_MAX_STEPS = 15  # from a spot, within which correlations are added up
_WIDTH = 8  # leading axes looked at; a further one costs a parameter a domain, for less than a fiftieth of the variance


class CountCurve(NamedTuple):
    """What :func:`choose_count` gives; the arrays are (m,), one entry per candidate.

    Attributes
    ----------
    candidates
        int64, increasing.
    bic
        float64. Bayesian information criterion of the independent patches of tissue; larger is better.
    icl
        float64. The same less twice the entropy of the assignment: integrated complete likelihood.
    stability
        float64. Mean adjusted Rand index between the partitions that different halves of the spots lead to.
    patch_size
        Spots that count as one independent observation.
    chosen
        The number of domains.
    """

    candidates: np.ndarray
    bic: np.ndarray
    icl: np.ndarray
    stability: np.ndarray
    patch_size: float
    chosen: int


def choose_count(
    embedding: np.ndarray,
    adjacency: sp.csr_matrix,
    candidates: Iterable[int],
    *,
    structured_share: float = 1.0,
    random_state: int = 0,
) -> CountCurve:
    """Choose the number of domains by an information criterion, and by stability where that cannot tell.

    Neighbouring spots of a smoothed embedding are not independent, and a criterion that takes them to be so splits
    domains without end. Here a patch of spots counts as one observation: as many as the correlations of the finest
    mixture's residuals between a spot and all others add up to. Of the numbers whose criterion is within ten of the
    best, the most stable is taken, and of equally stable ones the smallest.

    Parameters
    ----------
    embedding
        (n, d), finite.
    adjacency
        (n, n) sparse spatial neighbourhoods.
    candidates
        Numbers of domains, from 1 to the number of distinct points.
    structured_share
        As :func:`multist.cluster.domains.find_domains` takes it.
    random_state
        Seed.

    References
    ----------
    Fraley & Raftery, JASA 2002 (BIC for mixtures); Biernacki, Celeux & Govaert, IEEE TPAMI 2000 (ICL); Griffith, Annals
    AAG 2005 (effective number of observations in space); Ben-Hur, Elisseeff & Guyon, PSB 2002 (stability of halves);
    Kass & Raftery, JASA 1995 (what a difference of BIC says).
    """
    counts = np.unique(np.asarray(list(candidates), dtype=np.int64))
    points = _leading(np.asarray(embedding, dtype=np.float64))
    rng = np.random.default_rng(random_state)
    rows = np.sort(rng.permutation(len(points))[:_MAX_FITTED])
    rows = telling_sample(points, rows, int(counts.max()), rng)
    halves = [rng.permutation(len(rows))[: len(rows) // 2] for _ in range(_N_HALVES)]
    sample = points[rows]
    prior = neighbour_prior(points, adjacency, structured_share)
    # the starts' own seeds, so that one candidate does not depend on which others there are
    fits, stability = [], []
    for k in with_progress(counts.tolist(), len(counts), "multist: numbers of domains"):
        fits.append(fit_mixture(sample, k, prior=prior, n_searches=_SEARCHES, random_state=random_state))
        stability.append(_stability(sample, k, halves, prior, random_state))
    most = most_domains(len(points))
    finest = fit_mixture(
        sample, min(most, count_distinct(sample, most)), prior=prior, n_searches=1, random_state=random_state
    )
    patch = _patch_size(points - finest.means[_assigned(points, finest)], adjacency)
    bic = np.array([_bic(fit, len(points) / patch) for fit in fits])
    entropy = np.array([_entropy(fit) for fit in fits]) * len(points) / patch
    likely = np.flatnonzero(bic >= bic.max() - _STRONG_EVIDENCE)
    chosen = likely[np.asarray(stability)[likely].argmax()]
    return CountCurve(counts, bic, bic - 2 * entropy, np.asarray(stability), patch, int(counts[chosen]))


def most_domains(n: int) -> int:
    """How many domains of ``n`` spots are tried at most unless they are named.

    So many components has the mixture whose residuals tell the size of a patch, whatever the candidates.
    """
    return max(min(_MOST_DOMAINS, n // _MIN_SPOTS_EACH), min(2, n))


def _leading(points: np.ndarray) -> np.ndarray:
    """(n, at most eight) coordinates on the leading principal axes."""
    centred = points - points.mean(axis=0)
    return centred @ leading_axes(centred)[:_WIDTH].T


def _bic(fit: MixtureFit, n_independent: float) -> float:
    per_point = fit.log_likelihood / len(fit.labels)
    return 2 * per_point * n_independent - fit.n_parameters * float(np.log(max(n_independent, 2.0)))


def _entropy(fit: MixtureFit) -> float:
    """Of the assignment, per point, in nats."""
    posterior = fit.responsibilities.astype(np.float64)
    return float(-(posterior * np.log(posterior.clip(1e-12))).sum(axis=1).mean())


def _stability(
    points: np.ndarray,
    count: int,
    halves: list[np.ndarray],
    prior: NeighbourPrior | None,
    random_state: int,
) -> float:
    """Mean adjusted Rand index of the partitions of all points by mixtures fitted to halves of them."""
    from sklearn.metrics import adjusted_rand_score

    partitions = []
    for i, half in enumerate(halves):
        if len(np.unique(points[half], axis=0)) < count:
            return 0.0
        seed = (random_state + i) % 2**32
        fit = fit_mixture(points[half], count, prior=prior, n_searches=1, random_state=seed)
        partitions.append(_assigned(points, fit))
    pairs = [adjusted_rand_score(a, b) for i, a in enumerate(partitions) for b in partitions[:i]]
    return float(np.mean(pairs))


def _assigned(points: np.ndarray, fit: MixtureFit) -> np.ndarray:
    """(n,) most probable component of each point."""
    return DomainClassifier.of_gaussians(fit.means, fit.covariance, fit.weights).scores(points).argmax(axis=1)


def _patch_size(residuals: np.ndarray, adjacency: sp.csr_matrix) -> float:
    """Spots per independent observation: correlations of whitened residuals, summed over rings of rising distance."""
    variance, axes = np.linalg.eigh(np.cov(residuals, rowvar=False).reshape(residuals.shape[1], -1))
    keep = variance > variance.max() * 1e-9
    if not keep.any() or variance.max() <= 0:
        return 1.0
    white = (residuals - residuals.mean(axis=0)) @ (axes[:, keep] / np.sqrt(variance[keep]))
    near = (sp.csr_matrix(adjacency) != 0).astype(np.float32)
    centres = np.arange(0, len(white), -(-len(white) // _MAX_CORRELATED))
    reached = ring = sp.eye(len(white), format="csr", dtype=np.float32)[centres]
    size = 1.0
    for _ in range(_MAX_STEPS):
        stepped = ((ring @ near) != 0).astype(np.float32)
        ring = sp.csr_matrix(stepped - stepped.multiply(reached))
        ring.eliminate_zeros()
        if not ring.nnz:
            break
        reached = reached + ring
        correlation = float((white[centres] * (ring @ white)).sum() / ring.nnz / white.shape[1])
        if correlation <= 0:
            break
        size += correlation * ring.nnz / len(centres)
    return size
