"""One tissue at several scales of averaging: on a line of spots, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster.stroke_mixture import Discriminant
from multist.cluster.stroke_views import ScaledViews, scale_views

N = 40


@pytest.fixture(scope="module")
def chain() -> sp.csr_matrix:
    return sp.csr_matrix(sp.diags([np.full(N - 1, 3.0), np.full(N - 1, 3.0)], [-1, 1]))


def test_views_are_averages_over_more_and_more_steps(chain):
    components = np.random.default_rng(0).normal(size=(N, 2))
    groups = scale_views({"components": components, "expression": np.ones((N, 1))}, chain)
    assert [len(group) for group in groups] == [2, 2, 3]
    assert groups[0][0] is components
    walk = (chain.toarray() > 0) + np.eye(N)  # whatever edges weigh
    walk /= walk.sum(axis=1, keepdims=True)
    for view, steps in zip(groups[1] + groups[2], [2, 5, 3, 8, 12], strict=True):
        np.testing.assert_allclose(view, np.linalg.matrix_power(walk, steps) @ components, atol=1e-6)
    assert (chain.data == 3).all()


def test_an_image_is_averaged_as_far_as_the_nearest_average_of_expression(chain):
    rng = np.random.default_rng(0)
    components, image = rng.normal(size=(N, 2)), rng.normal(size=(N, 3))
    sources = {"components": components}
    without, seen = scale_views(sources, chain), scale_views(sources | {"image": image}, chain)
    *same, averaged = seen[1] + seen[2]
    for one, other in zip(without[1] + without[2], same, strict=True):
        assert (one == other).all()
    np.testing.assert_array_equal(averaged, scale_views({"components": image}, chain)[1][0])


@pytest.fixture
def views() -> ScaledViews:
    first, second, third = np.array([[0.0, 1], [4, 1]]), np.array([[1.0], [3]]), np.array([[7.0], [7]])
    return ScaledViews.of([[first, second], [third]])


def test_a_view_is_divided_by_its_most_varied_column_and_one_that_does_not_vary_is_nothing(views):
    np.testing.assert_allclose(views.points(slice(None))[:, : views.widths[0]], [[-1, 0, -1], [1, 0, 1]])
    np.testing.assert_allclose(views.points(np.array([1])), [[1, 0, 1, 0]])


@pytest.mark.parametrize("at_once", [2**16, 1])
def test_models_are_mixed_by_their_weights_and_their_scores_are_centred(views, at_once, monkeypatch):
    monkeypatch.setattr("multist._rows._ROWS_AT_ONCE", at_once)
    rng, share = np.random.default_rng(0), np.full((1, 2), 0.5)
    models = [Discriminant(rng.normal(size=(width, 2)), rng.normal(size=2), share) for width in (3, 4)]
    found, scores = views.mixed(models, np.array([0.25, 0.75]), np.zeros(2, int))
    each = [model.scores(views.points(slice(None))[:, : len(model.slope)]) for model in models]
    parts = [np.exp(score) / np.exp(score).sum(axis=1, keepdims=True) for score in each]
    np.testing.assert_allclose(found, 0.25 * parts[0] + 0.75 * parts[1], atol=1e-6)
    centred = [score - score.mean(axis=1, keepdims=True) for score in each]
    np.testing.assert_allclose(scores, 0.25 * centred[0] + 0.75 * centred[1], atol=1e-6)
