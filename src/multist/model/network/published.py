"""The published method, for comparison: its network and its losses, as far as they have a counterpart here.

An independent implementation after arXiv 2601.13331. Attention has one key, the spot's own, as in the released code, so
all its weights are one and nothing is learned from them.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional

from multist._progress import with_progress
from multist._settings import settings
from multist._threads import steady_threads
from multist.model.config import MultiSTConfig, PublishedLosses
from multist.model.features.image_gain import some_of
from multist.model.features.neighbourhood import smooth
from multist.model.network.graph import SpatialGraph, build_graph, take_rows, with_self
from multist.model.network.processes import Processes

_PAIRS_A_STEP = 20_000  # pairs that the edge loss looks at per step
_MAX_CENTRED_ON = 20_000  # spots by which centres are placed
_MAX_PAIRED = 512  # spots that pairwise terms look at: nothing is n x n


@steady_threads("torch")
def fit_published(
    genes: np.ndarray,
    picture: np.ndarray | None,
    adjacency: sp.csr_matrix,
    section: np.ndarray,
    config: MultiSTConfig,
    losses: PublishedLosses,
    *,
    n_domains: int,
    device: str = "auto",
    random_state: int = 0,
) -> tuple[PublishedNetwork, dict[str, np.ndarray]]:
    """Train on all spots at once; returns the network, and each loss after each epoch.

    Parameters
    ----------
    genes, picture
        (n, p) and (n, q) factors; ``picture`` is None without an image.
    adjacency
        (n, n) spatial neighbourhoods.
    section
        (n,) int from 0.
    config
        Constants of the training.
    losses
        Weights of the losses, and what else they need.
    n_domains
        Number of centres of the clustering loss.
    device
        ``"auto"`` or a name torch knows.
    random_state
        Seed.
    """
    place = Processes(device).device
    parts = [genes] if picture is None else [genes, picture]
    around = smooth(np.hstack(parts).astype(np.float64), adjacency, 2)
    around -= around.mean(axis=0)
    variance, axes = np.linalg.eigh(around.T @ around)
    loadings = axes[:, np.argsort(variance)[::-1][: losses.n_factors]]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(random_state)
        network = PublishedNetwork(loadings[: genes.shape[1]], loadings[genes.shape[1] :])
        objective = Objective(network, losses, n_domains, int(section.max()) + 1)
    network, objective = network.to(place), objective.to(place)
    graph = build_graph(with_self(adjacency), backend=settings.graph_backend, device=place)
    expression = torch.as_tensor(genes, dtype=torch.float32, device=place)
    image = None if picture is None else torch.as_tensor(picture, dtype=torch.float32, device=place)
    member = torch.as_tensor(section, device=place)
    generator = torch.Generator().manual_seed(random_state)
    optimizer = torch.optim.AdamW(
        [*network.parameters(), *objective.parameters()], lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(config.epochs, 1))
    course: dict[str, list[float]] = {}
    for epoch in with_progress(range(config.epochs), config.epochs, "multist: published method"):
        late = epoch >= config.epochs // 2
        if epoch == config.epochs // 2:
            with torch.no_grad():
                objective.place_centers(standardized(network(graph, expression, image)[0]), random_state)
        terms = objective(network, graph, expression, image, member, generator, cluster=late)
        optimizer.zero_grad()
        sum(terms.values(), start=torch.zeros((), device=place)).backward()
        optimizer.step()
        schedule.step()
        for name, value in terms.items():
            course.setdefault(name, []).append(float(value.detach()))
    return network.cpu(), {name: np.asarray(values) for name, values in course.items()}


@torch.no_grad()
@steady_threads("torch")
def read_published(
    network: PublishedNetwork,
    genes: np.ndarray,
    picture: np.ndarray | None,
    adjacency: sp.csr_matrix,
    *,
    device: str = "auto",
) -> np.ndarray:
    """(n, d) code of any sections."""
    place = Processes(device).device
    graph = build_graph(with_self(adjacency), backend=settings.graph_backend, device=place)
    factors = [
        None if each is None else torch.as_tensor(each, dtype=torch.float32, device=place) for each in (genes, picture)
    ]
    return network.to(place)(graph, *factors)[0].cpu().numpy()


class PublishedNetwork(nn.Module):
    """Linear tokens of both modalities, averaged twice over the neighbourhood, added, and decoded.

    Parameters
    ----------
    loadings, image_loadings
        (p, d) and (q, d) start of the tokens' maps and of the decoders; q is zero without an image.
    """

    def __init__(self, loadings: np.ndarray, image_loadings: np.ndarray) -> None:
        super().__init__()
        self.gene_token, self.expression_decoder = _linear(loadings.T), _linear(loadings)
        self.has_image = len(image_loadings) > 0
        if self.has_image:
            self.image_token, self.image_decoder = _linear(image_loadings.T), _linear(image_loadings)

    @classmethod
    def of_state(cls, state: dict[str, np.ndarray]) -> PublishedNetwork:
        """Of the arrays that ``state_dict`` gave."""
        image = state.get("image_token.weight", np.zeros((1, 0)))
        network = cls(state["gene_token.weight"].T, image.T)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        return network

    def forward(
        self, graph: SpatialGraph, expression: Tensor, image: Tensor | None, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """(n, d) code and unimodal tokens; spots where ``visible`` (n, 1) is zero do not show their features."""
        gene = graph.mean_neighbours(graph.mean_neighbours(self.gene_token(expression), visible))
        if image is None or not self.has_image:
            return gene, gene, None
        picture = graph.mean_neighbours(graph.mean_neighbours(self.image_token(image), visible))
        return gene + picture, gene, picture


class Objective(nn.Module):
    """The losses and what they learn themselves: projections, the critics, the domains' centres."""

    def __init__(self, network: PublishedNetwork, losses: PublishedLosses, n_domains: int, n_sections: int) -> None:
        super().__init__()
        self.losses, self.n_domains = losses, n_domains
        width = network.gene_token.out_features
        self.gene_projection = nn.Linear(width, width, bias=False)
        self.image_projection = nn.Linear(width, width, bias=False)
        self.adversary = AdversarialPrior(width)
        self.section_critic = SectionCritic(width, n_sections) if n_sections > 1 else None
        self.clustering = ClusterLoss(torch.zeros(n_domains, width))

    def place_centers(self, code: Tensor, random_state: int) -> None:
        """Start the domains' centres at k-means of the (n, d) standardised code."""
        from sklearn.cluster import KMeans

        rows = some_of(np.arange(len(code)), _MAX_CENTRED_ON, np.random.default_rng(random_state))
        with steady_threads("sklearn.cluster"):  # it may have been loaded by the line above
            kmeans = KMeans(self.n_domains, n_init=4, random_state=random_state).fit(code.cpu().numpy()[rows])
        with torch.no_grad():
            self.clustering.centers.copy_(torch.as_tensor(kmeans.cluster_centers_))

    def forward(
        self,
        network: PublishedNetwork,
        graph: SpatialGraph,
        expression: Tensor,
        image: Tensor | None,
        section: Tensor,
        generator: torch.Generator,
        *,
        cluster: bool,
    ) -> dict[str, Tensor]:
        """Weighted terms of one epoch."""
        losses = self.losses
        hidden = (torch.rand(graph.n_spots, 1, generator=generator) < losses.mask_rate).to(expression)
        code, gene, picture = network(graph, expression, image, visible=1 - hidden)
        scaled = standardized(code)
        variance = sum(float(each.square().sum(1).mean()) for each in (expression, image) if each is not None)
        decoded = network.expression_decoder(code)
        terms = {"expression": losses.expression * reconstruction_loss(decoded, expression, hidden, variance)}
        if picture is not None and image is not None:
            terms["image"] = losses.image * reconstruction_loss(network.image_decoder(code), image, hidden, variance)
            tokens = (self.gene_projection(standardized(gene)), self.image_projection(standardized(picture)))
            terms["alignment"] = losses.alignment * alignment_loss(*tokens, losses.temperature, generator)
        edges = graph.edges()
        pick = torch.randint(max(len(edges[0]), 1), (min(len(edges[0]), _PAIRS_A_STEP),), generator=generator).to(
            code.device
        )
        if len(pick) and graph.n_spots > 2:
            far = graph.sample_non_edges(len(pick), generator)
            terms["edges"] = losses.edges * edge_loss(scaled, (edges[0][pick], edges[1][pick]), far)
        terms["prior"] = losses.prior * self.adversary(scaled, generator)
        if self.section_critic is not None:
            terms["sections"] = losses.sections * self.section_critic(scaled, section)
        if cluster:
            terms["clustering"] = losses.clustering * self.clustering(scaled)
        return terms


def standardized(code: Tensor) -> Tensor:
    """Zero mean and unit variance of each of the (n, d) code's dimensions."""
    return (code - code.mean(0)) / code.std(0).clamp_min(1e-6)


def _linear(weight: np.ndarray) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(np.ascontiguousarray(weight), dtype=torch.float32))
    return layer


def reconstruction_loss(predicted: Tensor, true: Tensor, hidden: Tensor, variance: float) -> Tensor:
    """Mean squared error (n, p) on hidden spots (n, 1), as a share of ``variance``.

    That is the variance of all modalities together: one that was weighed down also weighs little here.
    """
    error = ((predicted - true) ** 2).sum(1, keepdim=True)
    return (error * hidden).sum() / (hidden.sum().clamp_min(1) * max(variance, 1e-12))


def edge_loss(code: Tensor, edges: tuple[Tensor, Tensor], non_edges: tuple[Tensor, Tensor]) -> Tensor:
    """Binary cross-entropy of the inner product: neighbours against pairs that are none."""
    width = code.shape[1] ** 0.5
    near, far = ((take_rows(code, a) * take_rows(code, b)).sum(1) / width for a, b in (edges, non_edges))
    return functional.softplus(-near).mean() + functional.softplus(far).mean()


def alignment_loss(gene: Tensor, image: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Symmetric InfoNCE between the unimodal projections of the same spot (van den Oord et al., 2018)."""
    pick = _sample(len(gene), generator).to(gene.device)
    a, b = (functional.normalize(take_rows(token, pick), dim=1) for token in (gene, image))
    similarity = a @ b.T / temperature
    same_spot = torch.arange(len(pick), device=gene.device)
    return 0.5 * (functional.cross_entropy(similarity, same_spot) + functional.cross_entropy(similarity.T, same_spot))


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
        """Cross-entropy of the critic, all sections weighing the same.

        The gradient that reaches ``code`` (n, d) is reversed.
        """
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
    return torch.randperm(n, generator=generator)[:_MAX_PAIRED]
