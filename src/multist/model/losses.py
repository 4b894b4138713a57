"""What the network is trained on. Every term reaches the code that is clustered, or the tokens it is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_SAMPLE = 512  # spots that pairwise terms look at: nothing is n x n


def reconstruction_loss(predicted: Tensor, true: Tensor, hidden: Tensor, variance: float) -> Tensor:
    """Mean squared error (n, p) on hidden spots (n, 1), as a share of ``variance``.

    That is the variance of all modalities together: one that was weighed down also weighs little here.
    """
    error = ((predicted - true) ** 2).sum(1, keepdim=True)
    return (error * hidden).sum() / (hidden.sum().clamp_min(1) * max(variance, 1e-12))


def edge_loss(code: Tensor, edges: tuple[Tensor, Tensor], non_edges: tuple[Tensor, Tensor]) -> Tensor:
    """Binary cross-entropy of the inner product: neighbours against pairs that are none."""
    width = code.shape[1] ** 0.5
    # index_select, because the gradient of code[index] adds in the order in which threads finish
    near, far = ((code.index_select(0, a) * code.index_select(0, b)).sum(1) / width for a, b in (edges, non_edges))
    return functional.softplus(-near).mean() + functional.softplus(far).mean()


def alignment_loss(gene: Tensor, image: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Symmetric InfoNCE between the unimodal projections of the same spot (van den Oord et al., 2018)."""
    pick = _sample(len(gene), generator).to(gene.device)
    a, b = (
        functional.normalize(gene.index_select(0, pick), dim=1),
        functional.normalize(image.index_select(0, pick), dim=1),
    )
    similarity = a @ b.T / temperature
    own = torch.arange(len(pick), device=gene.device)
    return 0.5 * (functional.cross_entropy(similarity, own) + functional.cross_entropy(similarity.T, own))


class _Reverse(torch.autograd.Function):
    """Identity forwards, sign change backwards (Ganin & Lempitsky, 2015)."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return -gradient


class AdversarialPrior(nn.Module):
    """A critic that tells codes from draws of a standard normal, while the code learns that it cannot."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(width, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))

    def forward(self, code: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of the critic; the gradient that reaches ``code`` (n, d) is reversed."""
        drawn = torch.randn(code.shape, generator=generator).to(code.device)
        return (
            functional.softplus(-self.critic(drawn)).mean()
            + functional.softplus(self.critic(_Reverse.apply(code))).mean()
        )


class SectionCritic(nn.Module):
    """A critic that tells the sections apart, while the code learns that it cannot (Ganin et al., JMLR 2016)."""

    def __init__(self, width: int, n_sections: int) -> None:
        super().__init__()
        self.n_sections = n_sections
        self.critic = nn.Sequential(nn.Linear(width, 32), nn.LeakyReLU(0.2), nn.Linear(32, n_sections))

    def forward(self, code: Tensor, section: Tensor) -> Tensor:
        """Cross-entropy of the critic, all sections weighing the same; the gradient that reaches ``code`` (n, d) is reversed."""
        count = torch.bincount(section, minlength=self.n_sections).clamp_min(1)
        return functional.cross_entropy(self.critic(_Reverse.apply(code)), section, weight=1 / count.to(code.dtype))


class ClusterLoss(nn.Module):
    """Deep embedded clustering: sharpen the soft assignment to k centres (Xie et al., ICML 2016)."""

    def __init__(self, centers: Tensor) -> None:
        super().__init__()
        self.centers = nn.Parameter(centers.clone())

    def forward(self, code: Tensor) -> Tensor:
        """Kullback-Leibler divergence from the sharpened to the soft assignment of (n, d) codes."""
        q = 1 / (1 + torch.cdist(code, self.centers).square())
        q = q / q.sum(1, keepdim=True)
        p = (q**2 / q.sum(0)).detach()
        p = p / p.sum(1, keepdim=True)
        return (p * (p.clamp_min(1e-12).log() - q.clamp_min(1e-12).log())).sum(1).mean()


def _sample(n: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=generator)[:_SAMPLE]
