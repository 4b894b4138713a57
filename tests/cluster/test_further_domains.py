"""Tissue that nobody named starts as what lies apart from the named."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.further_domains import further_domains
from multist.cluster.stroke_views import ScaledViews


def start(kind: np.ndarray, strokes: np.ndarray, n_classes: int, n_more: int, *, noise: float = 0.3, wide: bool = True):
    """(m, k) of the spots, strokes first, in a plane where each kind has a corner."""
    rng = np.random.default_rng(0)
    corner = np.array([[0.0, 0], [8, 0], [0, 8], [8, 8]])
    near = rng.normal(size=(len(kind), 3))  # by itself a spot tells nothing
    views = [[near], [corner[kind] + noise * rng.normal(size=(len(kind), 2))]] if wide else [[corner[kind] + noise]]
    free = np.setdiff1d(np.arange(len(kind)), strokes)
    belief = np.eye(n_classes + n_more)[kind[strokes]]
    rows = np.concatenate([strokes, free])
    return further_domains(ScaledViews.of(views), rows, belief, n_classes, n_more, rng), kind[rows]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(("n_classes", "n_more"), [(2, 1), (1, 1), (2, 2), (1, 3)])
def test_kinds_without_strokes_become_domains_of_their_own(n_classes, n_more, wide):
    kind = np.arange(80) % (n_classes + n_more)
    strokes = np.flatnonzero(kind < n_classes)[: 4 * n_classes]
    found, truth = start(kind, strokes, n_classes, n_more, wide=wide)
    assert found.shape == (80, n_classes + n_more) and (found.sum(axis=1) == 1).all() and found.max() == 1
    label = found.argmax(axis=1)
    assert (label[truth < n_classes] == truth[truth < n_classes]).all()
    assert len(set(zip(label.tolist(), truth.tolist(), strict=True))) == n_classes + n_more


def test_a_stroke_is_never_in_a_domain_without_a_name():
    """One spot of the unnamed kind has a stroke: it stays with a named class."""
    kind = np.arange(80) % 3
    found, truth = start(kind, np.array([0, 1, 3, 4]), 2, 1)
    assert (found[:4, 2] == 0).all() and (found[4:].argmax(axis=1) == truth[4:]).all()


def test_a_named_class_stays_near_its_strokes_where_most_of_the_tissue_lies_elsewhere():
    """Its center goes no more than half of the way, from where the tissue at 7.2 is nearer to the other center."""
    rng = np.random.default_rng(0)
    x = np.repeat([0, 4, 7.2, 9, 14], [4, 60, 6, 60, 60])
    views = ScaledViews.of([[(x + 0.05 * rng.normal(size=len(x)))[:, None]]])
    found = further_domains(views, np.arange(190), np.eye(2)[np.zeros(4, int)], 1, 1, rng).argmax(axis=1)
    assert found.tolist() == [0] * 64 + [1] * 126


def test_of_two_kinds_between_the_strokes_one_is_nobodys():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.zeros(4), np.full(4, 20.0), np.full(60, 7.0), np.full(60, 13.0)])
    views = ScaledViews.of([[(x + 0.1 * rng.normal(size=len(x)))[:, None]]])
    belief = np.eye(3)[np.repeat([0, 1], 4)]
    found = further_domains(views, np.arange(128), belief, 2, 1, rng).argmax(axis=1)
    assert found[:8].tolist() == [0] * 4 + [1] * 4
    # of the two kinds in the middle at least one is nobody's
    assert (found[8:] == 2).sum() >= 60
