"""Domains that are known are recognised in points that were not there when they were found."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from multist.cluster.assign import DomainClassifier
from multist.cluster.mixture import fit_mixture
from multist.cluster.neighbour_prior import NeighbourPrior


@pytest.fixture
def clouds():
    """Three Gaussians of unlike size that share a covariance: ``draw(n)`` gives points and labels."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(3, 4)) * 2
    root = rng.normal(size=(4, 4))

    def draw(n):
        labels = rng.choice(3, n, p=[0.7, 0.2, 0.1])
        return mean[labels] + rng.normal(size=(n, 4)) @ root, labels

    return draw


def named(classifier, points):
    probability = classifier.predict(points)
    return probability.argmax(axis=1), probability.max(axis=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equals_the_discriminant_of_scikit_learn(clouds, dtype):
    (points, labels), (new, _) = clouds(500), clouds(300)
    known = LinearDiscriminantAnalysis(solver="lsqr").fit(points, labels)
    found, probability = named(DomainClassifier.fit(points.astype(dtype), labels, 3), new.astype(dtype))
    np.testing.assert_array_equal(found, known.predict(new))
    # scikit-learn divides the covariance by n as well
    np.testing.assert_allclose(probability, known.predict_proba(new).max(axis=1), atol=1e-3)


def test_one_domain_is_certain():
    points = np.random.default_rng(0).normal(size=(20, 3))
    found, probability = named(DomainClassifier.fit(points, np.zeros(20, int), 1), points)
    assert not found.any() and (probability == 1).all()


@pytest.mark.parametrize("width", [1, 30])
def test_directions_without_variance_and_domains_of_a_single_point(width):
    points = np.zeros((4, width))
    points[:, 0] = [0, 1, 2, 3]
    found, probability = named(DomainClassifier.fit(points, np.arange(4), 4), points)
    assert found.tolist() == [0, 1, 2, 3] and np.isfinite(probability).all()
    found, probability = named(DomainClassifier.fit(points, np.array([0, 0, 1, 1]), 2), 1e3 * points)
    assert np.isfinite(probability).all() and found[3] == 1


def test_a_prior_counts_as_in_the_mixture_in_dimensions_of_little_variance_too():
    """Neighbours differ there by little beside other dimensions, and yet as much as is expected."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=400)
    points = np.column_stack([3.0 * labels, 2.0 * labels, np.zeros(400)]) + rng.normal(size=(400, 3))
    prior = NeighbourPrior(np.diag([1.0, 4.0, 0.25]), 0.8)
    units = np.array([1.0, 5e-3, 1e-2])
    in_units = NeighbourPrior(prior.covariance * np.outer(units, units), 0.8)
    found, expected = (
        DomainClassifier.fit(p, labels, 2, w).predict(p) for p, w in ((points * units, in_units), (points, prior))
    )
    fit = fit_mixture(points, 2, prior=prior)
    again = DomainClassifier.fit(points, fit.labels, 2, prior).predict(points).argmax(axis=1)
    assert (again == fit.labels).mean() > 0.98
    assert np.abs(found - expected).max() < 0.05


@pytest.mark.parametrize("weight", [None, 0.9])
def test_points_get_the_probability_that_the_mixture_gave_them(weight):
    rng = np.random.default_rng(0)
    points = 4 * rng.normal(size=(4, 8))[np.arange(400) % 4] + rng.normal(size=(400, 8)) * np.linspace(2, 0.5, 8)
    prior = None if weight is None else NeighbourPrior(np.eye(8), weight)
    fit = fit_mixture(points, 4, prior=prior)
    found, probability = named(DomainClassifier.fit(points, fit.labels, 4, prior), points)
    assert (found == fit.labels).mean() > 0.99
    np.testing.assert_allclose(probability, fit.responsibilities.max(axis=1), atol=0.05)
