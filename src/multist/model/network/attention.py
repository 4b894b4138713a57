"""Cross-attention learnt from hidden expression: a spot's image asks which of its neighbours are of its tissue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from multist._progress import with_progress
from multist._threads import steady_threads
from multist.model.config import MultiSTConfig
from multist.model.features.image_gain import (
    JUDGED,
    error_of_neighbours,
    held_out_tissue,
    lasting_gain,
    others_than,
    slopes_of_neighbours,
    some_of,
    unit_variance,
)
from multist.model.network.descent import Descent
from multist.model.network.graph import take_rows
from multist.model.network.processes import Processes
from multist.model.network.reach import Hidden, Reach

_SPOTS_A_STEP = 384  # hidden spots of a step; the gain is the same within .006 with half or twice as many
_STEPS_BETWEEN_LOOKS = 10  # steps between two looks at held-out tissue
_SPOTS_AT_ONCE = 20_000  # spots whose weights are read off together


class ImageAttention(nn.Module):
    """A spot's image weighs the spots around it by their image and expression; their expression passes unchanged.

    Beside the heads that ask stand the plain means of both rings, from whose least-squares prediction training starts:
    all that it can add is which tissue looks alike.

    Parameters
    ----------
    slopes
        (p, 2) of each of p factors of expression on its means over the first and the second ring.
    n_image
        Factors of the image.
    config
        Number and width of the heads.
    """

    def __init__(self, slopes: np.ndarray, n_image: int, config: MultiSTConfig) -> None:
        super().__init__()
        n_expression, self.n_heads = len(slopes), config.n_heads
        width = config.n_heads * config.head_width
        self.normalize_image = nn.LayerNorm(n_image, elementwise_affine=False)
        self.normalize_expression = nn.LayerNorm(n_expression, elementwise_affine=False)
        self.query = nn.Linear(n_image, width, bias=False)
        self.image_key = nn.Linear(n_image, width, bias=False)
        self.expression_key = nn.Linear(n_expression, width, bias=False)
        self.by_distance = nn.Parameter(torch.zeros(2, config.n_heads))
        half = torch.as_tensor(slopes.T / 2, dtype=torch.float32)
        self.ring_scale = nn.Parameter(half)
        self.scale = nn.Parameter((half.sum(0) / config.n_heads).repeat(config.n_heads, 1))
        for layer in (self.query, self.image_key, self.expression_key):
            nn.init.normal_(layer.weight, std=0.5 / layer.in_features**0.5)

    def weights(self, hidden: Hidden, expression: Tensor, image: Tensor) -> Tensor:
        """(n_edges, heads) of (m, p) expression and (m, q) image of all spots that are seen."""
        image = self.normalize_image(image)
        shape = (len(image), self.n_heads, -1)
        key = self.image_key(image) + self.expression_key(self.normalize_expression(expression))
        bias = take_rows(self.by_distance, hidden.far.long())
        return hidden.graph.weigh(self.query(image).view(shape), key.view(shape), bias)

    def forward(self, hidden: Hidden, expression: Tensor, image: Tensor) -> Tensor:
        """(n_asking, p) expression of the hidden spots as their surroundings tell it."""
        weight = torch.cat([hidden.ring_weight, self.weights(hidden, expression, image)], dim=1)
        # the heads differ by a scale of each factor alone, so that they are added up before the edges are
        share = weight @ torch.cat([self.ring_scale, self.scale])
        told = hidden.graph.sum_edges(share * take_rows(expression, hidden.graph.sender))
        return told[: hidden.n_asking]


class LearntAttention(NamedTuple):
    """What :func:`fit_attention` gives.

    Attributes
    ----------
    networks
        One for each part of the tissue that was held out.
    unseen
        Rows of that part.
    losses
        (m,) mean squared error of hidden spots on held-out tissue after every tenth step and the last one, as a share
        of the variance; the networks are those of the least.
    error_of_neighbours
        The same of a linear prediction from the means of the first and second ring, without an image.
    gain
        Share of that error which the image takes away; zero if it may be chance.
    """

    networks: list[ImageAttention]
    unseen: list[np.ndarray]
    losses: np.ndarray
    error_of_neighbours: float
    gain: float


@steady_threads("torch")
def fit_attention(
    expression: np.ndarray,
    image: np.ndarray,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    section: np.ndarray,
    config: MultiSTConfig,
    *,
    device: str = "auto",
    random_state: int = 0,
) -> LearntAttention:
    """Learn attention from spots whose expression is hidden and whose image is not.

    Blocks of tissue are held out in turn. Each network is trained on the other blocks, and all stop at the step after
    which the held-out blocks are predicted best: more steps fit a section by heart.

    Parameters
    ----------
    expression, image
        (n, p) and (n, q) factors.
    adjacency
        (n, n) spatial neighbourhoods without the diagonal.
    xy
        (n, 2) coordinates, by which blocks are cut.
    section
        (n,) int from 0.
    config
        Constants.
    device
        ``"auto"`` or a name torch knows.
    random_state
        Seed; the global random state stays as it is.
    """
    processes = Processes(device)
    rng = np.random.default_rng(random_state)
    block, unseen = held_out_tissue(xy, section, rng)
    if not unseen:  # no other tissue to learn from
        return LearntAttention([], [], np.zeros(0), 1.0, 0.0)
    genes, picture = (_on(processes.device, unit_variance(each)) for each in (expression, image))
    reach = Reach(adjacency, processes.device)
    judged = [some_of(part, JUDGED, rng) for part in unseen]
    seen = [others_than(part, len(xy)) for part in unseen]
    others = [some_of(rows, JUDGED, rng) for rows in seen]
    values = genes.cpu().numpy().astype(np.float64)
    slopes = [slopes_of_neighbours(values, adjacency, rows) for rows in others]
    trained = [
        _train(seen[f], slopes[f], judged[f], genes, picture, reach, config, processes, (random_state, f))
        for f in with_progress(range(len(seen)), len(seen), "multist: attention")
    ]
    errors = np.concatenate([np.stack(each.errors, axis=1) for each in trained])  # spots by looks
    best = int(errors.mean(axis=0).argmin())
    networks = []
    for each in trained:
        each.network.load_state_dict(each.states[best])
        networks.append(each.network)
    rows = np.concatenate(judged)
    alone = np.concatenate(
        [error_of_neighbours(slope, values, adjacency, part) for slope, part in zip(slopes, judged, strict=True)]
    )
    variance = float(genes.square().sum(1).mean())
    return LearntAttention(
        networks=networks,
        unseen=unseen,
        losses=errors.mean(axis=0) / variance,
        error_of_neighbours=float(alone.mean()) / variance,
        gain=lasting_gain(alone, errors[:, best], block[rows]),
    )


@steady_threads("torch")
@torch.no_grad()
def attention_matrix(
    networks: list[ImageAttention],
    expression: np.ndarray,
    image: np.ndarray,
    adjacency: sp.csr_matrix,
    *,
    device: str = "auto",
) -> sp.csr_matrix:
    """(n, n) float32 weights of the spots within two steps, mean over the networks and their heads; rows sum to one."""
    place = Processes(device).device
    genes, picture = (_on(place, unit_variance(each)) for each in (expression, image))
    reach, pieces = Reach(adjacency, place), []
    models = [network.to(place) for network in networks]
    for start in range(0, len(genes), _SPOTS_AT_ONCE):
        hidden = reach.of(np.arange(start, min(start + _SPOTS_AT_ONCE, len(genes))))
        seen = torch.as_tensor(hidden.spots, device=place)
        factors = (genes.index_select(0, seen), picture.index_select(0, seen))
        weight = torch.stack([model.weights(hidden, *factors).mean(1) for model in models]).mean(0)
        edges = (hidden.graph.receiver.cpu().numpy(), hidden.spots[hidden.graph.sender.cpu().numpy()])
        pieces.append(sp.csr_matrix((weight.cpu().numpy(), edges), shape=(hidden.n_asking, len(genes))))
    return sp.csr_matrix(sp.vstack(pieces, format="csr"))


def _on(device: torch.device | str, factors: np.ndarray) -> Tensor:
    return torch.as_tensor(factors, dtype=torch.float32, device=device)


class _Trained(NamedTuple):
    network: ImageAttention
    states: list[dict[str, Tensor]]
    errors: list[np.ndarray]


def _train(
    seen: np.ndarray,
    slopes: np.ndarray,
    judged: np.ndarray,
    genes: Tensor,
    picture: Tensor,
    reach: Reach,
    config: MultiSTConfig,
    processes: Processes,
    seed: tuple[int, int],
) -> _Trained:
    """A network that sees some rows, and its state and errors on others after every tenth step."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(sum(seed))
        network = ImageAttention(slopes, picture.shape[1], config)
    network = network.to(processes.device)
    processes.start_alike(network)
    parameters = list(network.parameters())
    descent = Descent(parameters, config.learning_rate, config.weight_decay)
    # each process hides spots of its own
    rng = np.random.default_rng([*seed, processes.rank])
    test, states, errors = reach.of(judged), [], []
    all_of_them = reach.of(seen) if len(seen) <= _SPOTS_A_STEP else None
    for step in range(1, config.epochs + 1):
        hidden = all_of_them or reach.of(some_of(seen, _SPOTS_A_STEP, rng))
        loss = _squared_errors(network, hidden, genes, picture).mean()
        processes.backward(loss)
        processes.average_gradients(parameters)
        descent.step()
        if step % _STEPS_BETWEEN_LOOKS == 0 or step == config.epochs:
            with torch.no_grad():
                errors.append(_squared_errors(network, test, genes, picture).cpu().numpy())
            states.append({name: value.detach().clone() for name, value in network.state_dict().items()})
    return _Trained(network, states, errors)


def _squared_errors(network: ImageAttention, hidden: Hidden, genes: Tensor, picture: Tensor) -> Tensor:
    """(n_asking,) squared distance of the prediction."""
    seen = torch.as_tensor(hidden.spots, device=genes.device)
    expression = genes.index_select(0, seen)
    predicted = network(hidden, expression, picture.index_select(0, seen))
    return (predicted - expression[: hidden.n_asking]).square().sum(1)
