"""Fit the network to one table and read the embedding off it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from multist._settings import settings
from multist.model.config import MultiSTConfig
from multist.model.factors import joint_loadings
from multist.model.graph import SpatialGraph, build_graph
from multist.model.losses import (
    AdversarialPrior,
    ClusterLoss,
    alignment_loss,
    edge_loss,
    reconstruction_loss,
)
from multist.model.network import Fused, FusionNetwork
from multist.model.tokens import Tokens

_EDGES = 20_000  # pairs that the edge loss looks at per epoch


class Embedding(NamedTuple):
    """What training gives.

    Attributes
    ----------
    code
        (n, d) float32 fused embedding.
    image_weight
        (n,) float32. Share of the code's variation at each spot that the image brought in; zero without an image.
    losses
        Name of each term to its value per epoch, as it enters the sum: times its weight.
    """

    code: np.ndarray
    image_weight: np.ndarray
    losses: dict[str, list[float]]


def fit_embedding(
    tokens: Tokens,
    adjacency: sp.csr_matrix,
    config: MultiSTConfig,
    *,
    n_domains: int,
    device: str = "auto",
    random_state: int = 0,
) -> Embedding:
    """Train the fusion network on masked spots and embed all of them.

    Parameters
    ----------
    tokens
        Expression and image features of the n spots.
    adjacency
        (n, n) sparse spatial neighbourhoods.
    config
        Constants of the network and its losses.
    n_domains
        Number of centres of the clustering loss; unused while its weight is zero.
    device
        ``"auto"`` or a name torch knows.
    random_state
        Seed; the global random state is restored.
    """
    fabric = _fabric(device)
    graph = build_graph(adjacency, backend=settings.graph_backend, device=fabric.device)
    with torch.random.fork_rng(devices=[fabric.device.index or 0] if fabric.device.type == "cuda" else []):
        torch.manual_seed(random_state)
        generator = torch.Generator().manual_seed(random_state)
        network = initial_network(tokens, adjacency, config)
        objective = _Objective(network, config, n_domains)
        network, objective, losses = _train(fabric, network, objective, graph, tokens, generator)
    return _read_off(network, graph, *_tensors(tokens, fabric.device), losses)


def initial_network(tokens: Tokens, adjacency: sp.csr_matrix, config: MultiSTConfig) -> FusionNetwork:
    """Network whose linear maps are the principal axes of both modalities' factors together."""
    parts = [tokens.expression] if tokens.image is None else [tokens.expression, tokens.image]
    loadings = joint_loadings(np.hstack(parts), adjacency, config.n_factors, n_hops=tokens.n_hops)
    n_expression = tokens.expression.shape[1]
    loading = torch.as_tensor(loadings, dtype=torch.float32)
    image = None if tokens.image is None else loading[n_expression:]
    return FusionNetwork(loading[:n_expression], image, config, n_hops=tokens.n_hops)


class _Objective(nn.Module):
    """The losses and what they learn themselves: projections, the critic, the domains' centres."""

    def __init__(self, network: FusionNetwork, config: MultiSTConfig, n_domains: int) -> None:
        super().__init__()
        self.config, self.n_domains = config, n_domains
        width = network.gene_token.out_features
        if config.alignment_loss and network.has_image:
            self.gene_projection = nn.Linear(width, width, bias=False)
            self.image_projection = nn.Linear(width, width, bias=False)
        if config.prior_loss:
            self.adversary = AdversarialPrior(width)
        if config.clustering_loss:
            self.clustering = ClusterLoss(torch.zeros(n_domains, width))

    def place_centers(self, code: Tensor) -> None:
        """Start the domains' centres at k-means of the (n, d) standardised code."""
        from sklearn.cluster import KMeans

        found = KMeans(self.n_domains, n_init=4, random_state=0).fit(code.detach().cpu().numpy())
        with torch.no_grad():
            self.clustering.centers.copy_(torch.as_tensor(found.cluster_centers_))

    def forward(
        self, network: FusionNetwork, graph: SpatialGraph, expression: Tensor, image: Tensor | None,
        generator: torch.Generator, cluster: bool,  # noqa: FBT001
    ) -> dict[str, Tensor]:  # fmt: skip
        """Weighted terms of one epoch."""
        config = self.config
        hidden = (torch.rand(graph.n_spots, 1, generator=generator) < config.mask_rate).to(expression)
        fused = network(graph, expression, image, visible=1 - hidden)
        scaled = _standardized(fused.code)
        variance = sum(float(x.square().sum(1).mean()) for x in (expression, image) if x is not None)
        terms = {"expression": config.expression_loss * reconstruction_loss(
            network.expression_decoder(fused.code), expression, hidden, variance)}  # fmt: skip
        if fused.image is not None and image is not None:
            predicted = network.image_decoder(fused.code)
            terms["image"] = config.image_loss * reconstruction_loss(predicted, image, hidden, variance)
            if config.alignment_loss:
                terms["alignment"] = config.alignment_loss * alignment_loss(
                    self.gene_projection(_standardized(fused.gene)),
                    self.image_projection(_standardized(fused.image)),
                    config.temperature, generator)  # fmt: skip
        if config.edge_loss:
            edges = graph.edges()
            pick = torch.randint(max(len(edges[0]), 1), (min(len(edges[0]), _EDGES),), generator=generator)
            near = (edges[0][pick.to(graph.device)], edges[1][pick.to(graph.device)])
            if len(pick) and graph.n_spots > 2:
                terms["edges"] = config.edge_loss * edge_loss(
                    scaled, near, graph.sample_non_edges(len(pick), generator)
                )
        if config.prior_loss:
            terms["prior"] = config.prior_loss * self.adversary(scaled, generator)
        if config.clustering_loss and cluster:
            terms["clustering"] = config.clustering_loss * self.clustering(scaled)
        return terms


def _train(fabric, network, objective, graph, tokens: Tokens, generator):  # type: ignore[no-untyped-def]
    """AdamW on all spots at once; with the clustering loss, centres are placed halfway."""
    from tqdm.auto import trange

    config = network.config
    expression, image = _tensors(tokens, fabric.device)
    network, objective = network.to(fabric.device), objective.to(fabric.device)
    parameters = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(config.epochs, 1))
    losses: dict[str, list[float]] = {}
    for epoch in trange(config.epochs, desc="multist: fusing", disable=not settings.progress, leave=False):
        clustering = epoch >= config.epochs // 2
        if config.clustering_loss and epoch == config.epochs // 2:
            with torch.no_grad():
                objective.place_centers(_standardized(network(graph, expression, image).code))
        terms = objective(network, graph, expression, image, generator, clustering)
        optimizer.zero_grad()
        fabric.backward(sum(terms.values()))
        optimizer.step()
        schedule.step()
        for name, value in terms.items():
            losses.setdefault(name, []).append(float(value.detach()))
    return network, objective, losses


@torch.no_grad()
def _read_off(
    network: FusionNetwork,
    graph: SpatialGraph,
    expression: Tensor,
    image: Tensor | None,
    losses: dict[str, list[float]],
) -> Embedding:
    fused: Fused = network(graph, expression, image)
    code = fused.code - fused.code.mean(0)
    if fused.image_part is None:
        weight = torch.zeros(len(code))
    else:
        spread = code.std(0).clamp_min(1e-9)
        brought = ((fused.image_part - fused.image_part.mean(0)) / spread).square().sum(1)
        gene_part = fused.code - fused.image_part
        weight = brought / (brought + ((gene_part - gene_part.mean(0)) / spread).square().sum(1)).clamp_min(1e-12)
    return Embedding(code.cpu().numpy(), weight.cpu().numpy(), losses)


def _standardized(code: Tensor) -> Tensor:
    return (code - code.mean(0)) / code.std(0).clamp_min(1e-6)


def _tensors(tokens: Tokens, device: torch.device) -> tuple[Tensor, Tensor | None]:
    expression = torch.as_tensor(tokens.expression, dtype=torch.float32, device=device)
    return expression, None if tokens.image is None else torch.as_tensor(
        tokens.image, dtype=torch.float32, device=device
    )


def _fabric(device: str):  # type: ignore[no-untyped-def]
    from lightning_fabric import Fabric

    name = settings.device if device == "auto" else device
    if name == "auto":
        return Fabric(accelerator="auto", devices=1)
    kind, _, index = name.partition(":")
    return Fabric(accelerator={"cuda": "gpu"}.get(kind, kind), devices=[int(index)] if index else 1)
