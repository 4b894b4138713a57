"""The published method: the critic works against the code, centres attract, and training is the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from multist._settings import settings
from multist.model.config import MultiSTConfig, PublishedLosses
from multist.model.network.graph import build_graph, with_self
from multist.model.network.published import (
    AdversarialPrior,
    ClusterLoss,
    Objective,
    PublishedNetwork,
    SectionCritic,
    alignment_loss,
    edge_loss,
    fit_published,
    read_published,
    reconstruction_loss,
    standardized,
)

QUICK = MultiSTConfig.published().replace(epochs=6)


def fit(tissue, config=QUICK, *, image=True, adjacency=None, **kwargs):
    """Network, losses, and the code of what it was trained on."""
    near = tissue.adjacency if adjacency is None else adjacency
    given = (tissue.expression, tissue.image if image else None, near)
    options = {"n_domains": 3, "device": "cpu"} | kwargs
    network, losses = fit_published(*given, np.zeros(len(tissue.xy), np.int64), config, config.losses, **options)
    return network, losses, read_published(network, *given, device=options["device"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int = 500, width: int = 4, seed: int = 7) -> torch.Tensor:
    return torch.randn(n, width, generator=generator(seed))


def test_the_critic_learns_to_tell_and_the_code_to_deceive():
    torch.manual_seed(0)
    prior, code = AdversarialPrior(3), (normal(300, 3) + 2).requires_grad_()
    loss = prior(code, generator())
    loss.backward()
    gradients = [p.grad.clone() for p in prior.parameters()]
    assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients)
    with torch.no_grad():
        deceiving = prior(code - 50 * code.grad, generator())
        for parameter, gradient in zip(prior.parameters(), gradients, strict=True):
            parameter -= 0.05 * gradient
        telling = prior(code, generator())
    assert telling < loss < deceiving


def test_the_cluster_loss_pulls_codes_to_their_centres():
    centers = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    code = (0.7 * normal(200, 2) + centers[torch.arange(200) % 2]).requires_grad_()
    loss_of = ClusterLoss(centers)
    loss = loss_of(code)
    loss.backward()
    moved = code.detach() - 20 * code.grad
    near = torch.cdist(code.detach(), centers).min(1).values.mean()
    assert torch.cdist(moved, centers).min(1).values.mean() < near
    assert loss_of.centers.shape == (2, 2)
    assert loss_of.centers.grad.abs().max() > 0


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["edges", "alignment"])
def test_gradients_are_the_same_bits_whatever_the_threads_do(two_threads, name):
    start = normal(2500, 16)
    one, other = (torch.randint(2500, (2, 20_000), generator=generator(s)) for s in (1, 2))

    def gradient() -> torch.Tensor:
        code = start.clone().requires_grad_()
        if name == "edges":
            edge_loss(code, tuple(one), tuple(other)).backward()
        else:
            alignment_loss(code, code * 2, 0.1, generator()).backward()
        return code.grad

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(8))


def test_only_hidden_spots_are_reconstructed():
    true, hidden = normal(6, 3), torch.tensor([[1.0], [0], [0], [1], [0], [0]])
    wrong = true + 2 * (1 - hidden)
    assert reconstruction_loss(wrong, true, hidden, 1.0) == 0
    assert reconstruction_loss(true + 2 * hidden, true, hidden, 4.0) == pytest.approx(3 * 4 / 4)


@pytest.mark.parametrize("image", [True, False])
def test_all_losses_are_recorded_and_those_of_an_image_only_with_one(small_arrays, image):
    _, losses, code = fit(small_arrays, image=image)
    assert {"expression", "edges", "prior", "clustering"} <= set(losses)
    assert ({"image", "alignment"} <= set(losses)) == image and "sections" not in losses
    assert all(np.isfinite(values).all() for values in losses.values()) and np.isfinite(code).all()
    assert len(losses["expression"]) == 6 and len(losses["clustering"]) == 3  # centres come in half way
    assert code.shape == (100, 20 if image else 12)  # no more than there are features


@pytest.mark.slow
def test_same_seed_same_bits_other_seed_other_bits_and_the_global_random_state_is_left_alone(small_arrays, device):
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = fit(small_arrays, device=device)[2]
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    torch.manual_seed(99)
    np.testing.assert_array_equal(fit(small_arrays, device=device)[2], first)
    assert (fit(small_arrays, random_state=1, device=device)[2] != first).any()


@pytest.mark.slow
def test_hidden_spots_are_predicted_better_than_at_the_start(small_arrays):
    # reconstruction alone, since the other losses pull the code elsewhere; the same spots are hidden in both runs
    rest = dict.fromkeys(("edges", "alignment", "prior", "clustering"), 0.0)
    config = QUICK.replace(epochs=60, losses=PublishedLosses(n_factors=4, **rest))
    still, trained = (fit(small_arrays, config.replace(learning_rate=rate))[1] for rate in (0.0, 0.01))
    for name in ("expression", "image"):
        assert np.mean(trained[name][-30:]) < 0.98 * np.mean(still[name][-30:]), name


@pytest.mark.slow
def test_the_kernels_do_not_matter(small_arrays, monkeypatch):
    pytest.importorskip("dgl")
    found = []
    for backend in ("torch", "dgl"):
        monkeypatch.setattr(settings, "graph_backend", backend)
        found.append(fit(small_arrays)[2])
    np.testing.assert_allclose(found[1], found[0], atol=1e-3)


@pytest.mark.parametrize("what", ["some alone", "all alone"])
def test_spots_without_neighbours(small_arrays, what):
    adjacency = small_arrays.adjacency.tolil()
    for spot in (0, 50) if what == "some alone" else range(100):
        adjacency[spot], adjacency[:, spot] = 0, 0
    assert np.isfinite(fit(small_arrays, adjacency=sp.csr_matrix(adjacency))[2]).all()


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def test_the_edge_loss_by_hand():
    code = torch.tensor([[1.0, 0, 0, 2], [3, 0, 0, 1], [0, 4, 0, 1]])
    edges, others = (torch.tensor([0, 1]), torch.tensor([1, 2])), (torch.tensor([0]), torch.tensor([2]))
    # inner products 5 and 1 of neighbours and 2 of others, by the root of the four columns
    expected = (softplus(-2.5) + softplus(-0.5)) / 2 + softplus(1.0)
    assert float(edge_loss(code, edges, others)) == pytest.approx(expected)


def test_the_alignment_by_hand():
    """Two spots: cosines .6 and .8 of the own image, 0 and 1 of the other's, whatever their lengths."""
    gene, image = torch.tensor([[5.0, 0], [0, 2]]), torch.tensor([[0.6, 0.8], [0, 3]])
    cosine = np.array([[0.6, 0.0], [0.8, 1.0]]) / 0.5
    rows, columns = (np.log(np.exp(cosine).sum(axis=axis)) - np.diag(cosine) for axis in (1, 0))
    expected = 0.5 * (rows.mean() + columns.mean())
    assert float(alignment_loss(gene, image, 0.5, generator())) == pytest.approx(expected, rel=1e-5)


def test_of_many_spots_512_are_aligned():
    gene = torch.zeros(2000, 2)
    gene[:, 0] = 1
    # nothing tells the spots apart, so that it is the logarithm of their number
    assert float(alignment_loss(gene, gene, 1.0, generator())) == pytest.approx(np.log(512), rel=1e-4)


def with_parameters(module: torch.nn.Module, first: float, last: float) -> torch.nn.Module:
    """Critics whose first layer gives ``first`` times the first column to one unit, and the last ``last`` times it."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.critic[0].weight[0, 0] = first
        module.critic[2].weight[-1, 0] = last
    return module


def test_the_adversary_by_hand():
    prior, code = with_parameters(AdversarialPrior(2), 1.0, 3.0), torch.tensor([[2.0, 5], [-1, 5]])
    drawn = torch.randn(2, 2, generator=generator(4))[:, 0].tolist()
    leak = [each if each > 0 else 0.2 * each for each in drawn]
    expected = np.mean([softplus(-3 * each) for each in leak]) + np.mean([softplus(6.0), softplus(-0.6)])
    assert prior(code, generator(4)).item() == pytest.approx(expected, rel=1e-5)


def test_the_critic_of_sections_by_hand():
    critic = with_parameters(SectionCritic(2, 2), 1.0, 1.0)
    code, section = torch.tensor([[2.0, 5], [0, 5], [3, 5], [-5, 5]]), torch.tensor([0, 0, 0, 1])
    of_first = np.mean([softplus(2.0), softplus(0.0), softplus(3.0)])  # the second is as likely as exp of the column
    assert critic(code, section).item() == pytest.approx((of_first + softplus(1.0)) / 2, rel=1e-5)


def test_the_critic_pulls_codes_to_the_other_section():
    critic = with_parameters(SectionCritic(2, 2), 1.0, 1.0)  # the farther right, the likelier the second section
    code = torch.tensor([[1.0, 0.0], [2.0, 0.0]], requires_grad=True)
    critic(code, torch.tensor([0, 1])).backward()
    # a step down the gradient takes the first section to the right and the second to the left: harder to tell
    assert code.grad[0, 0] < 0 < code.grad[1, 0]
    assert (code.grad[:, 1] == 0).all()


def test_the_cluster_loss_by_hand():
    loss = ClusterLoss(torch.tensor([[0.0, 0], [3, 0]]))
    code = torch.tensor([[1.0, 0], [3, 1], [0, 2]])
    squares = np.array([[1.0, 4], [10, 1], [4, 13]])
    q = 1 / (1 + squares)
    q /= q.sum(axis=1, keepdims=True)
    p = q**2 / q.sum(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    assert loss(code).item() == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-5)


def test_where_nothing_is_hidden_or_varies_the_reconstruction_is_finite():
    true = normal(4, 2)
    assert reconstruction_loss(true + 1, true, torch.zeros(4, 1), 1.0) == 0
    assert torch.isfinite(reconstruction_loss(true + 1, true, torch.ones(4, 1), 0.0))
    # the mean over hidden spots, however many they are
    assert reconstruction_loss(true + 1, true, torch.ones(4, 1), 1.0) == pytest.approx(2)


def test_a_standardised_code():
    code = standardized(torch.tensor([[1.0, 5], [3, 5], [5, 5]]))
    torch.testing.assert_close(code, torch.tensor([[-1.0, 0], [0, 0], [1, 0]]))


NAMES = ("expression", "image", "alignment", "edges", "prior", "sections", "clustering")


def an_epoch(tissue, *, with_image=True, n_sections=2, cluster=True, **weights):
    """Network and terms of one epoch, before anything is learnt."""
    torch.manual_seed(0)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 3)))[0]
    network = PublishedNetwork(axes[:12], axes[12:] if with_image else axes[:0])
    objective = Objective(network, PublishedLosses(n_factors=3, **weights), 2, n_sections)
    graph = build_graph(with_self(tissue.adjacency), backend="torch", device="cpu")
    expression, picture = (torch.as_tensor(each, dtype=torch.float32) for each in (tissue.expression, tissue.image))
    member = torch.arange(100) % n_sections
    with torch.no_grad():
        objective.place_centers(standardized(network(graph, expression, picture if with_image else None)[0]), 0)
    given = (network, graph, expression, picture if with_image else None, member, generator())
    return network, objective(*given, cluster=cluster)


def terms_of(tissue, **options) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in an_epoch(tissue, **options)[1].items()}


def test_each_loss_pulls_the_network(small_arrays):
    network, terms = an_epoch(small_arrays)
    assert set(terms) == set(NAMES)
    for name, value in terms.items():
        (pull,) = torch.autograd.grad(value, network.gene_token.weight, retain_graph=True)
        assert pull.abs().max() > 0, name


def test_each_loss_has_its_weight(small_arrays):
    single = terms_of(small_arrays, **dict.fromkeys(NAMES, 1.0))
    assert tuple(sorted(single)) == tuple(sorted(NAMES)) and all(value != 0 for value in single.values())
    for place, name in enumerate(NAMES):
        weights = dict.fromkeys(NAMES, 1.0) | {name: 2.0 + place}
        assert terms_of(small_arrays, **weights) == pytest.approx(single | {name: single[name] * (2 + place)}, rel=1e-5)


def test_losses_that_need_an_image_sections_or_centres_are_left_out_without_them(small_arrays):
    assert set(terms_of(small_arrays, with_image=False)) == set(NAMES) - {"image", "alignment"}
    assert set(terms_of(small_arrays, n_sections=1)) == set(NAMES) - {"sections"}
    assert set(terms_of(small_arrays, cluster=False)) == set(NAMES) - {"clustering"}


def test_the_share_of_hidden_spots_is_the_mask_rate(small_arrays):
    none, every = (terms_of(small_arrays, mask_rate=rate)["expression"] for rate in (1e-6, 1 - 1e-6))
    assert none == 0
    # of spots that do not show themselves nothing is told, so that all variance is left
    both = [np.square(each).sum(axis=1).mean() for each in (small_arrays.expression, small_arrays.image)]
    assert every == pytest.approx(PublishedLosses().expression * both[0] / sum(both), rel=1e-4)


def test_the_network_by_hand(small_arrays):
    """Twice the mean over a spot and its neighbours, of both modalities, added."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 3)))[0]
    network = PublishedNetwork(axes[:12], axes[12:])
    walk = small_arrays.adjacency.toarray() + np.eye(100)
    walk /= walk.sum(axis=1, keepdims=True)
    expected = walk @ walk @ (small_arrays.expression @ axes[:12] + small_arrays.image @ axes[12:])
    given = (small_arrays.expression, small_arrays.image, small_arrays.adjacency)
    np.testing.assert_allclose(read_published(network, *given, device="cpu"), expected, atol=1e-4)


def test_training_starts_at_the_axes_of_what_surrounds_the_spots(small_arrays):
    network = fit(small_arrays, QUICK.replace(epochs=0, losses=PublishedLosses(n_factors=4)))[0]
    walk = small_arrays.adjacency.toarray() + np.eye(100)
    walk /= walk.sum(axis=1, keepdims=True)
    around = walk @ walk @ np.hstack([small_arrays.expression, small_arrays.image])
    _, _, axes = np.linalg.svd(around - around.mean(axis=0))
    found = torch.cat([network.gene_token.weight, network.image_token.weight], dim=1).detach().numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(axes[:4]), atol=1e-3)
    np.testing.assert_array_equal(network.expression_decoder.weight.detach(), network.gene_token.weight.T.detach())


def test_centres_start_at_those_of_k_means():
    torch.manual_seed(0)
    network = PublishedNetwork(np.eye(2), np.zeros((0, 2)))
    objective = Objective(network, PublishedLosses(n_factors=2), 2, 1)
    objective.place_centers(torch.tensor([[0.0, 0], [0, 1], [9, 0], [9, 1]]), 0)
    centers = objective.clustering.centers.detach().numpy()
    np.testing.assert_allclose(centers[np.argsort(centers[:, 0])], [[0, 0.5], [9, 0.5]])
