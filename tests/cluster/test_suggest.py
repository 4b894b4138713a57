"""Where one more stroke would tell most."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.cluster import suggest as module
from multist.cluster.suggest import suggest

SIDE = 20


@pytest.fixture(scope="module")
def square(lattice):
    """A lattice, and an embedding in which alike spots are those that lie together."""
    y, x = np.divmod(np.arange(SIDE * SIDE), SIDE)
    return lattice(SIDE, SIDE), np.column_stack([x, y]).astype(float)


def doubt(where):
    return np.column_stack([np.where(where, 0.5, 1.0), np.where(where, 0.5, 0.0)])


def test_a_large_doubtful_region_comes_before_a_lone_spot(square):
    adjacency, embedding = square
    where = (embedding[:, 0] < 8) & (embedding[:, 1] < 8)
    where[-1] = True
    first = suggest(embedding, doubt(where), adjacency, np.full(len(where), -1), 3)
    assert (embedding[first[0]] < 10).all()


def test_suggestions_differ_from_each_other_and_from_strokes(square):
    adjacency, embedding = square
    labels = np.full(len(embedding), -1)
    labels[(embedding[:, 0] < 3) & (embedding[:, 1] < 3)] = 0
    rows = suggest(embedding, doubt(np.ones(len(embedding), dtype=bool)), adjacency, labels, 4)
    assert len(set(rows.tolist())) == 4
    between = np.linalg.norm(embedding[rows, None] - embedding[rows], axis=2)[np.triu_indices(4, 1)]
    assert between.min() > 4
    assert np.linalg.norm(embedding[rows], axis=1).min() > 5


def test_tissue_that_looks_like_what_has_a_stroke_is_not_suggested_wherever_it_lies(square):
    adjacency, place = square
    stripe = (place[:, 0] // 5 % 2).astype(int)  # two kinds of tissue, each in two stripes
    embedding = np.column_stack([stripe * 10.0, np.zeros(len(stripe))])
    embedding += np.random.default_rng(0).normal(scale=0.1, size=embedding.shape)
    labels = np.full(len(stripe), -1)
    labels[np.flatnonzero(stripe == 0)[:40]] = 0
    rows = suggest(embedding, doubt(np.ones(len(stripe), dtype=bool)), adjacency, labels, 1)
    assert stripe[rows] == 1


def test_spots_that_lie_together_are_not_suggested_together(square):
    adjacency, place = square
    embedding = np.random.default_rng(0).normal(size=(len(place), 2))
    embedding[(place < 4).all(axis=1)] += 100 * place[(place < 4).all(axis=1)]  # where each spot is like no other
    rows = suggest(embedding, doubt((place < 4).all(axis=1)), adjacency, np.full(len(place), -1), 6)
    steps = np.abs(place[rows, None] - place[rows]).sum(axis=2)[np.triu_indices(6, 1)]
    assert steps.min() > 2


def test_a_stroke_is_never_suggested_and_all_others_may_be(square):
    adjacency, embedding = square
    labels = np.zeros(len(embedding), dtype=int)
    labels[[3, 77, 200]] = -1
    for code in (embedding, np.zeros_like(embedding)):  # also where nothing differs
        rows = suggest(code, doubt(np.zeros(len(code), dtype=bool)), adjacency, labels, 10)
        assert sorted(rows.tolist()) == [3, 77, 200]


def test_of_more_spots_than_are_looked_at_as_good_ones_are_found(square, monkeypatch):
    adjacency, embedding = square
    where = embedding[:, 0] < 10
    everything = np.full(len(where), -1)
    monkeypatch.setattr(module, "_MOST", 100)
    rows = suggest(embedding, doubt(where), adjacency, everything, 4)
    assert len(set(rows.tolist())) == 4
    assert (embedding[rows, 0] < 10).sum() >= 2
    assert len(set(suggest(embedding, doubt(where), adjacency, everything, 150).tolist())) == 150


def test_of_a_single_spot_this_one_is_suggested():
    assert suggest(np.ones((1, 2)), np.array([[0.3, 0.7]]), sp.csr_matrix((1, 1)), np.array([-1]), 3).tolist() == [0]


def test_doubt_is_the_entropy_around_a_spot_with_a_floor():
    chain = sp.csr_matrix(np.diag([5.0, 5], 1) + np.diag([5.0, 5], -1))
    probability = np.array([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]])
    last = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    around = np.array([np.log(2) / 2, (np.log(2) + last) / 3, last / 2])
    np.testing.assert_allclose(module._doubt(probability, chain), around + module._LEAST_DOUBT * around.mean())
    assert (module._doubt(np.eye(3), chain) == 1e-9).all()


def test_the_width_is_the_distance_within_which_a_spot_has_its_part_of_the_others():
    line = np.arange(12.0)[:, None]
    # of twelve in four parts, three: a spot and two others, the second of which is one step away, or two at the ends
    assert module._width(line, 4) == 1
    assert module._width(line, 2) == 3  # six: three steps to the farther side, or up to five at the ends
    assert module._width(line, 100) == 1  # at least one other
    assert module._width(np.zeros((5, 2)), 2) == 1e-12


def test_the_first_suggestions_by_hand():
    """Five spots on a line: a doubtful pair comes first, then what it does not speak for."""
    embedding = np.array([[0.0], [1.0], [1.2], [5.0], [9.0]])
    probability = np.array([[1.0, 0], [0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [0.7, 0.3]])
    nobody = sp.csr_matrix((5, 5))
    labels = np.array([0, -1, -1, -1, -1])
    doubt, width = module._doubt(probability, nobody), module._width(embedding, 1 + 3)
    alike = np.exp(-0.5 * ((embedding - embedding.T) / width) ** 2)
    spoken, expected = alike[:, 0], []
    for _ in range(3):
        gain = doubt[1:] @ np.maximum(alike - spoken[:, None], 0)[1:]
        gain[[0, *expected]] = -1
        expected.append(int(gain.argmax()))
        spoken = np.maximum(spoken, alike[:, expected[-1]])
    assert suggest(embedding, probability, nobody, labels, 3).tolist() == expected
