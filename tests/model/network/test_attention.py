"""Attention learns from hidden expression which neighbours a spot is like, and nothing from an image of noise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from multist._settings import settings
from multist.model.config import MultiSTConfig
from multist.model.features.image_gain import slopes_of_neighbours, unit_variance
from multist.model.network.attention import (
    Hidden,
    ImageAttention,
    LearntAttention,
    Reach,
    attention_matrix,
    fit_attention,
)

pytestmark = pytest.mark.slow  # the first to run makes what all of them read

QUICK = MultiSTConfig(epochs=20)
A_FEW_STEPS = MultiSTConfig(epochs=4)  # where the first tells as much as the last
CPU = torch.device("cpu")


def fit(tissue, config: MultiSTConfig = QUICK, *, image: np.ndarray | None = None, **kwargs) -> LearntAttention:
    section = np.zeros(len(tissue.xy), np.int64)
    picture = tissue.image if image is None else image
    options = {"device": "cpu"} | kwargs
    return fit_attention(tissue.expression, picture, tissue.adjacency, tissue.xy, section, config, **options)


def matrix(tissue, learnt: LearntAttention, **kwargs) -> sp.csr_matrix:
    return attention_matrix(learnt.networks, tissue.expression, tissue.image, tissue.adjacency, device="cpu", **kwargs)


def within_two_steps(adjacency: sp.csr_matrix) -> np.ndarray:
    near = (adjacency.toarray() != 0).astype(int)
    return ((near + near @ near) > 0) & ~np.eye(len(near), dtype=bool)


@pytest.fixture(scope="module")
def telling(large_arrays) -> LearntAttention:
    """Of an image that shows the domains."""
    return fit(large_arrays, MultiSTConfig())


@pytest.fixture(scope="module")
def learnt(small_arrays) -> LearntAttention:
    """Of a few spots, shortly."""
    return fit(small_arrays)


def test_the_image_takes_error_away_on_tissue_that_was_held_out(telling):
    assert telling.gain > 0.03
    assert telling.losses.min() < telling.error_of_neighbours < 1
    assert len(telling.losses) == 6
    assert len(telling.networks) == len(telling.unseen) == 4
    assert sorted(np.concatenate(telling.unseen).tolist()) == list(range(45 * 45))


def test_at_borders_the_own_domain_is_listened_to_more_than_the_others(large_arrays, telling):
    """Each spot is asked by the networks that have not seen its block."""
    domain = np.unique(large_arrays.pattern, axis=0, return_inverse=True)[1].ravel()
    own = others = 0.0
    for unseen, network in zip(telling.unseen, telling.networks, strict=True):
        weight = attention_matrix(
            [network], large_arrays.expression, large_arrays.image, large_arrays.adjacency, device="cpu"
        ).toarray()
        held_out = np.isin(np.arange(len(domain)), unseen)
        near, same = large_arrays.adjacency.toarray() != 0, domain[:, None] == domain
        border = held_out & (near & same).any(axis=1) & (near & ~same).any(axis=1)
        assert border.sum() > 20
        own += sum(weight[i][near[i] & same[i]].mean() for i in np.flatnonzero(border))
        others += sum(weight[i][near[i] & ~same[i]].mean() for i in np.flatnonzero(border))
    assert own > 1.3 * others


def test_an_image_of_noise_gains_nothing(large_arrays):
    noise = np.random.default_rng(0).normal(size=large_arrays.image.shape)
    assert fit(large_arrays, image=noise).gain == 0
    assert fit(large_arrays, image=np.random.default_rng(0).permutation(large_arrays.image)).gain == 0


def test_rows_are_shares_of_those_within_two_steps_and_never_of_the_spot_itself(small_arrays, learnt):
    found = matrix(small_arrays, learnt)
    assert found.dtype == np.float32 and found.format == "csr"
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.toarray() > 0, within_two_steps(small_arrays.adjacency))


@pytest.mark.parametrize("held", [20_000, 99])
def test_who_is_how_far(small_arrays, monkeypatch, held):
    monkeypatch.setattr("multist.model.network.reach._SPOTS_HELD", held)
    rows = np.array([7, 0, 55])
    hidden = Reach(small_arrays.adjacency, CPU).of(rows)
    np.testing.assert_array_equal(hidden.spots[:3], rows)
    assert len(set(hidden.spots.tolist())) == len(hidden.spots) and hidden.n_asking == 3
    start, end = hidden.spots[hidden.graph.receiver], hidden.spots[hidden.graph.sender]
    expected = within_two_steps(small_arrays.adjacency)[rows]
    seen = np.zeros((100, 100), dtype=bool)
    seen[start, end] = True
    np.testing.assert_array_equal(seen[rows], expected)
    near = small_arrays.adjacency.toarray() != 0
    np.testing.assert_array_equal(hidden.far.numpy(), ~near[start, end])
    total = np.zeros((100, 2))
    np.add.at(total, start, hidden.ring_weight.numpy())
    np.testing.assert_allclose(total[rows], 1, atol=1e-6)


def predicted(network: ImageAttention, hidden: Hidden, genes: np.ndarray, image: np.ndarray) -> np.ndarray:
    shown = (torch.as_tensor(each[hidden.spots], dtype=torch.float32) for each in (genes, image))
    with torch.no_grad():
        return network(hidden, *shown).numpy()


def test_its_own_expression_never_reaches_a_spot_that_is_asked_for(small_arrays, learnt):
    network = learnt.networks[0]
    genes, image = unit_variance(small_arrays.expression), unit_variance(small_arrays.image)
    rows = np.array([0, 44, 99])
    hidden = Reach(small_arrays.adjacency, CPU).of(rows)
    before = predicted(network, hidden, genes, image)
    other = genes.copy()
    other[rows] = 100
    np.testing.assert_array_equal(predicted(network, hidden, other, image), before)
    # and it is a prediction: that of its neighbours does reach it, and so does its image
    other = genes.copy()
    other[small_arrays.adjacency[44].indices] += 1
    assert np.abs(predicted(network, hidden, other, image)[1] - before[1]).min() > 1e-3
    turned = image.copy()
    turned[44] *= -1
    assert (predicted(network, hidden, genes, turned)[1] != before[1]).any()


def test_training_starts_from_what_the_neighbours_tell(tissue_arrays):
    genes = unit_variance(tissue_arrays.expression).astype(np.float64)
    slopes = slopes_of_neighbours(genes, tissue_arrays.adjacency, np.arange(400))
    network = ImageAttention(slopes, tissue_arrays.image.shape[1], QUICK)
    rows = np.arange(400)
    found = predicted(network, Reach(tissue_arrays.adjacency, CPU).of(rows), genes, tissue_arrays.image)
    near = tissue_arrays.adjacency.toarray() != 0
    rings = np.stack([near, within_two_steps(tissue_arrays.adjacency) & ~near]).astype(float)
    rings /= rings.sum(axis=2, keepdims=True)
    linear = np.einsum("rij,jp,pr->ip", rings, genes, slopes)
    # the heads stand for both rings together until they have learnt better
    assert np.corrcoef(found.ravel(), linear.ravel())[0, 1] > 0.95


def test_back_ends_agree(small_arrays, learnt, monkeypatch):
    pytest.importorskip("dgl")
    found = []
    for backend in ("torch", "dgl"):
        monkeypatch.setattr(settings, "graph_backend", backend)
        found.append((matrix(small_arrays, learnt).toarray(), fit(small_arrays, MultiSTConfig(epochs=10))))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)
    np.testing.assert_allclose(found[0][1].losses, found[1][1].losses, atol=1e-5)


def test_same_seed_same_bits_and_the_global_random_states_are_left_alone(small_arrays, device):
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = fit(small_arrays, A_FEW_STEPS, random_state=3, device=device)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002
    torch.manual_seed(99)
    again, other = (fit(small_arrays, A_FEW_STEPS, random_state=seed, device=device) for seed in (3, 4))
    np.testing.assert_array_equal(first.losses, again.losses)
    assert (matrix(small_arrays, first) != matrix(small_arrays, again)).nnz == 0
    assert (matrix(small_arrays, first) != matrix(small_arrays, other)).nnz > 0


def test_blocks_of_spots_do_not_matter(small_arrays, learnt, monkeypatch):
    whole = matrix(small_arrays, learnt).toarray()
    monkeypatch.setattr("multist.model.network.attention._SPOTS_AT_ONCE", 33)
    np.testing.assert_allclose(matrix(small_arrays, learnt).toarray(), whole, atol=1e-6)


@pytest.mark.parametrize("what", ["some alone", "all alone"])
def test_spots_without_neighbours_listen_to_nobody(small_arrays, what):
    t = small_arrays
    near = t.adjacency.tolil()
    for spot in {"some alone": (0, 50), "all alone": range(100)}.get(what, ()):
        near[spot], near[:, spot] = 0, 0
    near = sp.csr_matrix(near)
    given = (t.expression, t.image, near)
    learnt = fit_attention(*given, t.xy, np.zeros(100, np.int64), A_FEW_STEPS, device="cpu")
    total = np.asarray(attention_matrix(learnt.networks, *given, device="cpu").sum(axis=1)).ravel()
    np.testing.assert_allclose(total, np.diff(near.indptr) > 0, atol=1e-5)
    if what == "all alone":
        assert learnt.gain == 0


@pytest.mark.parametrize("n", [1, 5])
def test_without_other_tissue_there_is_nothing_to_learn_from(small_arrays, n):
    t, near = small_arrays, sp.csr_matrix(np.ones((n, n)) - np.eye(n))
    given = (t.expression[:n], t.image[:n], near, np.zeros((n, 2)), np.zeros(n, np.int64))
    learnt = fit_attention(*given, QUICK, device="cpu")
    assert learnt.gain == 0 and learnt.networks == []


def test_memory_grows_with_the_spots_not_with_all_pairs():
    import tracemalloc

    def attend(n: int) -> None:
        rng = np.random.default_rng(0)
        ring = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")
        xy, section = np.column_stack([np.arange(n), np.zeros(n)]).astype(float), np.zeros(n, np.int64)
        genes, image = rng.normal(size=(n, 10)), rng.normal(size=(n, 5))
        learnt = fit_attention(genes, image, ring, xy, section, MultiSTConfig(epochs=2), device="cpu")
        attention_matrix(learnt.networks, genes, image, ring, device="cpu")

    attend(100)  # libraries that are imported on the way take memory too
    n = 12_000
    tracemalloc.start()
    attend(n)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n / 4  # a matrix of all pairs takes this even with two bits per pair


def test_a_network_learns_projections_without_offsets_and_scales_and_nothing_else():
    names = set(ImageAttention(np.zeros((5, 2)), 3, QUICK).state_dict())
    projections = {f"{name}.weight" for name in ("query", "image_key", "expression_key")}
    assert names == projections | {"by_distance", "ring_scale", "scale"}
