"""Training: the same bits each time, nobody else's chance disturbed, errors that fall, every mode."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from multist._settings import settings
from multist.model.config import MultiSTConfig
from multist.model.tokens import make_tokens
from multist.model.training import fit_embedding

QUICK = MultiSTConfig(epochs=6)


def fit(tissue, config=QUICK, *, image=True, **kwargs):
    made = make_tokens(tissue.expression, tissue.image if image else None, tissue.adjacency, tissue.xy, config)
    return fit_embedding(made, tissue.adjacency, config, **{"n_domains": 3, "device": "cpu"} | kwargs)


def test_shapes_and_what_is_recorded(small_arrays):
    found = fit(small_arrays)
    assert found.code.dtype == np.float32 and len(found.code) == 100
    assert found.code.shape[1] <= QUICK.n_factors
    assert found.image_weight.shape == (100,)
    assert ((found.image_weight >= 0) & (found.image_weight <= 1)).all()
    assert {"expression", "image"} == set(found.losses)
    assert all(len(values) == 6 and np.isfinite(values).all() for values in found.losses.values())
    assert np.isfinite(found.code).all()


@pytest.mark.parametrize(
    "changes", [{}, {"prior_loss": 0.01, "clustering_loss": 1.0}], ids=["plain", "adversarial and clustering"]
)
def test_same_seed_same_bits_other_seed_other_bits(small_arrays, changes):
    config = QUICK.replace(**changes)
    first = fit(small_arrays, config)
    torch.manual_seed(99)
    again = fit(small_arrays, config)
    np.testing.assert_array_equal(first.code, again.code)
    np.testing.assert_array_equal(first.image_weight, again.image_weight)
    assert first.losses == again.losses
    assert (fit(small_arrays, config, random_state=1).code != first.code).any()


def test_the_global_random_states_are_left_alone(small_arrays):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    fit(small_arrays, QUICK.replace(prior_loss=0.01, clustering_loss=1.0))
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


PROCESS = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from conftest import make_tissue, settings
from multist.model.config import MultiSTConfig
from multist.model.tokens import make_tokens
from multist.model.training import fit_embedding
settings.progress = False
t, config = make_tissue(10), MultiSTConfig(epochs=6)
found = fit_embedding(make_tokens(t.expression, t.image, t.adjacency, t.xy, config), t.adjacency, config,
                      n_domains=3, device="cpu")
print(hashlib.sha256(found.code.tobytes() + found.image_weight.tobytes()).hexdigest())
"""


def test_two_processes_give_the_same_bits(small_arrays):
    code = PROCESS.format(folder=str(Path(__file__).parent))
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    digests = {run.communicate(timeout=120)[0].strip() for run in runs}
    found = fit(small_arrays)
    assert digests == {hashlib.sha256(found.code.tobytes() + found.image_weight.tobytes()).hexdigest()}


def test_hidden_spots_are_predicted_better_and_better(tissue_arrays):
    # from a start that is not yet good: too few components of what is there
    losses = fit(tissue_arrays, MultiSTConfig(epochs=80, learning_rate=0.01)).losses
    for name in ("expression", "image"):
        assert np.mean(losses[name][-10:]) < 0.97 * np.mean(losses[name][:5]), name
    assert np.mean(losses["expression"][-10:]) > 0


def test_the_centres_of_the_clustering_loss_pull_the_code_together(tissue_arrays):
    def spread(found):
        from sklearn.cluster import KMeans

        code = (found.code - found.code.mean(0)) / found.code.std(0)
        return KMeans(4, n_init=3, random_state=0).fit(code).inertia_ / code.size

    config = QUICK.replace(epochs=60, learning_rate=0.01)
    plain, pulled = (fit(tissue_arrays, config.replace(clustering_loss=w), n_domains=4) for w in (0.0, 10.0))
    assert spread(pulled) < 0.8 * spread(plain)
    assert "clustering" not in plain.losses and len(pulled.losses["clustering"]) == 30


def test_without_image(small_arrays):
    found = fit(small_arrays, image=False)
    assert (found.image_weight == 0).all()
    assert not {"image", "alignment"} & set(found.losses)
    assert np.isfinite(found.code).all()


def test_the_image_brings_in_what_expression_does_not_show(tissue_arrays):
    with_image, without = fit(tissue_arrays), fit(tissue_arrays, image=False)
    assert with_image.image_weight.mean() > 0.1
    assert with_image.code.shape != without.code.shape or (with_image.code != without.code).any()


def test_an_image_that_shows_nothing_has_next_to_no_weight(large_arrays):
    noise = np.random.default_rng(0).normal(size=large_arrays.image.shape)
    config = QUICK.replace(epochs=3)
    made = make_tokens(large_arrays.expression, noise, large_arrays.adjacency, large_arrays.xy, config)
    found = fit_embedding(made, large_arrays.adjacency, config, n_domains=3, device="cpu")
    assert found.image_weight.mean() < 0.02


@pytest.mark.parametrize("image", [True, False])
def test_the_published_modes_run(small_arrays, image):
    found = fit(small_arrays, MultiSTConfig.published().replace(epochs=4), image=image)
    assert np.isfinite(found.code).all()
    assert {"prior", "clustering", "edges", "expression"} <= set(found.losses)


def test_no_epochs_read_off_the_start(small_arrays):
    found = fit(small_arrays, QUICK.replace(epochs=0))
    assert np.isfinite(found.code).all() and found.losses == {}


@pytest.mark.parametrize("backend", ["dgl", "torch"])
def test_the_kernels_do_not_matter(small_arrays, monkeypatch, backend):
    if backend == "dgl":
        pytest.importorskip("dgl")
    expected = fit(small_arrays).code
    monkeypatch.setattr(settings, "graph_backend", backend)
    np.testing.assert_allclose(fit(small_arrays).code, expected, atol=1e-4)


def test_spots_without_neighbours(small_arrays):
    adjacency = small_arrays.adjacency.tolil()
    for spot in (0, 50):
        adjacency[spot], adjacency[:, spot] = 0, 0
    adjacency = sp.csr_matrix(adjacency)
    for given in (adjacency, sp.csr_matrix(adjacency.shape)):
        made = make_tokens(small_arrays.expression, small_arrays.image, given, small_arrays.xy, QUICK)
        assert np.isfinite(fit_embedding(made, given, QUICK, n_domains=3, device="cpu").code).all()


def test_memory_grows_with_the_spots_not_with_all_pairs():
    n = 12_000
    rng = np.random.default_rng(0)
    ring = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")
    xy, config = np.column_stack([np.arange(n), np.zeros(n)]).astype(float), MultiSTConfig(epochs=2, n_hops=2)
    tracemalloc.start()
    made = make_tokens(rng.normal(size=(n, 10)), rng.normal(size=(n, 5)), ring, xy, config)
    fit_embedding(made, ring, config, n_domains=3, device="cpu")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n / 4  # a matrix of all pairs takes this even with two bits per pair
