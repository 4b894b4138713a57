"""What a step of training minimises."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multist.model.batches import FULL, Batch
from multist.model.config import MultiSTConfig
from multist.model.losses import (
    AdversarialPrior,
    ClusterLoss,
    SectionCritic,
    alignment_loss,
    edge_loss,
    reconstruction_loss,
)
from multist.model.network import FusionNetwork

_EDGES = 20_000  # pairs that the edge loss looks at per step


class Objective(nn.Module):
    """The losses and what they learn themselves: projections, the critic, the domains' centres."""

    def __init__(self, network: FusionNetwork, config: MultiSTConfig, n_domains: int, n_sections: int) -> None:
        super().__init__()
        self.config, self.n_domains = config, n_domains
        width = network.gene_token.out_features
        if config.alignment_loss and network.has_image:
            self.gene_projection = nn.Linear(width, width, bias=False)
            self.image_projection = nn.Linear(width, width, bias=False)
        if config.prior_loss:
            self.adversary = AdversarialPrior(width)
        if config.section_loss and n_sections > 1:
            self.section_critic = SectionCritic(width, n_sections)
        if config.clustering_loss:
            self.clustering = ClusterLoss(torch.zeros(n_domains, width))

    def place_centers(self, code: Tensor) -> None:
        """Start the domains' centres at k-means of the (n, d) standardised code."""
        from sklearn.cluster import KMeans

        some = code[:: -(-len(code) // FULL)].detach().cpu().numpy()
        found = KMeans(self.n_domains, n_init=4, random_state=0).fit(some)
        with torch.no_grad():
            self.clustering.centers.copy_(torch.as_tensor(found.cluster_centers_))

    def forward(
        self, network: FusionNetwork, batch: Batch, variance: float, generator: torch.Generator, *, cluster: bool
    ) -> dict[str, Tensor]:
        """Weighted terms of one step; ``variance`` is that of all modalities in the whole table."""
        config, own = self.config, batch.n_own
        hidden = (torch.rand(batch.graph.n_spots, 1, generator=generator) < config.mask_rate).to(batch.expression)
        fused = network(batch.graph, batch.expression, batch.image, visible=1 - hidden)
        code, hidden, expression = fused.code[:own], hidden[:own], batch.expression[:own]
        scaled = standardized(code)
        terms = {"expression": config.expression_loss * reconstruction_loss(
            network.expression_decoder(code), expression, hidden, variance)}  # fmt: skip
        if fused.image is not None and batch.image is not None:
            image, predicted = batch.image[:own], network.image_decoder(code)
            terms["image"] = config.image_loss * reconstruction_loss(predicted, image, hidden, variance)
            if config.alignment_loss:
                terms["alignment"] = config.alignment_loss * alignment_loss(
                    self.gene_projection(standardized(fused.gene[:own])),
                    self.image_projection(standardized(fused.image[:own])),
                    config.temperature, generator)  # fmt: skip
        if config.edge_loss:
            edges = batch.graph.edges(among=own)
            pick = torch.randint(max(len(edges[0]), 1), (min(len(edges[0]), _EDGES),), generator=generator)
            near = (edges[0][pick.to(scaled.device)], edges[1][pick.to(scaled.device)])
            if len(pick) and own > 2:
                far = batch.graph.sample_non_edges(len(pick), generator, among=own)
                terms["edges"] = config.edge_loss * edge_loss(scaled, near, far)
        if config.prior_loss:
            terms["prior"] = config.prior_loss * self.adversary(scaled, generator)
        if hasattr(self, "section_critic"):
            terms["sections"] = config.section_loss * self.section_critic(scaled, batch.section[:own])
        if config.clustering_loss and cluster:
            terms["clustering"] = config.clustering_loss * self.clustering(scaled)
        return terms


def standardized(code: Tensor) -> Tensor:
    """Zero mean and unit variance of each of the (n, d) code's dimensions."""
    return (code - code.mean(0)) / code.std(0).clamp_min(1e-6)
