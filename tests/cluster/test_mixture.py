"""The tied-covariance mixture against mclust's published fit of iris and against scikit-learn."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from multist.cluster import expectation, mixture
from multist.cluster.expectation import TiedMixtures, to_posteriors
from multist.cluster.mixture import fit_mixture

# R mclust 6.0.0, model EEE, three components
IRIS_LOG_LIKELIHOOD, IRIS_BIC, IRIS_PARAMETERS = -256.354742632293, -632.964732322896, 24


@pytest.fixture(scope="module")
def iris() -> np.ndarray:
    return load_iris().data


def blobs(n: int = 600, k: int = 4, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping groups that share one long covariance."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(k, size=n)
    shape = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.geomspace(0.3, 4, d)
    return 3 * rng.normal(size=(k, d))[truth] + rng.normal(size=(n, d)) @ shape.T, truth


def test_iris_as_mclust_fits_it_and_the_likelihood_is_that_of_the_parameters(iris):
    from scipy.stats import multivariate_normal

    fit = fit_mixture(iris, 3)
    assert fit.log_likelihood >= -256.3548
    assert fit.log_likelihood == pytest.approx(IRIS_LOG_LIKELIHOOD, abs=1e-2)
    assert fit.n_parameters == IRIS_PARAMETERS
    assert 2 * fit.log_likelihood - fit.n_parameters * np.log(len(iris)) == pytest.approx(IRIS_BIC, abs=2e-2)
    assert adjusted_rand_score(load_iris().target, fit.labels) > 0.9
    density = sum(
        weight * multivariate_normal(mean, fit.covariance).pdf(iris)
        for weight, mean in zip(fit.weights, fit.means, strict=True)
    )
    assert np.log(density).sum() == pytest.approx(fit.log_likelihood, abs=0.05)
    assert fit.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(fit.responsibilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(fit.labels, fit.responsibilities.argmax(axis=1))


@pytest.mark.slow
@pytest.mark.parametrize(("k", "seed"), [(2, 0), (4, 1), (7, 0)])
def test_at_least_as_likely_as_the_best_of_scikit_learn(k, seed):
    points = blobs(seed=seed)[0]
    other = max(
        (GaussianMixture(k, covariance_type="tied", random_state=s, max_iter=300).fit(points) for s in range(6)),
        key=lambda mixture: mixture.lower_bound_,
    )
    fit = fit_mixture(points, k)
    assert fit.log_likelihood >= other.score(points) * len(points) - 0.5
    if k == 4:  # the number there is; others have several equally likely answers
        assert adjusted_rand_score(other.predict(points), fit.labels) > 0.98


def test_one_component_is_one_normal(iris):
    fit = fit_mixture(iris, 1)
    np.testing.assert_allclose(fit.means[0], iris.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fit.covariance, np.cov(iris, rowvar=False, bias=True), atol=1e-5)
    assert (fit.labels == 0).all()


@pytest.mark.slow
def test_units_and_axes_do_not_matter():
    points, truth = blobs()
    change = (np.random.default_rng(5).normal(size=(5, 5)) + 2 * np.eye(5)) @ np.diag(np.geomspace(1, 5, 5))
    plain, other = fit_mixture(points, 4), fit_mixture(points @ change + 1e4, 4)
    assert adjusted_rand_score(plain.labels, other.labels) > 0.98
    jacobian = len(points) * np.linalg.slogdet(change)[1]
    assert other.log_likelihood + jacobian == pytest.approx(plain.log_likelihood, abs=0.5)
    assert adjusted_rand_score(truth, plain.labels) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-15, 1e25])
def test_points_in_any_unit_are_divided_alike(unit):
    """Starts are drawn in single precision, which holds no squares of such numbers."""
    points = blobs()[0]
    np.testing.assert_array_equal(fit_mixture(unit * points, 4).labels, fit_mixture(points, 4).labels)


@pytest.mark.slow
def test_rounds_of_splitting_and_merging_bring_seeds_to_the_same_optimum(monkeypatch):
    points = blobs(n=1500, k=9, d=6, seed=4)[0]
    best = fit_mixture(points, 9, n_starts=64).log_likelihood

    def one_start_each() -> np.ndarray:
        return np.array(
            [fit_mixture(points, 9, n_starts=1, n_searches=1, random_state=s).log_likelihood for s in range(8)]
        )

    moved = one_start_each()
    monkeypatch.setattr(mixture, "_MAX_ROUNDS", 0)
    plain = one_start_each()
    assert (moved >= plain - 0.1).all()
    assert (best - plain).max() > 5  # a single start does end elsewhere
    assert (best - moved).max() < 0.02 * len(points) and np.median(best - moved) < 1
    assert np.median(best - moved) <= np.median(best - plain)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_too_few_components_to_split_and_merge_are_left_as_they_are(k, monkeypatch):
    points = blobs(k=3)[0]
    moved = fit_mixture(points, k)
    monkeypatch.setattr(mixture, "_MAX_ROUNDS", 0)
    plain = fit_mixture(points, k)
    assert moved.log_likelihood >= plain.log_likelihood - 1e-3
    assert moved.weights.shape == (k,) and moved.weights.sum() == pytest.approx(1)
    if k < 3:
        np.testing.assert_array_equal(plain.labels, moved.labels)


@pytest.mark.slow
def test_several_cores_find_what_one_finds(monkeypatch):
    points, found = np.random.default_rng(0).normal(size=(300, 3)), []
    for n_cores in (1, 3):
        monkeypatch.setattr(mixture, "n_cores", lambda n=n_cores: n)
        found.append(fit_mixture(points, 6, n_searches=5))
    np.testing.assert_array_equal(found[0].responsibilities, found[1].responsibilities)
    assert found[0].repeated == found[1].repeated


def test_two_cores_search_at_once(monkeypatch):
    search, both_run = mixture._search, threading.Barrier(2)

    def waiting(*args):
        both_run.wait(timeout=60)
        return search(*args)

    monkeypatch.setattr(mixture, "_search", waiting)
    monkeypatch.setattr(mixture, "n_cores", lambda: 2)
    fit_mixture(blobs()[0], 4, n_searches=2)


def jacobian(points: np.ndarray) -> float:
    """What the whitening adds to the log-likelihood."""
    whiten = mixture.whitening(points)[1]
    return 0.5 * np.linalg.slogdet(whiten.T @ whiten)[1] * len(points)


@pytest.mark.parametrize(
    ("ahead", "searches", "repeated"),
    [
        ([0, 0, 0], 3, True),
        ([0, -2e-4, 2e-5], 3, True),
        ([0, 0, 1, 1.0001, 1], 5, True),
        ([0, 0, 2, 1, 3, 3], 6, True),
        ([0, 0, 1, 1, 0, 2, 2], 6, False),
    ],
)
def test_searches_follow_until_three_come_to_the_likeliest(ahead, searches, repeated, monkeypatch):
    """Per point, the likelihoods that searches come to, in turn."""
    points, done = blobs(n=100)[0], []

    def search(mixtures, starts):
        weights = np.full(starts.shape[1:], 1e-3, dtype=np.float32)
        weights[:, 0] = len(done) / 10
        done.append(starts)
        return weights, 1e4 + len(mixtures.points) * ahead[len(done) - 1]

    monkeypatch.setattr(mixture, "_search", search)
    monkeypatch.setattr(mixture, "_PATIENCE", 0)
    monkeypatch.setattr(mixture, "n_cores", lambda: 1)
    found = fit_mixture(points, 4, n_starts=5, n_searches=6)
    assert len(done) == searches and done[0].shape == (5, 4, 100)
    assert not np.array_equal(done[0], done[1])  # each from starts of its own
    assert found.responsibilities[0, 0] == pytest.approx(np.argmax(ahead[:searches]) / 10)
    assert found.log_likelihood == pytest.approx(1e4 + 100 * max(ahead[:searches]) + jacobian(points), abs=1e-6)
    assert found.repeated == repeated


@pytest.mark.slow
def test_recombining_comes_to_likelier_mixtures_on_which_seeds_agree_more(monkeypatch):
    """Smooth tissue without borders, of which a search alone finds another division with each seed."""
    fields = gaussian_filter(np.random.default_rng(0).normal(size=(30, 20, 20)), (0, 3, 3))

    def likelihoods() -> np.ndarray:
        points = fields.reshape(30, -1).T
        return np.array(
            [fit_mixture(points, 8, n_starts=4, n_searches=3, random_state=s).log_likelihood for s in range(3)]
        )

    recombined = likelihoods()
    monkeypatch.setattr(mixture, "_PATIENCE", 0)
    plain = likelihoods()
    assert (recombined >= plain).all() and (recombined - plain).mean() > 5
    assert np.ptp(recombined) < np.ptp(plain)


def test_a_child_has_each_component_from_one_parent_and_no_two_from_the_same_place():
    """The other parent has the same components in another order, but for one that is elsewhere."""
    one = np.repeat(np.eye(4, dtype=np.float32), 10, axis=1)
    other = one[[2, 0, 3, 1]].copy()
    other[:, 35:] = other[:, 5:10]
    random = np.random.RandomState(0)
    children = [mixture._child(one, other, random) for _ in range(20)]
    for child in children:
        np.testing.assert_allclose(child.sum(axis=0), 1, rtol=1e-6)
        assert (child[:, [0, 10, 20, 30]].argmax(axis=0) == np.arange(4)).all()
    moved = [child[3, 37] < 0.5 for child in children]
    assert any(moved) and not all(moved)


def test_what_all_searches_come_to_is_not_recombined(monkeypatch):
    monkeypatch.setattr(mixture, "_child", None)
    fit = fit_mixture(blobs(k=3)[0], 3, n_searches=2)
    assert fit.repeated


def test_rounds_of_few_and_equal_points():
    points = np.repeat(np.eye(4), [40, 3, 2, 1], axis=0)
    fit = fit_mixture(points, 4)
    assert np.isfinite(fit.log_likelihood) and np.isfinite(fit.responsibilities).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["column twice", "constant column", "more columns than points", "one column"])
def test_directions_without_variance_are_no_obstacle(kind):
    points, truth = blobs(d=3)
    if kind == "column twice":
        points = np.column_stack([points, points[:, 0]])
    elif kind == "constant column":
        points = np.column_stack([points, np.full(len(points), 1e3)])
    elif kind == "more columns than points":
        points, truth = points[:20] @ np.random.default_rng(0).normal(size=(3, 40)), truth[:20]
    else:
        points = truth[:, None] * 10 + points[:, :1]
    fit = fit_mixture(points, 4)
    assert np.isfinite(fit.log_likelihood) and np.isfinite(fit.responsibilities).all()
    if kind in ("column twice", "constant column"):
        assert adjusted_rand_score(fit_mixture(points[:, :3], 4).labels, fit.labels) > 0.95


@pytest.mark.slow
def test_posteriors_in_place_are_softmax_and_never_so_small_that_they_are_slow():
    logit = 200 * np.random.default_rng(0).normal(size=(3, 4, 50)).astype(np.float32)
    expected, evidence = softmax(logit, axis=1), logsumexp(logit, axis=1)
    np.testing.assert_allclose(to_posteriors(logit), evidence, rtol=1e-6)
    np.testing.assert_allclose(logit, expected, atol=1e-6)
    assert logit.min() > 1e-27


@pytest.mark.slow
def test_gains_that_are_rounding_are_not_waited_for(monkeypatch):
    rounds: list[int] = []
    monkeypatch.setattr(expectation, "to_posteriors", lambda x: rounds.append(len(x)) or to_posteriors(x))
    monkeypatch.setattr(expectation, "_BLOCK_ENTRIES", 2**30)
    fit_mixture(blobs(n=8000, k=10, d=16)[0], 10, n_searches=1)
    polished = rounds[rounds.index(2) :]  # then whatever splitting and merging runs
    assert 1 < next(i for i, size in enumerate([*polished, 0]) if size != 2) < 50


@pytest.mark.parametrize("within", [0, 1e-8, 1e-4])
def test_clumps_are_told_apart_however_tight_they_are(within):
    """Where nothing varies within, log-posteriors are so steep that single precision had merged clumps."""
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 4
    points = rng.normal(size=(4, 3))[truth] + within * rng.normal(size=(120, 3))
    assert adjusted_rand_score(truth, fit_mixture(points, 4).labels) == 1


def test_as_many_components_as_points():
    fit = fit_mixture(np.random.default_rng(0).normal(size=(6, 2)), 6)
    assert np.isfinite(fit.log_likelihood)
    assert fit.labels.shape == (6,)


@pytest.mark.slow
def test_same_seed_same_bits_and_the_global_random_state_is_left_alone():
    points, legacy = blobs()[0], np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (fit_mixture(points, 6, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first.responsibilities, again.responsibilities)
    assert first.log_likelihood == again.log_likelihood
    assert (fit_mixture(points, 6, random_state=4).responsibilities != first.responsibilities).any()
    np.testing.assert_array_equal(np.random.get_state()[1], legacy)  # noqa: NPY002


def test_the_seeds_are_the_groups_where_these_lie_far_apart():
    """Ten starts of k-means++: each spot is with the others of its group and with no other."""
    truth = np.arange(40) % 4
    x = (100.0 * np.eye(4)[truth] + np.random.default_rng(0).normal(size=(40, 4))).astype(np.float32)
    hard = mixture._seed(x, 4, 10, np.random.RandomState(0))
    assert hard.shape == (10, 4, 40) and (hard.sum(axis=1) == 1).all() and ((hard == 0) | (hard == 1)).all()
    for start in range(10):
        assert adjusted_rand_score(truth, hard[start].argmax(axis=0)) == 1


def test_the_seeds_are_where_lloyds_steps_come_to_rest():
    """Every point is with the nearest mean, once nothing moves any more; a mean without points stays where it was."""
    x = np.repeat(np.float32([[0], [1], [10], [11]]), 3, axis=0)
    hard = mixture._seed(x, 2, 20, np.random.RandomState(1))
    for start in range(20):
        label = hard[start].argmax(axis=0)
        mean = np.stack([x[label == k].mean(axis=0) for k in np.unique(label)])
        nearest = np.abs(x - mean.T).argmin(axis=1)
        assert adjusted_rand_score(label, nearest) == 1
    more = mixture._seed(x, 6, 3, np.random.RandomState(0))
    assert (more.sum(axis=1) == 1).all()


def test_whitened_points_have_the_identity_for_their_covariance():
    points = blobs(d=3)[0]
    flat = np.column_stack([points, points @ [1.0, 2, 3], np.full(len(points), 7)])
    center, whiten = mixture.whitening(flat)
    assert whiten.shape == (5, 3)
    np.testing.assert_allclose(center, flat.mean(axis=0))
    white = (flat - center) @ whiten
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(3), atol=1e-9)
    assert mixture.whitening(np.ones((4, 2)))[1].shape == (2, 0)
    # what varies by less than a billionth of the variance is rounding
    for size, kept in ((1e-4, 2), (1e-5, 1)):
        thin = np.random.default_rng(0).choice([-1.0, 1], size=(50, 2)) * [1, size]
        assert mixture.whitening(thin)[1].shape == (2, kept)


def test_what_has_not_converged_is_said_and_what_has_is_not(caplog, monkeypatch):
    points = blobs(k=6)[0]
    fit_mixture(points, 6, n_starts=2)
    assert not caplog.text
    for short in ("_FIRST_RUN", "_SECOND_RUN"):
        monkeypatch.setattr(expectation, short, 1)
    monkeypatch.setattr(mixture, "_MAX_ROUNDS", 0)
    monkeypatch.setattr(mixture, "_MAX_ITERATIONS", 1)
    fit_mixture(points, 6, n_starts=2, n_searches=1)
    assert "the mixture of 6 components has not converged after 1 iterations" in caplog.text
    assert "compare several by random_state" in caplog.text


@pytest.mark.parametrize(("d", "n", "seed"), [(1, 100, 1), (2, 100, 3), (4, 150, 0), (4, 150, 3)])
def test_components_that_are_points_but_for_rounding_have_converged(d, n, seed, caplog):
    """Their likelihood seems to gain, as it is rounded, and no point moves."""
    points = np.repeat(np.random.default_rng(seed).normal(size=(2, d)), n, axis=0)
    fit = fit_mixture(points + 1e-5 * np.random.default_rng(9).normal(size=points.shape), 2, n_starts=2)
    assert "converged" not in caplog.text
    np.testing.assert_array_equal(fit.labels, np.repeat(fit.labels[[0, n]], n))


def test_a_round_that_gains_next_to_nothing_is_the_last_and_is_not_kept(monkeypatch):
    points, tried = blobs()[0], []

    def move(mixtures, current):
        tried.append(len(tried))
        gain = (1.1 if len(tried) < 3 else 0.9) * mixture._LEAST_GAIN * len(mixtures.points)
        likelihood[0] += gain
        return current, likelihood[0]

    monkeypatch.setattr(TiedMixtures, "split_and_merge", lambda *_: None)
    plain = fit_mixture(points, 4, n_searches=1)
    likelihood = [plain.log_likelihood - jacobian(points)]
    monkeypatch.setattr(TiedMixtures, "split_and_merge", move)
    gained = fit_mixture(points, 4, n_searches=1).log_likelihood - plain.log_likelihood
    assert len(tried) == 3
    assert gained == pytest.approx(2.2 * mixture._LEAST_GAIN * len(points), rel=1e-3)
