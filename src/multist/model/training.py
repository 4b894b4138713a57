"""Fit the network to one table and read the embedding off it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from multist.cluster.watched import watched
from multist.model.batches import Batches
from multist.model.config import MultiSTConfig
from multist.model.factors import joint_loadings
from multist.model.network import Fused, FusionNetwork
from multist.model.objective import Objective, standardized
from multist.model.processes import Processes
from multist.model.tokens import Tokens


class Embedding(NamedTuple):
    """What training gives.

    Attributes
    ----------
    code
        (n, d) float32 fused embedding.
    image_weight
        (n,) float32. Share of the code's variation at each spot that the image brought in; zero without an image.
    losses
        Name of each term to its value per step, as it enters the sum: times its weight. Up to 20,000 spots a step is an epoch.
    device
        Where it was computed.
    """

    code: np.ndarray
    image_weight: np.ndarray
    losses: dict[str, list[float]]
    device: str


def fit_embedding(
    tokens: Tokens,
    adjacency: sp.csr_matrix,
    config: MultiSTConfig,
    *,
    n_domains: int,
    xy: np.ndarray | None = None,
    device: str = "auto",
    random_state: int = 0,
) -> Embedding:
    """Train the fusion network on masked spots and embed all of them.

    Up to 20,000 spots are trained on at once. Of more, every step takes some tiles of the tissue, each with a halo as wide as the
    network is deep, and the embedding is read off tile by tile; it is the same as that of the whole. Processes started by
    ``torchrun`` share the tiles and average their gradients; each returns the whole embedding.

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
    xy
        (n, 2) coordinates along which tiles are cut; None takes the order of the rows.
    device
        ``"auto"`` or a name torch knows.
    random_state
        Seed; the global random state is restored.
    """
    processes = Processes(device)
    batches = Batches(tokens, adjacency, xy, processes.device)
    devices = [processes.device.index or 0] if processes.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(random_state)
        network = initial_network(tokens, adjacency, config).to(processes.device)
        objective = Objective(network, config, n_domains).to(processes.device)
        processes.start_alike(network, objective)
        losses = _train(processes, network, objective, batches, random_state)
    code, image_part = embed(network, batches, processes)
    return _result(code, image_part, losses, str(processes.device))


def initial_network(tokens: Tokens, adjacency: sp.csr_matrix, config: MultiSTConfig) -> FusionNetwork:
    """Network whose linear maps are the principal axes of both modalities' factors together."""
    parts = [tokens.expression] if tokens.image is None else [tokens.expression, tokens.image]
    loadings = joint_loadings(np.hstack(parts), adjacency, config.n_factors, n_hops=tokens.n_hops)
    n_expression = tokens.expression.shape[1]
    loading = torch.as_tensor(loadings, dtype=torch.float32)
    image = None if tokens.image is None else loading[n_expression:]
    return FusionNetwork(loading[:n_expression], image, config, n_hops=tokens.n_hops)


def _train(
    processes: Processes, network: FusionNetwork, objective: Objective, batches: Batches, random_state: int
) -> dict[str, list[float]]:
    """AdamW on masked spots; with the clustering loss, centres are placed halfway. Returns the losses."""
    config = network.config
    # each process hides spots of its own
    generator = torch.Generator().manual_seed(random_state + 7919 * processes.rank)
    parameters = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    n_steps = batches.steps(config.epochs)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(n_steps, 1))
    drawn = batches.for_training(n_steps, processes.rank, processes.count, np.random.default_rng(random_state))
    losses: dict[str, list[float]] = {}
    for step, batch in enumerate(watched(drawn, n_steps, "multist: fusing", hidden=processes.rank > 0)):
        if config.clustering_loss and step == n_steps // 2:
            objective.place_centers(standardized(embed(network, batches, processes)[0].to(processes.device)))
        terms = objective(network, batch, batches.variance, generator, cluster=step >= n_steps // 2)
        optimizer.zero_grad()
        processes.backward(sum(terms.values(), start=torch.zeros((), device=processes.device)))
        processes.average_gradients(parameters)
        optimizer.step()
        schedule.step()
        for name, value in terms.items():
            losses.setdefault(name, []).append(float(value.detach()))
    return losses


@torch.no_grad()
def embed(network: FusionNetwork, batches: Batches, processes: Processes) -> tuple[Tensor, Tensor | None]:
    """(n, d) code of all spots, and the part of it that the image brought in, by tiles where there are many."""
    pieces = batches.for_reading()
    if len(pieces) == 1:
        whole: Fused = network(*batches.of_rows(pieces[0])[:3])
        return whole.code, whole.image_part
    width = network.gene_token.out_features
    code = torch.zeros(batches.n_spots, width)
    image_part = torch.zeros(batches.n_spots, width) if network.has_image else None
    own = processes.share(pieces)
    for rows in watched(own, len(own), "multist: embedding", hidden=processes.rank > 0):
        batch = batches.of_rows(rows)
        fused = network(*batch[:3])
        code[rows] = fused.code[: batch.n_own].cpu()
        if image_part is not None and fused.image_part is not None:
            image_part[rows] = fused.image_part[: batch.n_own].cpu()
    return processes.sum(code), None if image_part is None else processes.sum(image_part)


def _result(whole: Tensor, image_part: Tensor | None, losses: dict[str, list[float]], device: str) -> Embedding:
    code = whole - whole.mean(0)
    if image_part is None:
        weight = torch.zeros(len(code))
    else:
        spread = code.std(0).clamp_min(1e-9)
        brought = ((image_part - image_part.mean(0)) / spread).square().sum(1)
        gene_part = whole - image_part
        weight = brought / (brought + ((gene_part - gene_part.mean(0)) / spread).square().sum(1)).clamp_min(1e-12)
    return Embedding(code.cpu().numpy(), weight.cpu().numpy(), losses, device)
