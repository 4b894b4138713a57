"""Components that each section has of its own are brought to common axes where the sections touch."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.features.common_axes import common_axes, component_spread

SIDE = 20


def lattice(n_sections, touching=True):
    line = sp.diags([1.0, 1.0], [-1, 1], shape=(SIDE, SIDE))
    one = sp.kron(line, sp.identity(SIDE)) + sp.kron(sp.identity(SIDE), line)
    step = sp.diags([1.0, 1.0], [-1, 1], shape=(n_sections, n_sections)) * float(touching)
    return sp.csr_matrix(sp.kron(sp.identity(n_sections), one) + sp.kron(step, sp.identity(SIDE**2)))


def principal(values):
    values = values - values.mean(axis=0)
    _, axes = np.linalg.eigh(values.T @ values)
    return values @ axes[:, ::-1]


def tissue(n_sections=2, seed=0):
    """The same five regions in every section, noise of its own; genes, and each section's own components."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    region = (x // 7 + 2 * (y // 12)).ravel()
    means = 3 * rng.normal(size=(region.max() + 1, 6))
    genes = [means[region] + rng.normal(size=(SIDE**2, 6)) for _ in range(n_sections)]
    # the sign of a component is nobody's choice
    signs = [(-1.0) ** (np.arange(6) * number) for number in range(n_sections)]
    own = [principal(counts) * sign for counts, sign in zip(genes, signs, strict=True)]
    return np.concatenate(own), np.repeat(np.arange(n_sections), SIDE**2), region


def apart(features, section, region):
    """Distance between a region's means in two sections, as a share of the regions' spread."""
    means = np.stack(
        [
            [features[(section == s) & (np.tile(region, section.max() + 1) == r)].mean(0) for r in np.unique(region)]
            for s in np.unique(section)
        ]
    )
    return np.abs(means - means[0]).mean() / means.std()


@pytest.mark.parametrize("n_sections", [2, 3])
def test_regions_that_lie_on_each_other_come_together(n_sections):
    features, section, region = tissue(n_sections)
    rotated = common_axes(features, lattice(n_sections), section)
    assert apart(features, section, region) > 0.2
    assert apart(rotated, section, region) < 0.1
    # distances within a section are what they were
    for own in range(n_sections):
        before, after = features[section == own], rotated[section == own]
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-8)


def test_the_first_section_and_the_input_stay():
    features, section, _ = tissue()
    before = features.copy()
    rotated = common_axes(features, lattice(2), section)
    np.testing.assert_array_equal(features, before)
    np.testing.assert_allclose(rotated[section == 0], features[section == 0], atol=1e-12)


def test_sections_that_do_not_touch_are_left_as_they_are_and_the_log_says_so(caplog):
    features, section, _ = tissue()
    assert common_axes(features, lattice(2, touching=False), section) is features
    assert "made in each of the 2 sections by itself" in caplog.text


@pytest.mark.parametrize("touching", [True, False])
def test_an_embedding_of_all_sections_is_left_as_it_is(touching, caplog):
    features, section, _ = tissue()
    together = principal(features + np.repeat([[0.0], [2.0]], SIDE**2, axis=0) * np.arange(6))
    assert common_axes(together, lattice(2, touching=touching), section) is together
    one = features[section == 0]
    assert common_axes(one, lattice(1), np.zeros(len(one), int)) is one
    assert not caplog.text


def test_where_components_were_made():
    features, section, _ = tissue()
    first, second = features[section == 0], features[section == 1]
    np.testing.assert_allclose(component_spread(features, section), [first.std(axis=0), second.std(axis=0)])
    one = np.zeros(len(first), int)
    assert len(component_spread(first, one)) == 1 and not len(component_spread(first[:300], one[:300]))
    # the second projected on the axes of the first
    mixed = np.concatenate([first, second @ np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]])
    np.testing.assert_allclose(component_spread(mixed, section), [first.std(axis=0)])
    together = principal(mixed)
    np.testing.assert_allclose(component_spread(together, section), [together.std(axis=0)])
    assert not len(component_spread(np.random.default_rng(0).normal(size=(5000, 10)), np.zeros(5000, int)))


def test_a_section_that_touches_none_is_refused():
    features, section, _ = tissue(3)
    graph = lattice(3).tolil()
    graph[2 * SIDE**2 :, : 2 * SIDE**2] = 0
    graph[: 2 * SIDE**2, 2 * SIDE**2 :] = 0
    with pytest.raises(ValueError, match="1 section touches none of the others"):
        common_axes(features, graph.tocsr(), section)


def test_no_more_than_fifty_components_are_rotated():
    rng = np.random.default_rng(0)
    means = 3 * rng.normal(size=(6, 52))
    region = tissue()[2]
    own = [principal(means[region] + rng.normal(size=(SIDE**2, 52))) for _ in range(2)]
    section = np.repeat([0, 1], SIDE**2)
    assert common_axes(np.concatenate(own), lattice(2), section).shape == (2 * SIDE**2, 50)


def test_a_section_is_placed_on_the_one_that_it_touches_whatever_their_order():
    """The last one lies between the others, and its neighbours do not touch each other."""
    features, section, region = tissue(3)
    graph = sp.block_array([[lattice(1), None, None], [None, lattice(1), None], [None, None, lattice(1)]]).tolil()
    n = SIDE**2
    for other in (0, 1):
        for a, b in ((2, other), (other, 2)):
            graph[a * n : (a + 1) * n, b * n : (b + 1) * n] = sp.identity(n)
    assert apart(common_axes(features, graph.tocsr(), section), section, region) < 0.1


def test_what_is_no_principal_component_has_no_spread():
    rng, one = np.random.default_rng(0), np.zeros(30, int)
    made = principal(rng.normal(size=(30, 3)))
    np.testing.assert_allclose(component_spread(made, one), [made.std(axis=0)])
    assert component_spread(made[:, :1], one).shape == (0, 1)  # a single column is correlated with none
    assert component_spread(np.column_stack([made, np.ones(30)]), one).shape == (0, 4)  # one does not vary
    few = principal(rng.normal(size=(4, 3)))
    assert len(component_spread(few, one[:4])) == 1 and not len(component_spread(few[:3], one[:3]))
    # a correlation of a tenth of a percent is rounding, more is not
    for slope, found in ((5e-4, 1), (2e-3, 0)):
        mixed = made / made.std(axis=0)
        mixed[:, 1] += slope * mixed[:, 0]
        assert len(component_spread(mixed, one)) == found
    wide = principal(rng.normal(size=(30, 14)))
    np.testing.assert_allclose(component_spread(wide, one), [wide[:, :10].std(axis=0)])
