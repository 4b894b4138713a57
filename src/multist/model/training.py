"""Fit the network to one table and read the embedding off it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from multist.cluster.watched import watched
from multist.model.batches import Batches
from multist.model.config import MultiSTConfig
from multist.model.factors import joint_loadings
from multist.model.network import FusionNetwork
from multist.model.objective import Objective, standardized
from multist.model.processes import Processes
from multist.model.reading import Reading, read
from multist.model.resume import TrainingState
from multist.model.tokens import Tokens


class Frame(NamedTuple):
    """Where the code of the fitted sections lies, so that that of another section is brought to the same place.

    Attributes
    ----------
    center, spread
        (d,) mean and standard deviation of the code.
    image_center
        (d,) mean of what the image brought in; zeros without an image.
    """

    center: np.ndarray
    spread: np.ndarray
    image_center: np.ndarray


class Embedding(NamedTuple):
    """What training gives.

    Attributes
    ----------
    code
        (n, d) float32 fused embedding.
    image_weight
        (n,) float32. Share of the code's variation at each spot that the image brought in; zero without an image.
    attention, image_attention
        (n_edges,) float32 weight of each edge of :func:`multist.model.graph.with_self`, in its order, mean over the heads;
        ``image_attention`` is None without an image.
    losses
        Name of each term to its value per step, as it enters the sum: times its weight. Up to 20,000 spots a step is an epoch.
    device
        Where it was computed.
    network, frame
        What embeds another section, by :func:`embed_tokens`.
    """

    code: np.ndarray
    image_weight: np.ndarray
    attention: np.ndarray
    image_attention: np.ndarray | None
    losses: dict[str, list[float]]
    device: str
    network: FusionNetwork
    frame: Frame


def fit_embedding(
    tokens: Tokens,
    adjacency: sp.csr_matrix,
    config: MultiSTConfig,
    *,
    n_domains: int,
    xy: np.ndarray | None = None,
    device: str = "auto",
    random_state: int = 0,
    resume: str | Path | None = None,
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
    resume
        Folder in which training keeps how far it is, twice a minute and at the end, and from which it goes on, to the bits
        that it would have come to without an interruption; None keeps nothing.

    Raises
    ------
    ValueError
        If ``resume`` is of another training, or there are several processes.
    """
    processes = Processes(device)
    if resume is not None and processes.count > 1:
        raise ValueError(f"resume is for one process; there are {processes.count}")
    state = None if resume is None else TrainingState(
        resume, tokens, adjacency, [config, random_state, n_domains if config.clustering_loss else None], xy=xy
    )  # fmt: skip
    batches = Batches(tokens, adjacency, xy, processes.device)
    devices = [processes.device.index or 0] if processes.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(random_state)
        network = initial_network(tokens, adjacency, config).to(processes.device)
        objective = Objective(network, config, n_domains, int(tokens.section.max()) + 1).to(processes.device)
        processes.start_alike(network, objective)
        losses = _train(processes, network, objective, batches, random_state, state)
    reading = read(network, batches, processes)
    nothing = torch.zeros_like(reading.code[0])
    frame = Frame(
        reading.code.mean(0).cpu().numpy(),
        reading.code.std(0).clamp_min(1e-9).cpu().numpy(),
        (nothing if reading.image_part is None else reading.image_part.mean(0)).cpu().numpy(),
    )
    return _embedding(reading, network, frame, losses, processes)


def embed_tokens(
    network: FusionNetwork,
    frame: Frame,
    tokens: Tokens,
    adjacency: sp.csr_matrix,
    *,
    xy: np.ndarray | None = None,
    device: str = "auto",
) -> Embedding:
    """Embed another section with what was fitted; parameters as those of :func:`fit_embedding`."""
    processes = Processes(device)
    batches = Batches(tokens, adjacency, xy, processes.device)
    network = network.to(processes.device)
    return _embedding(read(network, batches, processes), network, frame, {}, processes)


def initial_network(tokens: Tokens, adjacency: sp.csr_matrix, config: MultiSTConfig) -> FusionNetwork:
    """Network whose linear maps are the principal axes of both modalities' factors together."""
    parts = [tokens.expression] if tokens.image is None else [tokens.expression, tokens.image]
    loadings = joint_loadings(np.hstack(parts), adjacency, config.n_factors, n_hops=tokens.n_hops)
    n_expression = tokens.expression.shape[1]
    loading = torch.as_tensor(loadings, dtype=torch.float32)
    image = None if tokens.image is None else loading[n_expression:]
    return FusionNetwork(loading[:n_expression], image, config, n_hops=tokens.n_hops)


def _train(
    processes: Processes,
    network: FusionNetwork,
    objective: Objective,
    batches: Batches,
    random_state: int,
    state: TrainingState | None,
) -> dict[str, list[float]]:
    """AdamW on masked spots; with the clustering loss, centres are placed halfway. Returns the losses."""
    config = network.config
    # each process hides spots of its own
    generator = torch.Generator().manual_seed(random_state + 7919 * processes.rank)
    parameters = [*network.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    n_steps = batches.steps(config.epochs)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(n_steps, 1))
    losses: dict[str, list[float]] = {}
    parts: dict[str, Any] = {"network": network, "objective": objective, "optimizer": optimizer, "schedule": schedule}
    n_done = 0 if state is None else state.restore(parts, generator, losses)
    drawn = batches.for_training(
        n_steps, processes.rank, processes.count, np.random.default_rng(random_state), n_done=n_done
    )
    steps = enumerate(watched(drawn, n_steps - n_done, "multist: fusing", hidden=processes.rank > 0), n_done)
    for step, batch in steps if state is None else state.kept_during(steps, parts, generator, losses):
        if config.clustering_loss and step == n_steps // 2:
            objective.place_centers(standardized(read(network, batches, processes).code.to(processes.device)))
        terms = objective(network, batch, batches.variance, generator, cluster=step >= n_steps // 2)
        optimizer.zero_grad()
        processes.backward(sum(terms.values(), start=torch.zeros((), device=processes.device)))
        processes.average_gradients(parameters)
        optimizer.step()
        schedule.step()
        for name, value in terms.items():
            losses.setdefault(name, []).append(float(value.detach()))
    return losses


def _embedding(
    reading: Reading, network: FusionNetwork, frame: Frame, losses: dict[str, list[float]], processes: Processes
) -> Embedding:
    whole = reading.code.cpu()
    center, spread, image_center = (torch.as_tensor(each) for each in frame)
    weight, image_attention = torch.zeros(len(whole)), None
    if reading.image_part is not None and reading.image_attention is not None:
        image_part = reading.image_part.cpu()
        gene_part = whole - image_part
        brought = ((image_part - image_center) / spread).square().sum(1)
        rest = ((gene_part - (center - image_center)) / spread).square().sum(1)
        weight = brought / (brought + rest).clamp_min(1e-12)
        image_attention = reading.image_attention.cpu().numpy()
    return Embedding(
        (whole - center).numpy(), weight.numpy(), reading.attention.cpu().numpy(), image_attention, losses,
        str(processes.device), network.cpu(), frame,
    )  # fmt: skip
