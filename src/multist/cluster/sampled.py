"""Mixtures of many points: searched for on a sample, polished on all of them, block by block."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from multist._rows import row_slices
from multist.cluster.distinct import count_distinct
from multist.cluster.expectation import RIDGE, to_posteriors
from multist.cluster.mixture import likeliest_weights, whitening

ENOUGH = 10_000
"""Points that the starts see: all, up to so many. More would make few points take longer than many."""

_MAX_ROUNDS = 20  # of EM on all points at most
_SETTLED_SHARE = 1e-3  # share of the points that a round still moves when it is the last one
_BLOCK_ENTRIES = 2**22  # entries of a block of responsibilities: 16 MB


def sampled_mixture(
    points: np.ndarray,
    n_components: int,
    *,
    n_starts: int,
    n_polished: int,
    n_rounds: int = 0,
    random_state: int = 0,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Partition of many points by a tied-covariance mixture, the likeliest one of a sample polished on all points.

    Time and memory grow linearly with the points: no more than a block of responsibilities is held, and a mixture that
    fits the sample is so close to one that fits all that a few rounds suffice.

    Parameters
    ----------
    points
        (n, d) float, finite, with at least ``n_components`` different rows.
    n_components
        Number of components.
    n_starts, n_polished, n_rounds
        Of the search on the sample, as :func:`multist.cluster.mixture.fit_mixture` takes them.
    random_state
        Seed of the sample and of the starts.
    device
        Torch device.

    Returns
    -------
    (n,) int64 labels, and (n,) float32 the posterior probability of each.
    """
    generator = np.random.default_rng(random_state)
    rows = np.sort(generator.choice(len(points), min(ENOUGH, len(points)), replace=False))
    if count_distinct(points[rows], n_components) < n_components:  # nearly all are equal: then the others are few
        rows = generator.permutation(np.unique(points, axis=0, return_index=True)[1])[:ENOUGH]
    search = likeliest_weights(
        points[rows],
        n_components,
        n_starts=n_starts,
        n_polished=n_polished,
        n_rounds=n_rounds,
        random_state=random_state,
        device=device,
    )
    center, whiten = whitening(points)
    white = np.empty((len(points), whiten.shape[1]), dtype=np.float32)
    for block in row_slices(len(points)):
        white[block] = (points[block] - center).astype(np.float32) @ whiten.astype(np.float32)
    x = torch.as_tensor(white, device=device)
    some = x[torch.as_tensor(rows, device=device)]
    likeliest = search.weights[:, :1]
    count = likeliest.sum(0, dtype=torch.float64)
    total = torch.einsum("nmk,nd->mkd", likeliest, some).double()
    rule = _discriminant(count, total, (some.T @ some).double())
    return _polish(x, rule, count / len(rows))


def _polish(x: Tensor, rule: tuple[Tensor, Tensor], share: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The most probable components and their probability, after EM on all points until hardly any mass moves."""
    n, d = x.shape
    m, k = share.shape
    blocks = x.split(max(1, _BLOCK_ENTRIES // (m * k)))
    scatter = sum((block.T @ block).double() for block in blocks)
    for _ in range(_MAX_ROUNDS):
        count = torch.zeros(m, k, dtype=torch.float64, device=x.device)
        total = torch.zeros(m, k, d, dtype=torch.float64, device=x.device)
        for block in blocks:
            weights = _logit(block, rule)
            to_posteriors(weights)
            count += weights.sum(0)
            total += (weights.flatten(1).T @ block).view(m, k, d)
        rule = _discriminant(count, total, scatter)
        moved = float((count / n - share).abs().sum(1).max()) / 2
        share = count / n
        if moved < _SETTLED_SHARE:
            break
    labels, sure = [], []
    for block in blocks:
        posterior = _logit(block, rule)
        to_posteriors(posterior)
        top, label = posterior[:, 0].max(-1)
        labels.append(label.cpu().numpy())
        sure.append(top.cpu().numpy())
    return np.concatenate(labels), np.concatenate(sure)


def _logit(block: Tensor, rule: tuple[Tensor, Tensor]) -> Tensor:
    """(n, m, k) log-posteriors but for what the components of a mixture have in common."""
    slope, offset = rule
    return torch.addmm(offset.flatten(), block, slope.flatten(0, 1).T).view(len(block), *offset.shape)


def _discriminant(count: Tensor, total: Tensor, scatter: Tensor) -> tuple[Tensor, Tensor]:
    """M step: as the covariance is shared, log-posteriors are linear; (m, k, d) slopes and (m, k) offsets."""
    n = count[0].sum()
    mean = total / count.clamp_min(1e-6)[..., None]
    identity = torch.eye(len(scatter), dtype=torch.float64, device=scatter.device)
    covariance = (scatter - total.transpose(1, 2) @ mean) / n + RIDGE * identity
    slope = mean @ torch.linalg.inv(covariance)
    offset = (count / n).clamp_min(1e-12).log() - 0.5 * (slope * mean).sum(-1)
    return slope.float(), offset.float()
