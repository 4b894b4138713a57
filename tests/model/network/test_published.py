"""The published method: the critic works against the code, centres attract, and training is the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from multist._settings import settings
from multist.model.config import MultiSTConfig, PublishedLosses
from multist.model.network.published import (
    AdversarialPrior,
    ClusterLoss,
    PublishedNetwork,
    alignment_loss,
    edge_loss,
    fit_published,
    read_published,
    reconstruction_loss,
)

QUICK = MultiSTConfig.published().replace(epochs=6)


def fit(tissue, config=QUICK, *, image=True, adjacency=None, **kwargs):
    """Network, losses, and the code of what it was trained on."""
    near = tissue.adjacency if adjacency is None else adjacency
    given = (tissue.expression, tissue.image if image else None, near)
    options = {"n_domains": 3, "device": "cpu"} | kwargs
    network, losses = fit_published(*given, np.zeros(len(tissue.xy), np.int64), config, **options)
    return network, losses, read_published(network, *given, device="cpu")


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


def test_alignment_is_low_for_pairs_that_match_and_high_for_pairs_that_do_not():
    gene = normal(200, 8)
    matching = alignment_loss(gene, gene + 0.1 * normal(200, 8, seed=1), 0.1, generator())
    swapped = alignment_loss(gene, gene.roll(1, 0), 0.1, generator())
    assert matching < 1 < 4 < swapped


def test_the_edge_loss_wants_neighbours_alike_and_others_apart():
    code = torch.tensor([[2.0, 0.0], [2.0, 0.0], [-2.0, 0.0]])
    alike, apart = (torch.tensor([0]), torch.tensor([1])), (torch.tensor([0]), torch.tensor([2]))
    assert edge_loss(code, alike, apart) < edge_loss(code, apart, alike)


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
    assert ({"image", "alignment"} <= set(losses)) == image
    assert all(np.isfinite(values).all() for values in losses.values()) and np.isfinite(code).all()
    assert len(losses["expression"]) == 6 and len(losses["clustering"]) == 3  # centres come in half way
    assert code.shape == (100, 20 if image else 12)  # no more than there are features


def test_same_seed_same_bits_other_seed_other_bits_and_the_global_random_state_is_left_alone(small_arrays):
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = fit(small_arrays)[2]
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    torch.manual_seed(99)
    np.testing.assert_array_equal(fit(small_arrays)[2], first)
    assert (fit(small_arrays, random_state=1)[2] != first).any()


def test_hidden_spots_are_predicted_better_than_at_the_start(tissue_arrays):
    # reconstruction alone, since the other losses pull the code elsewhere; the same spots are hidden in both runs
    rest = dict.fromkeys(("edges", "alignment", "prior", "clustering"), 0.0)
    config = QUICK.replace(epochs=100, losses=PublishedLosses(n_factors=4, **rest))
    still, trained = (fit(tissue_arrays, config.replace(learning_rate=rate))[1] for rate in (0.0, 0.01))
    for name in ("expression", "image"):
        assert np.mean(trained[name][-30:]) < 0.99 * np.mean(still[name][-30:]), name


def test_the_centres_of_the_clustering_loss_pull_the_code_together(tissue_arrays):
    from sklearn.cluster import KMeans

    def spread(weight):
        config = QUICK.replace(epochs=120, losses=PublishedLosses(clustering=weight, n_factors=8))
        code = fit(tissue_arrays, config, n_domains=4)[2]
        code = (code - code.mean(0)) / code.std(0)
        return KMeans(4, n_init=3, random_state=0).fit(code).inertia_ / code.size

    assert spread(30.0) < 0.8 * spread(0.0)


@pytest.mark.parametrize("backend", ["dgl", "torch"])
def test_the_kernels_do_not_matter(small_arrays, monkeypatch, backend):
    if backend == "dgl":
        pytest.importorskip("dgl")
    expected = fit(small_arrays)[2]
    monkeypatch.setattr(settings, "graph_backend", backend)
    np.testing.assert_allclose(fit(small_arrays)[2], expected, atol=1e-3)


@pytest.mark.parametrize("what", ["some alone", "all alone"])
def test_spots_without_neighbours(small_arrays, what):
    adjacency = small_arrays.adjacency.tolil()
    for spot in (0, 50) if what == "some alone" else range(100):
        adjacency[spot], adjacency[:, spot] = 0, 0
    assert np.isfinite(fit(small_arrays, adjacency=sp.csr_matrix(adjacency))[2]).all()


@pytest.mark.parametrize("image", [True, False])
def test_a_network_comes_back_from_its_arrays(small_arrays, image):
    network, _, code = fit(small_arrays, image=image)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    back = PublishedNetwork.of_state(state, QUICK)
    again = read_published(
        back, small_arrays.expression, small_arrays.image if image else None, small_arrays.adjacency, device="cpu"
    )
    np.testing.assert_array_equal(again, code)
