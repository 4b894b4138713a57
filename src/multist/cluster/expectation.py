"""Expectation maximisation of tied-covariance mixtures, many at once, and ways out of a local optimum."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SHORT_RUN = 25
"""Iterations after which only the likeliest mixtures go on."""

RIDGE = 1e-6
"""Share of the whitened variance that keeps a covariance of collapsed components invertible."""

_BLOCK_ENTRIES = 2**18  # entries of a block of responsibilities: 1 MB, so that what is made of it stays in the cache
_MIN_LOG_RESPONSIBILITY = -60.0  # of the log of a responsibility
_MOVES_A_ROUND = 40  # ways of splitting one component and merging two others that are tried in a round
_MIN_SPLIT_POINTS = 10  # points of a component that can be split


def expectation_maximization(x: Tensor, weights: Tensor, max_iter: int, tol: float) -> tuple[Tensor, Tensor]:
    """Alternate M and E step for all starts.

    Weights are (n, starts, k), the likelihood (starts,) is of the last E step.

    The weights that are given are overwritten: to get memory for others takes longer than to fill it.
    """
    n, d = x.shape
    _, n_starts, k = weights.shape
    blocks = weights.split(max(1, _BLOCK_ENTRIES // (n_starts * k)) if x.device.type == "cpu" else n)
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


def split_and_merge(x: Tensor, current: Tensor, max_iter: int, tol: float) -> tuple[Tensor, Tensor] | None:
    """The likeliest mixtures after splitting a component along its widest axis and merging two others.

    None where there is no way.

    The ways are ranked by what the split may gain less what the merger costs at least, both in log-likelihood.
    """
    k = current.shape[1]
    count = current.sum(0).double().clamp_min(1e-9)
    mean = (current.T @ x).double() / count[:, None]
    covariance = (x.T @ x).double() / len(x) - (mean * count[:, None]).T @ mean / len(x)
    identity = torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
    root = torch.linalg.cholesky(torch.linalg.inv(covariance + RIDGE * identity))
    white, centers, label = (x.double() @ root).float(), mean @ root, current.argmax(1)
    cost = 0.5 * count[:, None] * count / (count[:, None] + count) * torch.cdist(centers, centers).square()
    upper: dict[int, Tensor] = {}
    gain: dict[int, float] = {}
    for parent in range(k):
        rows = torch.nonzero(label == parent).ravel()
        if len(rows) < _MIN_SPLIT_POINTS:
            continue
        points = white[rows] - white[rows].mean(0)
        variance, axes = torch.linalg.eigh((points.T @ points).double() / len(rows))
        along = points @ axes[:, -1].float()
        upper[parent] = rows[along > along.median()]
        gain[parent] = len(rows) * float(variance[-1].clamp_min(1).log())
    ways = [
        (float(cost[i, j]) - gain[parent], i, j, parent)
        for i in range(k)
        for j in range(i)
        for parent in gain
        if parent not in (i, j)
    ]
    if not ways:
        return None
    ways = sorted(ways)[:_MOVES_A_ROUND]
    weights = current[:, None].repeat(1, len(ways), 1)
    for place, (_, i, j, parent) in enumerate(ways):
        weights[:, place, i] += weights[:, place, j]
        weights[:, place, j] = 0
        weights[upper[parent], place, j] = weights[upper[parent], place, parent]
        weights[upper[parent], place, parent] = 0
    weights, likelihood = expectation_maximization(x, weights, SHORT_RUN, tol)
    best = torch.argsort(likelihood, descending=True, stable=True)[:2]
    return expectation_maximization(x, weights[:, best], max_iter, tol)


def to_posteriors(logit: Tensor) -> Tensor:
    """Softmax along the last of (n, m, k) in place; returns the (n, m) logarithms of the sums."""
    top = logit.amax(-1, keepdim=True)
    # floored where it no longer counts: powers so small, and arithmetic on them, are several times slower
    total = logit.sub_(top).clamp_min_(_MIN_LOG_RESPONSIBILITY).exp_().sum(-1, keepdim=True)
    logit.div_(total)
    return total.log_().add_(top).squeeze(-1)
