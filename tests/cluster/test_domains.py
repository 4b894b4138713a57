"""From an embedding to exactly as many domains as asked for, whatever the embedding."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from multist.cluster import domains, sampled
from multist.cluster.domains import find_domains
from multist.cluster.mixture import fit_mixture

pytestmark = pytest.mark.usefixtures("few_starts", "one_search")

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


@pytest.mark.slow
def test_confidence_is_the_posterior_of_the_mixture(lattice, truth, embedding):
    noisy = embedding + 2 * np.random.default_rng(1).normal(size=embedding.shape)
    found = find_domains(noisy, lattice(SIDE, SIDE), 4)
    fit = fit_mixture(noisy, 4)
    assert adjusted_rand_score(fit.labels, found.labels) > 0.98
    assert np.abs(fit.responsibilities.max(axis=1) - found.confidence).mean() < 0.01
    # of what it is surer of, more is right
    names = np.array([np.bincount(truth[found.labels == k], minlength=4).argmax() for k in range(4)])
    right, sure = names[found.labels] == truth, found.confidence > np.median(found.confidence)
    assert right[sure].mean() > right[~sure].mean()


@pytest.mark.slow
@pytest.mark.parametrize("k", [4, 7])
def test_other_seeds_end_at_the_same_domains(lattice, embedding, k):
    found = [find_domains(embedding, lattice(SIDE, SIDE), k, random_state=seed).labels for seed in range(4)]
    agreement = [adjusted_rand_score(one, found[0]) for one in found[1:]]
    assert min(agreement) > (0.98 if k == 4 else 0.6)


@pytest.mark.slow
def test_refinement_takes_lone_spots_away_where_it_is_asked_for(lattice, truth, embedding):
    noisy, near = embedding + np.random.default_rng(1).normal(size=embedding.shape) * 3, lattice(SIDE, SIDE)
    refined, plain = (find_domains(noisy, near, 4, **asked) for asked in ({"refine": True}, {}))
    alone = [((near @ np.eye(4)[f.labels])[np.arange(400), f.labels] == 0).sum() for f in (refined, plain)]
    assert alone[0] < alone[1]
    assert adjusted_rand_score(truth, refined.labels) > adjusted_rand_score(truth, plain.labels)
    np.testing.assert_array_equal(refined.confidence, plain.confidence)


@pytest.mark.slow
@pytest.mark.parametrize("n_domains", [9, 400])
def test_exactly_the_number_asked_for(lattice, embedding, n_domains):
    found = find_domains(embedding, lattice(SIDE, SIDE), n_domains)
    assert len(np.unique(found.labels)) == n_domains
    assert found.labels.shape == found.confidence.shape == (400,)


@pytest.mark.parametrize("kind", ["all equal", "two values", "one column"])
def test_embeddings_that_say_little(lattice, kind):
    embedding = {
        "all equal": np.ones((400, 4)),
        "two values": np.repeat([[0.0, 1], [1, 0]], 200, axis=0),
        "one column": np.linspace(0, 1, 400)[:, None],
    }[kind]
    found = find_domains(embedding, lattice(SIDE, SIDE), 5)
    assert len(np.unique(found.labels)) == 5


def test_one_spot():
    found = find_domains(np.ones((1, 3)), sp.csr_matrix((1, 1)), 1)
    assert found.labels.tolist() == [0]


@pytest.mark.slow
def test_memory_grows_with_the_spots_not_with_all_pairs():
    n = 10_000
    points = np.random.default_rng(0).normal(size=(n, 4)) + 4 * (np.arange(n)[:, None] > n / 2)
    chain = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")
    tracemalloc.start()
    find_domains(points, chain, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n / 4  # a matrix of all pairs takes this even with two bits per pair


@pytest.mark.slow
def test_turning_the_embedding_changes_nothing(lattice, embedding):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    plain, turned = (find_domains(x, lattice(SIDE, SIDE), 4).labels for x in (embedding, embedding @ turn + 3))
    assert adjusted_rand_score(plain, turned) > 0.98


def test_domains_that_are_cut_and_not_found_are_warned_of(lattice, caplog):
    find_domains(np.repeat([[0.0, 1], [1, 0]], 200, axis=0), lattice(SIDE, SIDE), 3)
    assert "the embedding has only 2 different points, so that 3 domains are cut" in caplog.text
    assert "ask for fewer" in caplog.text
    caplog.clear()
    find_domains(np.ones((400, 2)), lattice(SIDE, SIDE), 2)
    assert "only 1 different point, so" in caplog.text
    caplog.clear()
    found = find_domains(np.ones((400, 2)), lattice(SIDE, SIDE), 1)
    assert (found.confidence == 1).all() and not found.labels.any()
    find_domains(np.repeat([[0.0, 1], [1, 0]], 200, axis=0), lattice(SIDE, SIDE), 2)
    assert "different point" not in caplog.text


def test_components_without_spots_are_warned_of(lattice, embedding, caplog, monkeypatch):
    fit = fit_mixture(embedding, 4)
    weights = np.column_stack([fit.responsibilities, np.zeros((400, 1), np.float32)])
    monkeypatch.setattr(domains, "fit_mixture", lambda *_, **__: replace(fit, responsibilities=weights))
    found = find_domains(embedding, lattice(SIDE, SIDE), 5)
    assert "only 4 of 5 domains have 5 spots or more of their own" in caplog.text
    assert len(np.unique(found.labels)) == 5
    np.testing.assert_allclose(found.confidence, fit.responsibilities.max(axis=1))


@pytest.mark.parametrize("enough", [10_000, 399])
@pytest.mark.parametrize("n_odd", [1, 2, 4])
def test_a_few_odd_spots_take_up_no_domain(n_odd, enough, lattice, embedding, truth, monkeypatch, caplog):
    """A mixture gives them a component of their own, and another domain had been cut in two for them."""
    caplog.set_level("INFO")
    for module in (domains, sampled):
        monkeypatch.setattr(module, "ENOUGH", enough)
    points = embedding.copy()
    points[:n_odd] += 60 * np.random.default_rng(1).normal(size=8)
    found = find_domains(points, lattice(SIDE, SIDE), 4)
    assert adjusted_rand_score(truth[n_odd:], found.labels[n_odd:]) > 0.95
    assert np.isfinite(found.confidence).all() and (found.confidence > 0).all()
    assert f"{n_odd} spot" in caplog.text and "too few for a domain, joined the likeliest domain" in caplog.text
    assert "cut off the widest" not in caplog.text


def test_odd_spots_hidden_by_odder_ones_are_found_as_well(lattice, caplog):
    caplog.set_level("INFO")
    points = np.random.default_rng(0).normal(size=(400, 3))
    points[200:, 0] += 8
    points[[0, 1, 2], [1, 2, 1]] += [1e6, 1e4, -200]
    found = find_domains(points, lattice(SIDE, SIDE), 2)
    assert adjusted_rand_score(np.arange(3, 400) < 200, found.labels[3:]) > 0.98
    assert "3 spots unlike all others" in caplog.text


@pytest.mark.slow
def test_where_many_are_odd_too_many_domains_were_asked_for(lattice, embedding, caplog):
    caplog.set_level("INFO")
    find_domains(embedding, lattice(SIDE, SIDE), 40)
    assert "unlike all others" not in caplog.text and "cut off the widest" in caplog.text


@pytest.mark.parametrize("structured_share", [1, 0.05])
def test_odd_spots_join_by_the_rule_of_the_mixture_and_its_prior(structured_share, lattice, embedding, monkeypatch):
    seen = []
    fit = domains.DomainClassifier.fit
    monkeypatch.setattr(domains.DomainClassifier, "fit", lambda *args: seen.append(args) or fit(*args))
    points, graph = embedding.copy(), lattice(SIDE, SIDE)
    points[7] += 500
    find_domains(points, graph, 4, structured_share=structured_share)
    ((divided, _, n_domains, prior),) = seen
    assert divided.shape == (399, 8) and n_domains == 4
    assert (prior is None) == (structured_share == 1)


def test_odd_spots_join_the_nearest_of_domains_without_any_extent(lattice):
    points = np.repeat([[0.0, 0], [1, 0], [0, 1]], [132, 133, 133], axis=0)
    points = np.concatenate([points, [[0, 30], [0, 31]]])
    found = find_domains(points, lattice(SIDE, SIDE), 3)
    assert (found.labels[-2:] == found.labels[-3]).all()
    assert len(set(found.labels[[0, 140, 300]])) == 3


def test_odd_spots_are_left_where_too_few_different_ones_remain(lattice, caplog):
    points = np.repeat([[0.0, 1], [1, 0]], 200, axis=0)
    points[:3] = [[5, 5], [5, 6], [6, 5]]
    found = find_domains(points, lattice(SIDE, SIDE), 3)
    assert sorted(set(found.labels)) == [0, 1, 2]
    assert "only 2 of 3 domains have 5 spots or more of their own" in caplog.text


@pytest.mark.parametrize("at_once", [2**16, 7])
def test_the_axes_are_the_principal_ones_with_the_largest_loading_positive(monkeypatch, at_once):
    monkeypatch.setattr("multist._rows._ROWS_AT_ONCE", at_once)
    points = np.random.default_rng(0).normal(size=(50, 3)) * [1, 3, 2] + 5
    before = points.copy()
    turned = domains._leading_first(points)
    np.testing.assert_array_equal(points, before)
    _, size, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    for column in range(3):
        axis = axes[column] * np.sign(axes[column][np.abs(axes[column]).argmax()])
        np.testing.assert_allclose(turned[:, column] * 16, (points - points.mean(axis=0)) @ axis, atol=1e-9)
    assert domains._leading_first(points[:2]).shape == (2, 2)


@pytest.mark.parametrize("scale", [1e-300, 3.7, 1e300])
def test_units_of_the_embedding_do_not_matter(lattice, embedding, scale):
    graph = lattice(SIDE, SIDE)
    expected = find_domains(embedding, graph, 4).labels
    np.testing.assert_array_equal(find_domains(embedding * scale, graph, 4).labels, expected)


@pytest.mark.slow
@pytest.mark.parametrize("enough", [10_000, 100])
@pytest.mark.parametrize("repeated", [True, False])
def test_a_division_that_no_second_search_found_is_told(repeated, enough, lattice, embedding, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(domains, "ENOUGH", enough)
    monkeypatch.setattr("multist.cluster.mixture._ENOUGH_HITS", 2)
    monkeypatch.setattr("multist.cluster.mixture._SAME", 1e9 if repeated else 0.0)
    find_domains(embedding, lattice(SIDE, SIDE), 4)
    assert ("one search alone found this likeliest division into 4 domains" in caplog.text) != repeated


def test_more_points_than_the_search_sees_are_sampled(lattice, embedding, monkeypatch):
    called, found = [], []
    sampled = domains.sampled_mixture
    monkeypatch.setattr(domains, "sampled_mixture", lambda *a, **k: called.append(k) or sampled(*a, **k))
    for enough, times in ((400, 0), (399, 1)):
        monkeypatch.setattr(domains, "ENOUGH", enough)
        found.append(find_domains(embedding, lattice(SIDE, SIDE), 4, random_state=9))
        assert len(called) == times and found[-1].confidence.dtype == np.float64
    assert called[0] == {"prior": None, "random_state": 9}
    assert adjusted_rand_score(found[0].labels, found[1].labels) > 0.99
    np.testing.assert_allclose(found[1].confidence, found[0].confidence, atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [0, 1e-15, 1e-9, 1e-3])
def test_clumps_of_points_that_are_alike_but_for_rounding(apart):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 5))[rng.integers(0, 4, 400)]
    points[:200, :2] += apart * rng.normal(size=(200, 2))
    found = find_domains(points, sp.csr_matrix((400, 400)), 6)
    assert len(np.unique(found.labels)) == 6
    assert np.isfinite(found.confidence).all()
