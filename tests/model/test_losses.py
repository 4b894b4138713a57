"""The critic works against the code, the centres are pulled to."""

from __future__ import annotations

import pytest
import torch

from multist.model.losses import AdversarialPrior, ClusterLoss, alignment_loss, edge_loss


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
