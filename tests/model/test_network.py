"""Everything that is trained gets a gradient, attention attends, what is hidden stays hidden, and rows do not matter."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from multist.model.config import MultiSTConfig
from multist.model.graph import build_graph
from multist.model.tokens import make_tokens
from multist.model.training import fit_embedding, initial_network

CONFIG = MultiSTConfig(n_hops=2)


def tokens(tissue, config=CONFIG, *, image=True):
    return make_tokens(tissue.expression, tissue.image if image else None, tissue.adjacency, tissue.xy, config)


def tensors(made):
    return [None if x is None else torch.as_tensor(x, dtype=torch.float32) for x in (made.expression, made.image)]


def network_of(tissue, config=CONFIG, *, image=True):
    torch.manual_seed(0)
    made = tokens(tissue, config, image=image)
    return initial_network(made, tissue.adjacency, config), build_graph(tissue.adjacency), *tensors(made)


def modes():
    for image, attention, prior, clustering in product(
        (True, False), ("neighbourhood", "self"), (0.0, 1.0), (0.0, 1.0)
    ):
        for gate, alignment in product((True, False), (0.0, 0.1)) if image else ((True, 0.1),):
            changes = {"attention": attention, "prior_loss": prior, "edge_loss": 0.01, "clustering_loss": clustering}
            changes |= {"gate": gate, "alignment_loss": alignment}
            yield pytest.param(image, changes, id="-".join(map(str, [image, *changes.values()])))
    yield pytest.param(True, {}, id="default")
    yield pytest.param(False, {}, id="default, no image")


@pytest.mark.parametrize(("image", "changes"), list(modes()))
def test_every_parameter_gets_a_gradient_and_moves(small_arrays, watched, image, changes):
    config = CONFIG.replace(epochs=4, **changes)
    fit_embedding(tokens(small_arrays, config, image=image), small_arrays.adjacency, config, n_domains=3, device="cpu")
    assert len(watched.parameters) >= 2
    for name, parameter in watched.parameters:
        assert parameter.grad is not None, f"{name} is in no loss"
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, f"{name} has a gradient of zero"
    (network,), (start,) = watched.networks, watched.starts
    for name, parameter in network.named_parameters():
        assert not torch.equal(parameter, start[name]), f"{name} stays as it began"


def test_the_image_takes_part_in_the_code_that_is_clustered(small_arrays):
    network, graph, expression, image = network_of(small_arrays)
    image = image.requires_grad_()
    network(graph, expression, image).code.square().sum().backward()
    assert (image.grad.abs().sum(1) > 0).all()


def test_queries_see_several_keys_and_weigh_them_differently(small_arrays):
    network, graph, *inputs = network_of(small_arrays)
    fused = network(graph, *inputs)
    for weight in (fused.gene_attention, fused.image_attention):
        assert weight.max() < 0.999
        total = torch.zeros(graph.n_spots, weight.shape[1]).index_add(0, graph.receiver, weight)
        np.testing.assert_allclose(total.detach(), np.ones(total.shape), atol=1e-5)
        even = 1 / graph.degree[graph.receiver].float()[:, None]
        assert (weight - even).abs().max() > 0.01


def test_queries_and_keys_are_learned(small_arrays, watched):
    config = CONFIG.replace(epochs=10)
    fit_embedding(tokens(small_arrays), small_arrays.adjacency, config, n_domains=3, device="cpu")
    (network,), (start,) = watched.networks, watched.starts
    learned = {n: p for n, p in network.named_parameters() if ".query." in n or ".key." in n}
    assert len(learned) >= 2
    assert all((p - start[n]).abs().max() > 1e-3 for n, p in learned.items())


def test_self_attention_is_one_on_the_spot_and_zero_elsewhere(small_arrays):
    network, graph, *inputs = network_of(small_arrays, CONFIG.replace(attention="self"))
    fused = network(graph, *inputs)
    own = (graph.receiver == graph.sender).float()[:, None]
    assert torch.equal(fused.gene_attention, own) and torch.equal(fused.image_attention, own)


@pytest.mark.parametrize("attention", ["neighbourhood", "self"])
@pytest.mark.parametrize("n_hops", [2, 3])
def test_what_is_hidden_cannot_be_read_off_its_own_reconstruction(small_arrays, attention, n_hops):
    network, graph, expression, image = network_of(small_arrays, CONFIG.replace(attention=attention, n_hops=n_hops))
    hidden = np.random.default_rng(0).choice(100, 30, replace=False)
    visible = torch.ones(100, 1)
    visible[hidden] = 0
    other_expression, other_image = expression.clone(), image.clone()
    other_expression[hidden] += 10
    other_image[hidden] -= 10
    one = network(graph, expression, image, visible=visible)
    other = network(graph, other_expression, other_image, visible=visible)
    for decoder in (network.expression_decoder, network.image_decoder):
        np.testing.assert_allclose(decoder(other.code).detach(), decoder(one.code).detach(), atol=1e-5)
    seen = network(graph, other_expression, other_image).code
    assert (seen - network(graph, expression, image).code)[hidden].abs().min(1).values.max() > 0.1


def test_the_order_of_the_rows_does_not_matter(large_arrays):
    network, graph, expression, image = network_of(large_arrays)
    order = np.random.default_rng(0).permutation(len(expression))
    shuffled = build_graph(large_arrays.adjacency[order][:, order])
    plain = network(graph, expression, image)
    other = network(shuffled, expression[order], image[order])
    np.testing.assert_allclose(other.code.detach(), plain.code.detach()[order], atol=1e-5)
    np.testing.assert_allclose(other.gate.detach(), plain.gate.detach()[order], atol=1e-5)


def test_a_spot_depends_on_its_surroundings_and_on_nothing_else(large_arrays):
    network, graph, expression, image = network_of(large_arrays)
    middle = 45 * 22 + 22
    other = expression.clone()
    other[middle] += 5
    changed = (network(graph, other, image).code - network(graph, expression, image).code).abs().max(1).values > 1e-6
    far = np.abs(large_arrays.xy - large_arrays.xy[middle]).sum(axis=1)
    # three steps: two of the neighbourhood, and the neighbours' keys have a neighbourhood of their own
    np.testing.assert_array_equal(far[changed.numpy()] <= 3, True)
    assert changed[far <= 1].all()


def test_no_statistics_of_a_batch_and_no_chance_in_reading_off(small_arrays):
    network, graph, *inputs = network_of(small_arrays)
    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    assert not any(isinstance(module, batch_norm | torch.nn.Dropout) for module in network.modules())
    assert not dict(network.named_buffers())
    assert torch.equal(network.train()(graph, *inputs).code, network.eval()(graph, *inputs).code)


def test_the_gate_lets_in_a_share_of_the_image(small_arrays):
    network, graph, *inputs = network_of(small_arrays)
    fused = network(graph, *inputs)
    assert fused.gate.shape == (100, 1)
    assert ((fused.gate > 0) & (fused.gate < 1)).all()
    without = network_of(small_arrays, CONFIG.replace(gate=False))[0](graph, *inputs)
    assert (without.gate == 1).all()


def test_without_an_image_nothing_of_it_is_there(small_arrays):
    network, graph, expression, _ = network_of(small_arrays, image=False)
    fused = network(graph, expression, None)
    assert fused.image is None and fused.image_part is None and fused.gate is None
    assert not any("image" in name or "gate" in name for name, _ in network.named_parameters())


@pytest.mark.parametrize("n_domains", [3, 12])
def test_there_are_as_many_centres_as_domains(small_arrays, watched, n_domains):
    config = CONFIG.replace(epochs=2, clustering_loss=1.0)
    width = fit_embedding(
        tokens(small_arrays), small_arrays.adjacency, config, n_domains=n_domains, device="cpu"
    ).code.shape[1]
    assert (n_domains, width) in {tuple(p.shape) for name, p in watched.parameters if "center" in name}


@pytest.mark.parametrize("heads", [1, 3, 64])
def test_any_number_of_heads_fits(small_arrays, heads):
    network, graph, *inputs = network_of(small_arrays, CONFIG.replace(n_heads=heads))
    assert torch.isfinite(network(graph, *inputs).code).all()
