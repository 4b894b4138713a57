"""Held-out comparison of the two sides of a border."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from multist.tl.borders._sharpness import Border, Tissue, blocks, held_out_auc


def strip(turn: float, *, length: int = 64) -> np.ndarray:
    """Four rows of spots along a border that is turned by an angle.

    The border runs between the second and the third.
    """
    x, y = np.meshgrid(np.arange(length, dtype=float), np.arange(4.0))
    cos, sin = np.cos(turn), np.sin(turn)
    return np.column_stack([cos * x.ravel() - sin * y.ravel(), sin * x.ravel() + cos * y.ravel(), 0 * x.ravel()])


def along(adjacency: sparse.csr_matrix | None = None, section: np.ndarray | None = None) -> tuple[Border, Tissue]:
    place = strip(0.0)
    n = len(place)
    tissue = Tissue(
        place,
        np.zeros(n, dtype=np.int64) if section is None else section,
        sparse.csr_matrix((n, n)) if adjacency is None else adjacency,
    )
    return Border(np.arange(n), place[:, 1] >= 2), tissue


@pytest.mark.parametrize("turn", [0.0, np.pi / 4, 1.9])
def test_cuts_go_across_the_border_however_it_is_turned(turn: float):
    found = blocks(strip(turn)).reshape(4, 64)
    assert (found == found[0]).all()
    assert np.unique(found, return_counts=True)[1].tolist() == [32] * 8


def test_both_sides_of_the_scale():
    border, tissue = along()
    noise = np.random.default_rng(0).normal(size=(256, 3))
    assert held_out_auc(noise + 9 * border.side[:, None], border, tissue) == 1
    assert held_out_auc(noise, border, tissue) == pytest.approx(0.5, abs=0.12)
    assert held_out_auc(np.zeros((256, 2)), border, tissue) == 0.5


def test_spots_joined_with_the_held_out_stretch_teach_nothing():
    """With every spot joined to every other nothing is left to learn from."""
    everything = sparse.csr_matrix(np.ones((256, 256)))
    border, tissue = along(everything)
    assert np.isnan(held_out_auc(np.random.default_rng(0).normal(size=(256, 2)), border, tissue))


def test_spots_of_different_sections_are_never_compared():
    """Each section has one column of the same strip in turn; a shift between them would drown a small contrast."""
    section = np.tile(np.arange(64) % 2, 4)
    border, tissue = along(section=section)
    contrast = border.side + 0.1 * np.random.default_rng(0).normal(size=256) + 10.0 * section
    assert held_out_auc(contrast[:, None], border, tissue) > 0.99
