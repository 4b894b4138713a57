"""Domains are expected to be shaped as neighbours differ, the more so the less space structures."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from multist.cluster import neighbour_prior as module
from multist.cluster import sampled
from multist.cluster.count import choose_count
from multist.cluster.domains import find_domains
from multist.cluster.mixture import fit_mixture, with_sphere
from multist.cluster.neighbour_prior import NeighbourPrior, neighbour_prior, prior_weight
from multist.cluster.sampled import Partition

pytestmark = pytest.mark.usefixtures("few_starts")

SIDE = 24


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Left and right half."""
    return (np.arange(SIDE * SIDE) % SIDE >= SIDE // 2).astype(int)


@pytest.fixture(scope="module")
def cells(truth) -> np.ndarray:
    """Two types of cells, anywhere, that differ sharply; and what tells the halves apart, which overlap."""
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=len(truth))
    return np.column_stack([4.0 * truth, 6.0 * kind, np.zeros(len(truth))]) + rng.normal(size=(len(truth), 3)) * [
        1.0,
        0.2,
        0.5,
    ]


@pytest.fixture(scope="module")
def expected(lattice, cells) -> Partition:
    """Where next to nothing is structured by space."""
    return find_domains(cells, lattice(SIDE, SIDE), 2, structured_share=0.1)


@pytest.mark.parametrize(
    ("share", "weight"), [(0.0, module._MAX_WEIGHT), (0.1, 0.8), (0.3, 0.4), (0.5, 0.0), (1.0, 0.0)]
)
def test_the_weight_is_what_noise_has_more_than_structure(share, weight):
    assert prior_weight(share) == pytest.approx(weight)


def test_types_of_single_cells_are_no_domains(lattice, truth, cells, expected):
    """The sharpest difference is between neighbours, and the likeliest mixture follows it."""
    likeliest = find_domains(cells, lattice(SIDE, SIDE), 2)
    assert adjusted_rand_score(truth, likeliest.labels) < 0.1
    assert adjusted_rand_score(truth, expected.labels) > 0.8
    assert ((expected.confidence >= 0.5) & (expected.confidence <= 1)).all()


def test_a_sample_of_many_cells_is_divided_the_same(lattice, truth, cells, expected, monkeypatch):
    monkeypatch.setattr("multist.cluster.domains.ENOUGH", 300)
    monkeypatch.setattr(sampled, "ENOUGH", 300)
    some = find_domains(cells, lattice(SIDE, SIDE), 2, structured_share=0.1)
    assert adjusted_rand_score(truth, some.labels) > 0.8
    assert adjusted_rand_score(expected.labels, some.labels) > 0.95


@pytest.mark.slow
def test_the_number_of_domains_is_chosen_with_it(lattice, truth):
    """Two types in each half are four domains, unless neighbours tell that they are two."""
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=len(truth))
    points = np.column_stack([4.0 * truth, 2.0 * kind]) + rng.normal(size=(len(truth), 2)) * [1.0, 0.5]
    chosen = [
        choose_count(points, lattice(SIDE, SIDE), [2, 3, 4], structured_share=share).chosen for share in (1.0, 0.1)
    ]
    assert chosen == [4, 2]


def test_the_covariance_is_that_of_differences_along_edges(monkeypatch):
    monkeypatch.setattr(module, "_MIN_EDGES", 2)
    points = np.array([[0.0, 0], [1, 0], [1, 3]])
    chain = sp.csr_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    prior = neighbour_prior(points, chain, 0.25)
    assert prior is not None and prior.weight == 0.5
    np.testing.assert_allclose(prior.covariance, np.diag([0.5, 4.5]))


def test_of_many_spots_some_are_looked_at(lattice, cells, monkeypatch):
    every = neighbour_prior(cells, lattice(SIDE, SIDE), 0.1)
    monkeypatch.setattr(module, "_MAX_SPOTS", 100)
    some = neighbour_prior(cells, lattice(SIDE, SIDE), 0.1)
    assert (some.covariance != every.covariance).any()
    np.testing.assert_allclose(some.covariance, every.covariance, rtol=0.3, atol=0.5)


def test_no_say_where_neighbours_do_not_differ_or_there_are_none(lattice):
    assert neighbour_prior(np.ones((9, 2)), lattice(3, 3), 0.1) is None
    assert neighbour_prior(np.eye(9), sp.csr_matrix((9, 9)), 0.1) is None
    assert neighbour_prior(np.eye(9)[:, :2], lattice(3, 3), 0.5) is None
    assert neighbour_prior(np.eye(9)[:, :4], lattice(3, 3), 0.1) is not None  # 40 edges
    assert neighbour_prior(np.eye(9)[:, :5], lattice(3, 3), 0.1) is None


@pytest.mark.slow
@pytest.mark.parametrize(("n", "distinct"), [(8, 7), (60, 4)])
def test_points_of_a_few_values_are_no_obstacle(n, distinct, lattice):
    """Components are then points, which leave nothing of a covariance."""
    points = np.random.default_rng(n).normal(size=(distinct, 2))[np.arange(n) % distinct]
    near = lattice(n // 4, 4)
    with np.errstate(all="raise", under="ignore"):
        assert choose_count(points, near, range(2, distinct + 1), structured_share=0.1).chosen >= 2
        found = find_domains(points, near, distinct, structured_share=0.1)
    assert len(np.unique(found.labels)) == distinct


@pytest.mark.slow
def test_the_units_of_an_embedding_do_not_matter(lattice, cells):
    """Nor do directions without variance, and those in which neighbours are alike do no harm."""
    smooth = np.sin(np.arange(len(cells)) / len(cells))
    points = np.column_stack([cells, np.full(len(cells), 3.0), smooth])
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(points.shape[1],) * 2))[0] * 1e-3
    one, other = (find_domains(p, lattice(SIDE, SIDE), 3, structured_share=0.2) for p in (points, points @ turn))
    assert adjusted_rand_score(one.labels, other.labels) > 0.98


def test_the_fit_holds_the_covariance_with_the_prior_and_the_likelihood_without(cells):
    """What the points have within components, and what is expected, as large as is likeliest."""
    from scipy.stats import multivariate_normal

    prior = NeighbourPrior(np.diag([1.0, 0.04, 0.25]), 0.5)
    fit = fit_mixture(cells, 2, prior=prior)
    weights = fit.responsibilities.astype(float)
    apart = cells[:, None] - fit.means
    within = np.einsum("nk,nkd,nke->de", weights, apart, apart) / len(cells)
    size = 3 / np.trace(prior.covariance @ np.linalg.inv(fit.covariance))
    np.testing.assert_allclose(fit.covariance, 0.5 * within + 0.5 * size * prior.covariance, rtol=2e-3, atol=1e-4)
    joint = [s * multivariate_normal(m, fit.covariance).pdf(cells) for s, m in zip(fit.weights, fit.means, strict=True)]
    assert fit.log_likelihood == pytest.approx(np.log(np.sum(joint, axis=0)).sum(), abs=0.5)
    assert fit.log_likelihood < fit_mixture(cells, 2).log_likelihood


def mixed_with(prior: NeighbourPrior, within: np.ndarray) -> np.ndarray:
    return with_sphere(within, prior.to_sphere(np.eye(len(within))), prior.weight)


def test_a_covariance_is_mixed_with_what_is_expected_as_large_as_is_likeliest():
    rng = np.random.default_rng(0)
    within, expected = (np.cov(rng.normal(size=(3, 20))) for _ in range(2))
    mixed = mixed_with(NeighbourPrior(expected, 0.7), within)
    size = 3 / np.trace(expected @ np.linalg.inv(mixed))
    np.testing.assert_allclose(mixed, 0.3 * within + 0.7 * size * expected, rtol=1e-5)
    np.testing.assert_allclose(mixed_with(NeighbourPrior(9 * expected, 0.7), within), mixed, rtol=1e-5)


def test_where_domains_are_points_the_expected_covariance_is_as_small():
    with np.errstate(all="raise"):
        mixed = mixed_with(NeighbourPrior(np.diag([1.0, 9.0]), 0.7), np.zeros((2, 2)))
    assert 0 < mixed[0, 0] < 1e-3 and mixed[1, 1] == pytest.approx(9 * mixed[0, 0])
