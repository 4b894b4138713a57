"""What strokes taught, applied to another section: by hand, from arrays."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster import guided_classifier as module
from multist.cluster.guided_classifier import GuidedClassifier
from multist.cluster.neighbour_walk import similar_edges, walk_to_neighbours
from multist.cluster.stroke_mixture import class_shares, softmax

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
def other() -> tuple[list[list[np.ndarray]], sp.csr_matrix, np.ndarray]:
    rng = np.random.default_rng(1)
    chain = sp.csr_matrix(sp.diags([np.ones(N - 1), np.ones(N - 1)], [-1, 1]))
    return [[rng.normal(size=(N, 1))], [rng.normal(size=(N, 1)) - 2]], chain, np.repeat([0, 1], N // 2)


@pytest.mark.parametrize("sections", [1, 2])
def test_prediction_by_hand(learnt, other, sections):
    (first, second), chain, section = other
    section = section if sections == 2 else None
    code = np.zeros(N, int) if section is None else section
    points = np.column_stack([(first[0] - 1) / 2, (second[0] + 2) / 0.5])
    probability, scores = np.zeros((N, 2)), np.zeros((N, 2))
    for width, slope, offset, weight in zip((1, 2), learnt.slopes, learnt.offsets, learnt.weights, strict=True):
        score = (points[:, :width] @ slope + offset) / 1.5
        share = np.tile(learnt.shares, (sections, 1))
        for _ in range(module._SHARE_ROUNDS):
            found = softmax(score + np.log(share)[code])
            share = class_shares(np.stack([found[code == each].sum(axis=0) for each in range(sections)]))
        probability += weight * softmax(score + np.log(share)[code])
        scores += weight * (score - score.mean(axis=1, keepdims=True))
    expected = walk_to_neighbours(probability, similar_edges(scores, chain), 2.0)
    found = learnt.predict([first, second], chain, section=section)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # products of float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_of_many_spots_some_tell_how_common_a_class_is(learnt, other, monkeypatch):
    whole = learnt.predict(other[0], other[1])
    monkeypatch.setattr(module, "_MAX_COUNTED", 10)
    some = learnt.predict(other[0], other[1])
    assert (some != whole).any()
    monkeypatch.setattr(module, "_MAX_COUNTED", N)
    np.testing.assert_array_equal(learnt.predict(other[0], other[1]), whole)


def test_other_columns_are_named(learnt, other):
    with pytest.raises(ValueError, match=r"views have \[2, 1\] columns .* learnt from \[1, 1\].* fit the model again"):
        learnt.predict([[np.zeros((N, 2))], other[0][1]], other[1])


def test_it_comes_back_from_its_arrays(learnt):
    arrays = learnt.to_arrays()
    several = {f"{name}.{group}" for name in ("centers", "scales", "slopes", "offsets") for group in (0, 1)}
    assert set(arrays) == {"weights", "shares", "strength"} | several
    back = GuidedClassifier.from_arrays(arrays)
    assert back.strength == 2.0 and all((a == b).all() for a, b in zip(back.slopes, learnt.slopes, strict=True))
    with pytest.raises(KeyError, match=r"slopes\.1"):
        GuidedClassifier.from_arrays({name: value for name, value in arrays.items() if name != "slopes.1"})
