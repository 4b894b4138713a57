"""From an embedding to exactly as many domains as asked for, whatever the embedding."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import adjusted_rand_score

from multist.cluster.domains import find_domains
from multist.cluster.mixture import fit_mixture

SIDE = 20


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    y, x = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return np.where(np.hypot(x - 13, y - 6) < 4, 3, np.digitize(y, [7, 13]))


@pytest.fixture(scope="module")
def embedding(truth) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 4 * rng.normal(size=(4, 8))[truth] + rng.normal(size=(SIDE * SIDE, 8)) * np.linspace(2, 0.5, 8)


def test_domains_are_found(lattice, truth, embedding):
    found = find_domains(embedding, lattice(SIDE, SIDE), 4)
    assert adjusted_rand_score(truth, found.labels) > 0.95
    sizes = np.bincount(found.labels)
    assert len(sizes) == 4 and (np.diff(sizes) <= 0).all()
    assert ((found.confidence >= 1 / 4) & (found.confidence <= 1)).all()
    assert found.confidence.dtype == np.float64


def test_confidence_is_the_posterior_of_the_mixture(lattice, truth, embedding):
    noisy = embedding + 2 * np.random.default_rng(1).normal(size=embedding.shape)
    found = find_domains(noisy, lattice(SIDE, SIDE), 4)
    fit = fit_mixture(noisy, 4, n_rounds=3)
    assert adjusted_rand_score(fit.labels, found.labels) > 0.98
    assert np.abs(fit.responsibilities.max(axis=1) - found.confidence).mean() < 0.01
    # of what it is surer of, more is right
    names = np.array([np.bincount(truth[found.labels == k], minlength=4).argmax() for k in range(4)])
    right, sure = names[found.labels] == truth, found.confidence > np.median(found.confidence)
    assert right[sure].mean() > right[~sure].mean()


def test_lone_spots_stay_unless_asked_for(lattice, embedding):
    plain, asked = (find_domains(embedding, lattice(SIDE, SIDE), 4, **o) for o in ({}, {"refine": False}))
    np.testing.assert_array_equal(plain.labels, asked.labels)
    refined = find_domains(embedding, lattice(SIDE, SIDE), 4, refine=True)
    np.testing.assert_array_equal(refined.confidence, plain.confidence)


@pytest.mark.parametrize("k", [4, 7])
def test_other_seeds_end_at_the_same_domains(lattice, embedding, k):
    found = [find_domains(embedding, lattice(SIDE, SIDE), k, random_state=seed).labels for seed in range(4)]
    agreement = [adjusted_rand_score(one, found[0]) for one in found[1:]]
    assert min(agreement) > (0.98 if k == 4 else 0.6)


def test_refinement_takes_lone_spots_away(lattice, truth, embedding):
    noisy = embedding + np.random.default_rng(1).normal(size=embedding.shape) * 3
    refined, plain = (find_domains(noisy, lattice(SIDE, SIDE), 4, refine=refine).labels for refine in (True, False))
    near = lattice(SIDE, SIDE)
    alone = [((near @ np.eye(4)[labels])[np.arange(400), labels] == 0).sum() for labels in (refined, plain)]
    assert alone[0] < alone[1]
    assert adjusted_rand_score(truth, refined) > adjusted_rand_score(truth, plain)


@pytest.mark.parametrize("n_domains", [1, 2, 9, 40, 200, 400])
def test_exactly_the_number_asked_for(lattice, embedding, n_domains):
    found = find_domains(embedding, lattice(SIDE, SIDE), n_domains, n_starts=2)
    assert len(np.unique(found.labels)) == n_domains
    assert found.labels.shape == found.confidence.shape == (400,)


@pytest.mark.parametrize("kind", ["all equal", "two values", "one column"])
def test_embeddings_that_say_little(lattice, kind):
    embedding = {
        "all equal": np.ones((400, 4)),
        "two values": np.repeat([[0.0, 1], [1, 0]], 200, axis=0),
        "one column": np.linspace(0, 1, 400)[:, None],
    }[kind]
    found = find_domains(embedding, lattice(SIDE, SIDE), 5, n_starts=4)
    assert len(np.unique(found.labels)) == 5


def test_one_spot():
    found = find_domains(np.ones((1, 3)), sp.csr_matrix((1, 1)), 1)
    assert found.labels.tolist() == [0]


def test_memory_grows_with_the_spots_not_with_all_pairs():
    n = 10_000
    points = np.random.default_rng(0).normal(size=(n, 4)) + 4 * (np.arange(n)[:, None] > n / 2)
    chain = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")
    tracemalloc.start()
    find_domains(points, chain, 3, n_starts=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n / 4  # a matrix of all pairs takes this even with two bits per pair


def test_turning_the_embedding_changes_nothing(lattice, embedding):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    plain, turned = (find_domains(x, lattice(SIDE, SIDE), 4).labels for x in (embedding, embedding @ turn + 3))
    assert adjusted_rand_score(plain, turned) > 0.98


def test_same_seed_same_bits_and_the_global_random_state_is_left_alone(lattice, embedding):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (find_domains(embedding, lattice(SIDE, SIDE), 7, random_state=2) for _ in range(2))
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.confidence, again.confidence)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
