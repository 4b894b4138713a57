"""A tile holds what the network reads, so that tile by tile gives what the whole would."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import adjusted_rand_score

from multist.cluster.mixture import fit_mixture
from multist.model import batches, training
from multist.model.config import MultiSTConfig
from multist.model.graph import build_graph
from multist.model.reading import read
from multist.model.tiles import Tiler, divide_space
from multist.model.tokens import make_tokens
from multist.model.training import fit_embedding, initial_network

CPU = torch.device("cpu")
ALONE = training.Processes("cpu")


@pytest.mark.parametrize("most", [1, 7, 100, 1000])
def test_tiles_hold_every_spot_once(most):
    xy = np.random.default_rng(0).normal(size=(500, 2))
    tiles = divide_space(xy, most)
    assert sorted(np.concatenate(tiles)) == list(range(500))
    assert max(map(len, tiles)) <= most
    assert len(tiles) == -(-500 // most)  # else a step of training sees fewer spots than it could
    assert np.ptp([len(tile) for tile in tiles]) <= 1


def test_tiles_are_compact_and_spots_at_one_place_are_no_obstacle():
    xy = np.random.default_rng(0).random((4000, 2)) * [4, 1]
    wide = [np.ptp(xy[tile], axis=0) for tile in divide_space(xy, 250)]
    assert np.max(wide) < 1.1
    assert len(divide_space(np.zeros((100, 2)), 30)) == 4


@pytest.mark.parametrize("n_hops", [1, 3])
def test_the_halo_is_as_wide_as_the_network_is_deep(n_hops):
    n = 30
    chain = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")
    tiler = Tiler(chain, n_hops)
    for own in ([14, 15], [0, 29]):  # twice, since a cut must leave nothing behind
        tile = tiler.cut(np.array(own))
        assert tile.spots[: tile.n_own].tolist() == own
        distance = np.abs(tile.spots[:, None] - own).min(axis=1)
        assert distance.max() == n_hops and (np.diff(distance) >= 0).all()
        inner = distance < n_hops
        np.testing.assert_array_equal(
            tile.adjacency[inner].toarray(), chain[tile.spots][:, tile.spots][inner].toarray()
        )
        assert tile.adjacency[~inner].nnz == 0


def test_a_neighbourhood_that_is_not_mutual():
    # 0 hears 1, 1 hears 2; nobody hears 0
    adjacency = sp.csr_matrix((np.ones(2), ([0, 1], [1, 2])), shape=(4, 4))
    assert Tiler(adjacency, 2).cut(np.array([0])).spots.tolist() == [0, 1, 2]
    assert Tiler(adjacency, 2).cut(np.array([2])).spots.tolist() == [2]


@pytest.mark.parametrize("n_hops", [2, 4])
@pytest.mark.parametrize("changes", [{}, {"attention": "self"}, {"gate": False}], ids=str)
@pytest.mark.parametrize("backend", ["torch", "dgl"])
def test_tile_by_tile_is_the_whole(tissue_arrays, monkeypatch, n_hops, changes, backend):
    if backend == "dgl":
        pytest.importorskip("dgl")
    t, config = tissue_arrays, MultiSTConfig(n_hops=n_hops, **changes)
    tokens = make_tokens(t.expression, t.image, t.adjacency, t.xy, config)
    network = initial_network(tokens, t.adjacency, config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(batches.settings, "graph_backend", backend)
    whole = read(network, batches.Batches(tokens, t.adjacency, t.xy, CPU), ALONE)
    monkeypatch.setattr(batches, "FULL", 60)
    for xy in (t.xy, None):
        tiled = read(network, batches.Batches(tokens, t.adjacency, xy, CPU), ALONE)
        for name, expected in whole._asdict().items():
            torch.testing.assert_close(getattr(tiled, name), expected, atol=1e-4, rtol=0, msg=name)


def test_training_on_tiles_gives_what_training_on_the_whole_gives(large_arrays, monkeypatch):
    t, config = large_arrays, MultiSTConfig(epochs=40)
    tokens = make_tokens(t.expression, t.image, t.adjacency, t.xy, config)
    whole = fit_embedding(tokens, t.adjacency, config, n_domains=3, xy=t.xy, device="cpu")
    sizes: list[int] = []
    monkeypatch.setattr(batches, "build_graph", lambda a, **kw: sizes.append(a.shape[0]) or build_graph(a, **kw))
    monkeypatch.setattr(batches, "FULL", 500)
    tiled, again = (fit_embedding(tokens, t.adjacency, config, n_domains=3, xy=t.xy, device="cpu") for _ in range(2))
    np.testing.assert_array_equal(tiled.code, again.code)
    assert max(sizes) < 1500  # of 2025
    assert len(tiled.losses["expression"]) == 40
    assert np.mean(tiled.losses["expression"][-10:]) < tiled.losses["expression"][0]
    labels = [fit_mixture(found.code, 4).labels for found in (whole, tiled)]
    assert adjusted_rand_score(*labels) > 0.97
    assert np.corrcoef(whole.image_weight, tiled.image_weight)[0, 1] > 0.9


def test_every_spot_is_trained_on_however_many_there_are(large_arrays, monkeypatch):
    t, config = large_arrays, MultiSTConfig(n_hops=2)
    tokens = make_tokens(t.expression, t.image, t.adjacency, t.xy, config)
    monkeypatch.setattr(batches, "FULL", 200)
    source = batches.Batches(tokens, t.adjacency, t.xy, CPU)
    assert source.steps(0) == 0 and source.steps(60) == 60
    assert source.steps(5) == 11  # 2025 spots, 200 at a time
    drawn = list(source.for_training(source.steps(5), 0, 1, np.random.default_rng(0)))
    assert set(np.concatenate([batch.rows for batch in drawn])) == set(range(2025))
    shares = [list(source.for_training(3, rank, 2, np.random.default_rng(0))) for rank in (0, 1)]
    for one, other, both in zip(*shares, drawn, strict=False):
        assert not set(one.rows) & set(other.rows)
        assert set(one.rows) | set(other.rows) == set(both.rows)


@pytest.mark.parametrize("image", [True, False])
def test_all_losses_work_on_tiles(tissue_arrays, monkeypatch, image):
    t, config = tissue_arrays, MultiSTConfig.published().replace(epochs=4)
    tokens = make_tokens(t.expression, t.image if image else None, t.adjacency, t.xy, config)
    monkeypatch.setattr(batches, "FULL", 120)
    found = fit_embedding(tokens, t.adjacency, config, n_domains=3, xy=t.xy, device="cpu")
    assert {"prior", "clustering", "edges", "expression"} <= set(found.losses)
    assert np.isfinite(found.code).all()
