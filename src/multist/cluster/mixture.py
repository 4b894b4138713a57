"""Gaussian mixture with one covariance for all components (``EEE`` in mclust's naming), many starts at once."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from multist._progress import with_progress
from multist._rows import row_slices
from multist._settings import logger
from multist._threads import n_cores
from multist.cluster.expectation import MIN_COUNT, TiedMixtures, oblong_cost, rounded
from multist.cluster.neighbour_prior import NeighbourPrior

_MAX_ITERATIONS = 200  # of a mixture
_GAIN = 1e-5  # of the log-likelihood per point, below which iterations stop; rounding moves it by up to 3e-6
_UNSETTLED = 10  # times the gain at which iterations stop
_STAYS = 1e-3  # change of a probability, below which a point stays where it is
_LLOYD_STEPS = 5  # after k-means++
_MAX_ROUNDS = 8  # of splitting and merging in a search
_LEAST_GAIN = 1e-4  # of the log-likelihood per point, below which a round is the last
_SAME = 3e-4  # difference of the log-likelihood per point, below which two searches have found the same
_ENOUGH_HITS = 3  # searches that come to the likeliest, after which no other follows
_PARENTS = 8  # different mixtures that are recombined, at most
_CHILDREN = 24  # of two parents each, from which a search begins
_PATIENCE = 8  # recombinations in turn that gain nothing, after which no other follows


_Found = tuple[np.ndarray, float]  # responsibilities (k, n) of a mixture, and its log-likelihood
_likelihood = itemgetter(1)


@dataclass(frozen=True)
class MixtureFit:
    """The likeliest that was found.

    Attributes
    ----------
    labels
        (n,) int64. Most probable component of each point.
    responsibilities
        (n, k) float32. Posterior probability of each component.
    means
        (k, d) float64.
    covariance
        (d, d) float64, shared by all components.
    weights
        (k,) float64, summing to one.
    log_likelihood
        In nats, summed over the n points.
    n_dimensions
        Directions in which the points vary, at most d.
    repeated
        Whether two searches at least came to this likelihood, each from starts of its own.
    """

    labels: np.ndarray
    responsibilities: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray
    log_likelihood: float
    n_dimensions: int
    repeated: bool

    @property
    def n_parameters(self) -> int:
        """Free parameters: weights, means and the shared covariance."""
        k, d = len(self.means), self.n_dimensions
        return k - 1 + k * d + d * (d + 1) // 2


def fit_mixture(
    points: np.ndarray,
    n_components: int,
    *,
    prior: NeighbourPrior | None = None,
    n_starts: int = 12,
    n_searches: int = 8,
    random_state: int = 0,
) -> MixtureFit:
    """Fit a tied-covariance Gaussian mixture by several searches and keep the most likely.

    A search begins with many starts, of which the likeliest is then changed by splitting one component and merging two
    others as long as it gains. Searches from other starts follow until three have come to the likelihood of the best.
    Where optima are many that seldom happens, and what was found is recombined: further searches begin with some
    components of one mixture and the rest of another, until several in turn gain nothing.

    All starts advance together: since the covariance is shared, an iteration is two matrix products whatever their
    number. The total scatter is constant, so the covariance follows from the means alone.

    Parameters
    ----------
    points
        (n, d). Finite; directions without variance are ignored.
    n_components
        Number of components, from one to the number of distinct points.
    prior
        What shape the covariance is expected to have; None lets the points alone decide. With it the most probable
        mixture is looked for instead of the likeliest.
    n_starts
        k-means++ seedings of a search.
    n_searches
        Searches at most, before what they found is recombined.
    random_state
        Seed of the starts; the global random state is not used.

    Returns
    -------
    The most likely fit.

    References
    ----------
    Banfield & Raftery, Biometrics 1993 (the model); Scrucca et al., R Journal 2016 (mclust's ``EEE``); Ueda et al.,
    Neural Computation 2000 (split and merge); Gribel & Vidal, Pattern Recognition 2019 (recombining).
    """
    points = np.asarray(points, dtype=np.float64)
    center, whiten = whitening(points, prior)
    roundness = prior.weight if prior else 0.0
    centred = points - center
    x = (centred @ whiten).astype(np.float32)
    raw = (centred / centred.std(axis=0).max().clip(1e-12)).astype(np.float32)
    random = np.random.RandomState(random_state)
    mixtures = TiedMixtures(x, max_iter=_MAX_ITERATIONS, tol=_GAIN, roundness=roundness)
    drawn = (_seed(raw, n_components, n_starts, random) for _ in range(n_searches))
    found: list[_Found] = []
    what, is_quick = f"multist: {n_components} domains", n_searches == 1
    for each in with_progress(_searches(mixtures, drawn), n_searches, what, hidden=is_quick):
        found.append(each)
        best = max(found, key=_likelihood)
        if _hits(found, best, len(x)) == _ENOUGH_HITS:
            break
    else:
        best = max([*found, *_recombined(mixtures, found, random)], key=_likelihood)
    weights, likelihood = best
    moved, further = mixtures.climb(weights[None].copy(), 1)
    # where components are points but for rounding, the likelihood is rounded as well, and no point moves
    if further[0] - likelihood > _UNSETTLED * _GAIN * len(x) and np.abs(moved[0] - weights).max() > _STAYS:
        logger.warning(
            "the mixture of %d components has not converged after %d iterations, so that another seed may give other "
            "domains: ask for fewer, or compare several by random_state",
            n_components,
            _MAX_ITERATIONS,
        )
    return _summary(points, whiten, weights, likelihood, roundness, repeated=_hits(found, best, len(x)) > 1)


def _hits(found: list[_Found], best: _Found, n: int) -> int:
    """How many came to the likelihood of the best."""
    return sum(_likelihood(each) > _likelihood(best) - _SAME * n for each in found)


def _searches(mixtures: TiedMixtures, drawn: Iterator[np.ndarray]) -> Iterator[_Found]:
    """What searches from other starts find, in turn, while as many others run as there are further cores."""
    n_ahead = n_cores() - 1
    running: deque[Future[_Found]] = deque()
    with ThreadPoolExecutor(n_ahead + 1) as pool:
        for starts in drawn:
            running.append(pool.submit(_search, mixtures, starts))
            if len(running) > n_ahead:
                yield running.popleft().result()
        yield from (each.result() for each in running)


def _search(mixtures: TiedMixtures, starts: np.ndarray) -> _Found:
    """The likeliest of (m, k, n) starts, split and merged as long as it gains."""
    weights, likelihood = mixtures.likeliest(starts)
    for _ in range(_MAX_ROUNDS):
        moved = mixtures.split_and_merge(weights)
        if moved is None or moved[1] - likelihood < _LEAST_GAIN * len(mixtures.points):
            break
        weights, likelihood = moved
    return weights, likelihood


def _recombined(mixtures: TiedMixtures, found: list[_Found], random: np.random.RandomState) -> list[_Found]:
    """What searches come to that begin with recombinations of what was found, and of what they found themselves."""
    n, idle = len(mixtures.points), 0
    added: list[_Found] = []
    for _ in with_progress(itertools.count(), None, f"multist: {len(found[0][0])} domains, recombined"):
        if idle == _PATIENCE:
            break
        parents = _different([*found, *added], n)[:_PARENTS]
        if len(parents) < 2:
            break
        pairs = (random.permutation(len(parents))[:2] for _ in range(_CHILDREN))
        children = [_child(parents[i][0], parents[j][0], random) for i, j in pairs]
        added.append(_search(mixtures, np.stack(children)))
        gained = _likelihood(added[-1]) > _likelihood(parents[0]) + _LEAST_GAIN * n
        idle = 0 if gained else idle + 1
    return added


def _different(found: list[_Found], n: int) -> list[_Found]:
    """One of each likelihood, the likeliest first."""
    kept: list[_Found] = []
    for each in sorted(found, key=_likelihood, reverse=True):
        if not kept or _likelihood(each) < _likelihood(kept[-1]) - _SAME * n:
            kept.append(each)
    return kept


def _child(one: np.ndarray, other: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """(k, n) responsibilities, of which each component comes from one parent or from its counterpart in the other."""
    from scipy.optimize import linear_sum_assignment

    size = np.sqrt(np.outer(one.sum(axis=1).clip(MIN_COUNT), other.sum(axis=1).clip(MIN_COUNT)))
    counterpart = linear_sum_assignment(one @ other.T / size, maximize=True)[1]
    from_one = random.permutation(len(one)) < random.randint(1, len(one))
    child = np.where(from_one[:, None], one, other[counterpart]).clip(MIN_COUNT)  # a point that neither claims is free
    return child / child.sum(axis=0)


def whitening(points: np.ndarray, prior: NeighbourPrior | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and (d, r) map to unit variance, which is only for the numbers' sake.

    With a ``prior`` the map is to where the expected covariance is a sphere, which the mixture relies on.
    """
    center = points.mean(axis=0)
    covariance = np.zeros((points.shape[1], points.shape[1]))
    for rows in row_slices(len(points)):
        centred = points[rows] - center
        covariance += centred.T @ centred
    variance, axes = np.linalg.eigh(covariance / len(points))
    keep = variance > max(variance.max(), 0) * 1e-9
    whiten = axes[:, keep] / np.sqrt(variance[keep])
    return center, whiten if prior is None else whiten @ prior.to_sphere(whiten)


def with_sphere(covariance: np.ndarray, whiten: np.ndarray, roundness: float) -> np.ndarray:
    """The (d, d) covariance within domains with a share of what is a sphere after the (d, r) map of a whitening."""
    back = np.linalg.pinv(whiten)
    return back.T @ rounded(whiten.T @ covariance @ whiten, roundness) @ back


def _seed(x: np.ndarray, k: int, n_starts: int, random: np.random.RandomState) -> np.ndarray:
    """(starts, k, n) hard assignments by k-means++ and a few Lloyd steps, in the unwhitened space.

    There the directions of large variance, which separate domains, decide; in the whitened one noise would.
    """
    square = (x * x).sum(axis=1)
    pick = random.randint(len(x), size=n_starts)
    centers = np.empty((n_starts, k, x.shape[1]), dtype=np.float32)
    distance = np.full((n_starts, len(x)), np.inf, dtype=np.float32)
    for number in range(k):
        if number:
            reached = np.cumsum(distance + 1e-12, axis=1, dtype=np.float64)
            wanted = random.random_sample(n_starts) * reached[:, -1]
            pick = np.array([np.searchsorted(*each) for each in zip(reached, wanted, strict=True)])
        centers[:, number] = x[pick]
        away = square - 2 * x[pick] @ x.T + square[pick, None]
        distance = np.minimum(distance, away.clip(0))
    hard = np.empty((n_starts, k, len(x)), dtype=np.float32)
    for _ in range(_LLOYD_STEPS):
        np.matmul(centers.reshape(-1, x.shape[1]), x.T, out=hard.reshape(n_starts * k, -1))
        hard -= 0.5 * (centers * centers).sum(axis=-1)[..., None]
        nearest = hard.argmax(axis=1)[:, None]
        hard[:] = 0
        np.put_along_axis(hard, nearest, 1, axis=1)
        count = hard.sum(axis=-1)[..., None]
        moved = (hard.reshape(n_starts * k, -1) @ x).reshape(centers.shape) / np.maximum(count, 1)
        centers = np.where(count > 0, moved, centers)
    return hard


def _summary(
    points: np.ndarray,
    whiten: np.ndarray,
    responsibilities: np.ndarray,
    likelihood: float,
    roundness: float,
    *,
    repeated: bool,
) -> MixtureFit:
    """Parameters in the units of the points; the likelihood gets the Jacobian of the whitening, and loses the prior."""
    weights = np.ascontiguousarray(responsibilities.T)
    count = np.maximum(weights.sum(axis=0, dtype=np.float64), MIN_COUNT)
    means = weights.T.astype(np.float64) @ points / count[:, None]
    center = points.mean(axis=0)
    centred, apart = points - center, means - center
    covariance = (centred.T @ centred - (apart * count[:, None]).T @ apart) / len(points)
    if roundness:
        covariance = with_sphere(covariance, whiten, roundness)
        precision = np.linalg.inv(whiten.T @ covariance @ whiten)
        likelihood += len(points) * float(oblong_cost(precision, roundness))
    jacobian = 0.5 * np.linalg.slogdet(whiten.T @ whiten)[1] * len(points)
    return MixtureFit(
        labels=weights.argmax(axis=1),
        responsibilities=weights,
        means=means,
        covariance=covariance,
        weights=count / count.sum(),
        log_likelihood=likelihood + jacobian,
        n_dimensions=whiten.shape[1],
        repeated=repeated,
    )
