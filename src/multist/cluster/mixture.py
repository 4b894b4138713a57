"""Gaussian mixture with one covariance for all components (``EEE`` in mclust's naming), many starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multist.cluster.distinct import count_distinct

_SHORT_RUN = 25  # iterations after which only the most likely starts go on
_BLOCK = 2**18  # entries of a block of responsibilities: 1 MB, so that what is made of it stays in the cache
_FLOOR = -60.0  # of the log of a responsibility
RIDGE = 1e-6  # of the whitened variance: keeps a covariance of collapsed components invertible


@dataclass(frozen=True)
class MixtureFit:
    """Best of several starts.

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
        Of the best start, in nats, summed over the n points.
    start_log_likelihoods
        (n_starts,) float64, after the short run that each start gets.
    partitions
        (m, n) int64. Most probable components in each of the starts that ran to convergence, most likely first.
    """

    labels: np.ndarray
    responsibilities: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray
    log_likelihood: float
    start_log_likelihoods: np.ndarray
    partitions: np.ndarray

    @property
    def n_parameters(self) -> int:
        """Free parameters: weights, means and the shared covariance."""
        k, d = self.means.shape
        return k - 1 + k * d + d * (d + 1) // 2

    @property
    def bic(self) -> float:
        """Bayesian information criterion with mclust's sign: larger is better."""
        return 2 * self.log_likelihood - self.n_parameters * float(np.log(len(self.labels)))


def fit_mixture(
    points: np.ndarray,
    n_components: int,
    *,
    n_starts: int = 32,
    n_polished: int = 4,
    max_iter: int = 200,
    tol: float = 1e-5,
    random_state: int = 0,
    device: str = "cpu",
) -> MixtureFit:
    """Fit a tied-covariance Gaussian mixture from many starts and keep the most likely.

    All starts advance together: since the covariance is shared, an iteration is two matrix products whatever their
    number. The total scatter is constant, so the covariance follows from the means alone.

    Parameters
    ----------
    points
        (n, d). Finite; directions without variance are ignored.
    n_components
        Number of components, at least one and at most n.
    n_starts
        k-means++ seedings, each of which runs a few iterations.
    n_polished
        How many of the likeliest then run to convergence.
    max_iter
        Iterations of a polished start at most.
    tol
        Stop when the log-likelihood per point gains less. Rounding moves it by up to 3e-6, so with less than that chance decides.
    random_state
        Seed of the starts; the global random state is not used.
    device
        Torch device of the computation.

    Returns
    -------
    The most likely fit.

    Raises
    ------
    ValueError
        If there are more components than distinct points, or a value is not finite.

    References
    ----------
    Banfield & Raftery, Biometrics 1993 (the model); Scrucca et al., R Journal 2016 (mclust's ``EEE``).
    """
    points = np.asarray(points, dtype=np.float64)
    search = likeliest_weights(
        points, n_components, n_starts=n_starts, n_polished=n_polished, max_iter=max_iter, tol=tol,
        random_state=random_state, device=device,
    )  # fmt: skip
    return _summary(points, search)


class Search(NamedTuple):
    """What :func:`likeliest_weights` gives.

    Attributes
    ----------
    weights
        (n, m, k) float32 posterior probabilities of the starts that ran to convergence, most likely first.
    log_likelihood
        Of the first one, of the whitened points.
    start_log_likelihoods
        (n_starts,) after the short run.
    whiten
        (d, r) map of the centred points to unit covariance.
    """

    weights: Tensor
    log_likelihood: float
    start_log_likelihoods: np.ndarray
    whiten: np.ndarray


def likeliest_weights(
    points: np.ndarray, n_components: int, *, n_starts: int, n_polished: int, max_iter: int = 200, tol: float = 1e-5,
    random_state: int = 0, device: str = "cpu",
) -> Search:  # fmt: skip
    """Responsibilities of the likeliest of many starts; takes and raises what :func:`fit_mixture` does."""
    points = np.asarray(points, dtype=np.float64)
    _check(points, n_components)
    center, whiten = whitening(points)
    x = torch.as_tensor((points - center) @ whiten, dtype=torch.float32, device=device)
    generator = torch.Generator().manual_seed(random_state)
    raw = torch.as_tensor((points - center) / points.std(axis=0).max().clip(1e-12), dtype=torch.float32, device=device)
    weights = _seed(raw, n_components, n_starts, generator)
    weights, likelihood = _expectation_maximization(x, weights, _SHORT_RUN, tol)
    starts = likelihood.cpu().numpy()
    best = torch.argsort(likelihood, descending=True, stable=True)[:n_polished]
    weights, likelihood = _expectation_maximization(x, weights[:, best], max_iter, tol)
    polished = weights[:, torch.argsort(likelihood, descending=True, stable=True)]
    return Search(polished, float(likelihood.max()), starts, whiten)


def _check(points: np.ndarray, n_components: int) -> None:
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(f"points must be a finite (n, d) array; got shape {points.shape}")
    distinct = count_distinct(points, n_components) if n_components > 1 else len(points)
    if not 1 <= n_components <= distinct:
        raise ValueError(
            f"n_components must be between 1 and {distinct}, the number of distinct points; got {n_components}"
        )


def whitening(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and (d, r) map to unit variance; the mixture does not depend on it, its conditioning does."""
    center = points.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov(points, rowvar=False, bias=True).reshape(points.shape[1], -1))
    keep = variance > max(variance.max(), 0) * 1e-9
    return center, axes[:, keep] / np.sqrt(variance[keep])


def _seed(x: Tensor, k: int, n_starts: int, generator: torch.Generator) -> Tensor:
    """(n, starts, k) hard assignments by k-means++ and a few Lloyd steps, in the unwhitened space.

    There the directions of large variance, which separate domains, decide; in the whitened one noise would.
    """
    square = (x * x).sum(1)[:, None]
    first = torch.randint(len(x), (n_starts,), generator=generator)
    centers = [x[first]]
    distance = (square - 2 * x @ centers[0].T + square[first].T).clamp_min(0)
    for _ in range(1, k):
        pick = torch.multinomial((distance.T + 1e-12).cpu(), 1, generator=generator).squeeze(1)
        centers.append(x[pick])
        distance = torch.minimum(distance, (square - 2 * x @ centers[-1].T + square[pick].T).clamp_min(0))
    center = torch.stack(centers, dim=1)
    hard = x.new_empty(len(x), n_starts, k)
    for _ in range(5):
        torch.mm(x, center.flatten(0, 1).T, out=hard.view(len(x), -1))
        nearest = hard.sub_(0.5 * (center * center).sum(-1)).argmax(-1, keepdim=True)
        hard.zero_().scatter_(-1, nearest, 1)
        count = hard.sum(0)
        moved = (hard.flatten(1).T @ x).view(n_starts, k, -1) / count.clamp_min(1)[..., None]
        center = torch.where(count[..., None] > 0, moved, center)
    return hard


def _expectation_maximization(x: Tensor, weights: Tensor, max_iter: int, tol: float) -> tuple[Tensor, Tensor]:
    """Alternate M and E step for all starts; weights are (n, starts, k), the likelihood (starts,) is of the last E step.

    The weights that are given are overwritten: to get memory for others takes longer than to fill it.
    """
    n, d = x.shape
    _, n_starts, k = weights.shape
    blocks = weights.split(max(1, _BLOCK // (n_starts * k)) if x.device.type == "cpu" else n)
    count = weights.sum(0, dtype=torch.float64)
    scatter = (x.T @ x).double()
    identity = torch.eye(d, dtype=torch.float64, device=x.device)
    previous = torch.full((n_starts,), -torch.inf, dtype=torch.float64, device=x.device)
    for _ in range(max_iter):
        total = (weights.flatten(1).T @ x).view(n_starts, k, d).double()
        mean = total / count.clamp_min(1e-6)[..., None]
        covariance = (scatter - total.transpose(1, 2) @ mean) / n + RIDGE * identity
        precision = torch.linalg.inv(covariance)
        slope = mean @ precision
        offset = (count / n).clamp_min(1e-12).log() - 0.5 * (slope * mean).sum(-1)
        torch.mm(x, slope.float().flatten(0, 1).T, out=weights.view(n, -1))
        count, evidence = torch.zeros_like(count), torch.zeros_like(previous)
        for block in blocks:
            evidence += to_posteriors(block.add_(offset.float())).sum(0, dtype=torch.float64)
            count += block.sum(0, dtype=torch.float64)
        likelihood = evidence - 0.5 * (
            (precision * scatter).sum((1, 2)) + n * torch.logdet(covariance) + n * d * float(np.log(2 * np.pi))
        )
        if (likelihood - previous).abs().max() < tol * n:
            break
        previous = likelihood
    return weights, likelihood


def to_posteriors(logit: Tensor) -> Tensor:
    """Softmax along the last of (n, m, k) in place; returns the (n, m) logarithms of the sums."""
    top = logit.amax(-1, keepdim=True)
    # floored where it no longer counts: powers so small, and arithmetic on them, are several times slower
    total = logit.sub_(top).clamp_min_(_FLOOR).exp_().sum(-1, keepdim=True)
    logit.div_(total)
    return total.log_().add_(top).squeeze(-1)


def _summary(points: np.ndarray, search: Search) -> MixtureFit:
    """Parameters in the units of the points; the likelihood gets the Jacobian of the whitening."""
    polished = search.weights.cpu().numpy()
    weights = polished[:, 0]
    count = np.maximum(weights.sum(axis=0, dtype=np.float64), 1e-12)
    means = weights.T.astype(np.float64) @ points / count[:, None]
    covariance = points.T @ points / len(points) - (means * count[:, None]).T @ means / len(points)
    jacobian = 0.5 * np.linalg.slogdet(search.whiten.T @ search.whiten)[1] * len(points)
    return MixtureFit(
        labels=weights.argmax(axis=1),
        responsibilities=weights,
        means=means,
        covariance=covariance,
        weights=count / count.sum(),
        log_likelihood=search.log_likelihood + jacobian,
        start_log_likelihoods=search.start_log_likelihoods + jacobian,
        partitions=polished.argmax(axis=2).T,
    )
