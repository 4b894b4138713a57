"""What sets whole sections apart is taken away where they are alike without it, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.config import MultiSTConfig
from multist.model.features import sections
from multist.model.features.sections import mixing, offsets_to, section_offsets, within_sections
from multist.model.fitted import FusionModel

SIDE = 16
SHIFT = np.array([3.0, -2.0, 0.0, 1.0])


def strips(levels, shift=0.0, seed=0):
    """A square section of vertical strips, each at a level of its own in four features, and noise."""
    x = np.tile(np.arange(SIDE), SIDE)
    rng = np.random.default_rng(seed)
    place = np.asarray(levels, dtype=float)[x * len(levels) // SIDE]
    return np.column_stack([place, -place, place**2 / 4, 0 * place]) + 0.3 * rng.normal(size=(SIDE**2, 4)) + shift


def lattice(n_sections):
    line = sp.diags([1.0, 1.0], [-1, 1], shape=(SIDE, SIDE))
    one = sp.kron(line, sp.identity(SIDE)) + sp.kron(sp.identity(SIDE), line)
    return sp.csr_matrix(sp.block_diag([one] * n_sections))


def several(*sections):
    return np.concatenate(sections), lattice(len(sections)), np.repeat(np.arange(len(sections)), SIDE**2)


@pytest.mark.parametrize("one_scale", [True, False])
def test_a_shift_of_the_same_tissue_is_taken_away(one_scale):
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], SHIFT, seed=1))
    offsets, _ = section_offsets(features, adjacency, section, one_scale=one_scale)
    np.testing.assert_allclose(offsets[1] - offsets[0], SHIFT, atol=0.1)


def test_other_tissue_is_left_where_it_is():
    # the second section has one of three domains only: its mean differs, but nothing sets it apart
    features, adjacency, section = several(strips([0, 4, 8]), strips([8, 8, 8], seed=1))
    offsets, _ = section_offsets(features, adjacency, section, one_scale=True)
    assert not offsets.any()


def test_one_section_is_left_alone():
    features, adjacency, section = several(strips([0, 2, 4]))
    assert not section_offsets(features, adjacency, section, one_scale=True)[0].any()


def test_a_section_never_seen_is_brought_to_the_known_ones():
    features, adjacency, section = several(strips([0, 4, 8]))
    _, known = section_offsets(features, adjacency, section, one_scale=True)
    shifted, same, part = strips([0, 4, 8], SHIFT, seed=1), strips([0, 4, 8], seed=2), strips([8, 8, 8], seed=3)
    new, adjacency, section = several(shifted, same, part)
    offsets = offsets_to(known, new, adjacency, section)
    np.testing.assert_allclose(offsets[0], SHIFT, atol=0.2)
    np.testing.assert_allclose(offsets[1:], 0, atol=0.2)


def places(n_sections):
    """Coordinates of each spot, all sections on top of each other."""
    across, down = np.tile(np.arange(SIDE), SIDE), np.repeat(np.arange(SIDE), SIDE)
    return np.tile(np.column_stack([across, down]), (n_sections, 1)).astype(float)


def test_sections_are_centred_before_they_are_embedded():
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], SHIFT, seed=1))
    apart = {}
    for center in (True, False):
        config = MultiSTConfig(center_sections=center)
        code = FusionModel.fit(features, None, adjacency, places(2), config, section=section, device="cpu")[1].code
        apart[center] = np.abs(code[section == 0].mean(0) - code[section == 1].mean(0)).max() / code.std()
    assert apart[True] < 0.05 < 0.5 < apart[False]


def test_what_is_fitted_is_embedded_as_it_was_fitted():
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], SHIFT, seed=1))
    model, fitted = FusionModel.fit(
        features, None, adjacency, places(2), MultiSTConfig(), section=section, device="cpu"
    )
    again = model.embed(features, None, adjacency, section, device="cpu")
    np.testing.assert_allclose(again.code, fitted.code, atol=1e-5)
    # and a section that comes alone comes to where it lay
    own = section == 1
    alone = model.embed(features[own], None, lattice(1), section[own] * 0, device="cpu")
    np.testing.assert_allclose(alone.code, fitted.code[own], atol=1e-5)


@pytest.mark.slow
def test_the_critic_trains_where_there_are_several_sections():
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], seed=1))
    given = (features, None, adjacency, places(2), MultiSTConfig.published().replace(epochs=2))
    losses = FusionModel.fit(*given, section=section, n_domains=3, device="cpu")[1].losses
    assert len(losses["sections"]) == 2


def test_of_many_spots_the_same_are_looked_at_again(monkeypatch):
    monkeypatch.setattr(sections, "_MAX_COMPARED", 50)
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], SHIFT, seed=1))
    found = [section_offsets(features, adjacency, section, one_scale=True, random_state=seed)[1] for seed in (0, 0, 1)]
    assert len(found[0].values) == 100
    np.testing.assert_array_equal(found[0].values, found[1].values)
    assert (found[0].values != found[2].values).any()


def test_what_others_are_judged_by_is_averaged_three_steps_within_each_section():
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], SHIFT, seed=1))
    joined = adjacency + sp.kron([[0.0, 1.0], [1.0, 0.0]], sp.identity(SIDE**2))
    offsets, known = section_offsets(features, sp.csr_matrix(joined), section, one_scale=False)
    walk = adjacency.toarray() + np.eye(len(section))
    walk /= walk.sum(axis=1, keepdims=True)
    means = np.stack([features[section == number].mean(axis=0) for number in (0, 1)])
    np.testing.assert_allclose(known.middle, means.mean(axis=0))
    np.testing.assert_allclose(offsets, means - means.mean(axis=0))
    averaged = np.linalg.matrix_power(walk, 3) @ features - offsets[section]
    np.testing.assert_allclose(known.values, averaged, atol=1e-5)
    np.testing.assert_allclose(known.scale, averaged.std(axis=0), rtol=1e-5)
    assert (section_offsets(features, adjacency, section, one_scale=True)[1].scale == 1).all()


def test_a_feature_that_does_not_vary_takes_no_part_in_the_comparison():
    features, adjacency, section = several(strips([0, 2, 4]), strips([0, 2, 4], SHIFT, seed=1))
    flat = np.column_stack([features, np.full(len(features), 3.0)])
    offsets, known = section_offsets(flat, adjacency, section, one_scale=False)
    assert known.scale[-1] == np.inf and np.isfinite(known.scale[:-1]).all()
    np.testing.assert_allclose(offsets[:, :4], section_offsets(features, adjacency, section, one_scale=False)[0])


def test_edges_that_join_sections_are_left_out_and_others_keep_their_weights():
    edges = sp.csr_matrix(np.array([[0, 2.0, 5], [2, 0, 0], [5, 0, 0]]))
    assert within_sections(edges, np.array([0, 0, 1])).toarray().tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
    assert within_sections(edges, np.zeros(3, int)) is edges


def test_mixing_by_hand():
    """Each of the four looks at the three others; of 31 and more, at thirty."""
    assert mixing(np.arange(4.0)[:, None], np.array([0, 0, 1, 1])) == pytest.approx(2 / 3)
    points, member = np.zeros((62, 1)), np.repeat([0, 1], 31)
    points[:31, 0], points[31:, 0] = np.arange(31), 1000 + np.arange(31)
    assert mixing(points, member) == 0  # all thirty others of the same section are nearer
    assert mixing(points[:-1], member[:-1]) == pytest.approx(30 * 1 / (61 * 30))  # the other one has 29 others only
