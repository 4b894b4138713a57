"""What strokes taught, applied to another section: by hand, from arrays."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster.guided_classifier import GuidedClassifier
from multist.cluster.neighbour_walk import similar_edges, walk_to_neighbours
from multist.cluster.stroke_mixture import softmax

N = 30


@pytest.fixture(scope="module")
def learnt() -> GuidedClassifier:
    """Two groups of one column each; two classes."""
    rng = np.random.default_rng(0)
    return GuidedClassifier(
        centers=(np.array([1.0]), np.array([-2.0])),
        scales=(np.array([2.0]), np.array([0.5])),
        slopes=(rng.normal(size=(1, 2)), rng.normal(size=(2, 2))),
        offsets=(rng.normal(size=2), rng.normal(size=2)),
        weights=np.array([0.3, 0.7]),
        shares=np.array([0.8, 0.2]),
        strength=2.0,
    )


@pytest.fixture(scope="module")
def other() -> tuple[list[list[np.ndarray]], sp.csr_matrix]:
    rng = np.random.default_rng(1)
    chain = sp.csr_matrix(sp.diags([np.ones(N - 1), np.ones(N - 1)], [-1, 1]))
    return [[rng.normal(size=(N, 1))], [rng.normal(size=(N, 1)) - 2]], chain


def test_prediction_by_hand(learnt, other):
    (first, second), chain = other
    points = np.column_stack([(first[0] - 1) / 2, (second[0] + 2) / 0.5])
    probability, scores = np.zeros((N, 2)), np.zeros((N, 2))
    for width, slope, offset, weight in zip((1, 2), learnt.slopes, learnt.offsets, learnt.weights, strict=True):
        score = (points[:, :width] @ slope + offset) / 1.5
        probability += weight * softmax(score + np.log(learnt.shares))
        scores += weight * (score - score.mean(axis=1, keepdims=True))
    expected = walk_to_neighbours(probability, similar_edges(scores, chain), 2.0)
    found = learnt.predict([first, second], chain)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # products of float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_what_a_spot_is_called_does_not_hang_on_which_others_there_are(learnt, other):
    (first, second), _ = other
    alone = sp.csr_matrix((N, N))
    whole = learnt.predict([first, second], alone)
    half = learnt.predict([[first[0][:10]], [second[0][:10]]], alone[:10, :10])
    np.testing.assert_array_equal(half, whole[:10])


def test_other_columns_are_named(learnt, other):
    with pytest.raises(ValueError, match=r"views have \[2, 1\] columns .* learnt from \[1, 1\].* fit the model again"):
        learnt.predict([[np.zeros((N, 2))], other[0][1]], other[1])


def test_it_comes_back_from_its_arrays(learnt, other):
    arrays = learnt.to_arrays()
    several = {f"{name}.{group}" for name in ("centers", "scales", "slopes", "offsets") for group in (0, 1)}
    assert set(arrays) == {"weights", "shares", "strength"} | several
    back = GuidedClassifier.from_arrays(arrays)
    np.testing.assert_array_equal(back.predict(*other), learnt.predict(*other))
    with pytest.raises(KeyError, match=r"slopes\.1"):
        GuidedClassifier.from_arrays({name: value for name, value in arrays.items() if name != "slopes.1"})
