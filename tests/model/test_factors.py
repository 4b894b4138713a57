"""Factors follow what neighbours share; noise, however loud, is none."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.factors import neighbourhood_mean, smooth, spatial_factors

HOPS = [1, 2, 4]


def explained(target: np.ndarray, scores: np.ndarray) -> float:
    """Share of the target's variance that a linear map of the scores gives."""
    scores = np.column_stack([scores, np.ones(len(scores))])
    residual = target - scores @ np.linalg.lstsq(scores, target, rcond=None)[0]
    return 1 - residual.var(axis=0).sum() / target.var(axis=0).sum()


def centred(features: np.ndarray) -> np.ndarray:
    return features - features.mean(axis=0)


@pytest.mark.parametrize("n_hops", HOPS)
def test_noise_gets_no_factor_however_large_its_variance(tissue_arrays, n_hops):
    rng, n = np.random.default_rng(1), len(tissue_arrays.xy)
    quiet = tissue_arrays.pattern + 0.3 * rng.normal(size=(n, 3))
    features = centred(np.hstack([quiet, 10 * rng.normal(size=(n, 5))]))
    loadings = spatial_factors(features, tissue_arrays.adjacency, 3, n_hops=n_hops).loadings
    assert 2 <= loadings.shape[1] <= 3  # three layers differ along two axes
    scores = smooth(features @ loadings, tissue_arrays.adjacency, 2)
    assert explained(tissue_arrays.pattern, scores) > 0.75
    # principal components of the same width see the noise only
    axes = np.linalg.svd(features, full_matrices=False)[2][:3].T
    assert explained(tissue_arrays.pattern, smooth(features @ axes, tissue_arrays.adjacency, 2)) < 0.3


def test_factors_come_from_the_most_to_the_least_predictable(tissue_arrays):
    found = spatial_factors(centred(tissue_arrays.expression), tissue_arrays.adjacency, 6)
    assert (np.diff(found.predictability) <= 0).all()
    assert 0 <= found.predictability[-1] < found.predictability[0] <= 1


@pytest.mark.parametrize("n_hops", HOPS)
def test_noise_alone_is_hardly_predictable(large_arrays, n_hops):
    noise = np.random.default_rng(0).normal(size=(len(large_arrays.xy), 6))
    found = spatial_factors(centred(noise), large_arrays.adjacency, 6, n_hops=n_hops)
    assert found.predictability.max() < 0.1
    patterned = spatial_factors(centred(large_arrays.expression), large_arrays.adjacency, 6, n_hops=n_hops)
    assert patterned.predictability.max() > 0.4


@pytest.mark.parametrize("n_hops", HOPS)
def test_a_pattern_of_shuffled_spots_is_lost(large_arrays, n_hops):
    order = np.random.default_rng(0).permutation(len(large_arrays.xy))
    shuffled = spatial_factors(centred(large_arrays.expression[order]), large_arrays.adjacency, 3, n_hops=n_hops)
    assert shuffled.predictability.max() < 0.1


def test_a_rotation_of_the_features_changes_nothing(tissue_arrays):
    features = centred(tissue_arrays.expression)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]
    plain = features @ spatial_factors(features, tissue_arrays.adjacency, 3).loadings
    turned = features @ turn @ spatial_factors(features @ turn, tissue_arrays.adjacency, 3).loadings
    assert explained(plain, turned) > 1 - 1e-6


def test_constant_columns_change_little_and_stay_finite(tissue_arrays):
    features = centred(tissue_arrays.expression)
    wider = np.hstack([features, np.zeros((len(features), 4))])
    plain = features @ spatial_factors(features, tissue_arrays.adjacency, 3).loadings
    with_constant = wider @ spatial_factors(wider, tissue_arrays.adjacency, 3).loadings
    assert explained(plain, with_constant) > 0.999
    nothing = spatial_factors(np.zeros((len(features), 4)), tissue_arrays.adjacency, 3)
    assert np.isfinite(nothing.loadings).all()


@pytest.mark.parametrize("n_factors", [1, 50])
def test_no_more_factors_than_asked_for_or_than_there_can_be(tissue_arrays, n_factors):
    found = spatial_factors(centred(tissue_arrays.expression), tissue_arrays.adjacency, n_factors)
    assert 1 <= found.loadings.shape[1] <= min(n_factors, 12)


def test_neighbourhood_means_by_hand():
    chain = sp.csr_matrix(np.array([[0, 2, 0, 0], [2, 0, 0.5, 0], [0, 0.5, 0, 0], [0, 0, 0, 0]]))
    x = np.array([[1.0], [2.0], [6.0], [8.0]])
    np.testing.assert_allclose((neighbourhood_mean(chain, with_self=False) @ x).ravel(), [2, 3.5, 2, 8])
    np.testing.assert_allclose((neighbourhood_mean(chain, with_self=True) @ x).ravel(), [1.5, 3, 4, 8])
    np.testing.assert_allclose(smooth(x, chain, 2).ravel(), [2.25, 8.5 / 3, 3.5, 8])
    np.testing.assert_array_equal(smooth(x, chain, 0), x)


def test_spots_without_neighbours_are_no_obstacle(tissue_arrays):
    nowhere = sp.csr_matrix(tissue_arrays.adjacency.shape)
    assert np.isfinite(spatial_factors(centred(tissue_arrays.expression), nowhere, 3).loadings).all()
