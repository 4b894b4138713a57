"""The permutation test whose null keeps space."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial import cKDTree

from multist.tl.borders import _border_test as module
from multist.tl.borders._border_test import Spots, _pvalues, _sources, border_test
from multist.tl.borders._contacts import Contact, within_reach

SIDE = 40


def hexagonal(n: int) -> np.ndarray:
    row, column = np.divmod(np.arange(n * n), n)
    return np.column_stack([column + row % 2 / 2, row * 3**0.5 / 2])


@pytest.fixture(scope="module")
def sheet() -> tuple[Spots, sparse.csr_matrix]:
    """Two domains, one above the other."""
    xy = hexagonal(SIDE)
    joined = cKDTree(xy).sparse_distance_matrix(cKDTree(xy), 1.01)
    graph = sparse.csr_matrix((joined > 0).astype(np.float32))
    domain = (xy[:, 1] > SIDE * 3**0.5 / 4).astype(int)
    return Spots(xy, np.zeros(len(xy), dtype=int), domain, np.array([1.0])), within_reach(graph, 2)


@pytest.mark.parametrize("side", [1, 4, 7])
def test_a_shuffle_moves_every_spot_once(side: int):
    xy, rng = hexagonal(17), np.random.default_rng(0)
    source = next(_sources(xy, np.arange(len(xy)), side, 1.0, 1, rng))
    assert sorted(source) == list(range(len(xy)))
    assert (source != np.arange(len(xy))).mean() > 0.5


def test_neighbours_stay_neighbours_in_patches_only():
    xy = hexagonal(SIDE)
    pairs = cKDTree(xy).query_pairs(1.01, output_type="ndarray")
    kept = {}
    for side in (1, 6):
        rng = np.random.default_rng(1)
        moved = [xy[source] for source in _sources(xy, np.arange(len(xy)), side, 1.0, 10, rng)]
        kept[side] = np.mean([np.linalg.norm(m[pairs[:, 0]] - m[pairs[:, 1]], axis=1) < 2 for m in moved])
    assert kept[1] < 0.03
    assert kept[6] > 0.6


def test_of_a_spot_that_is_alone_in_its_section_nothing_is_exchanged(sheet):
    spots, reached = sheet
    section = (np.arange(len(spots.xy)) == 0).astype(int)
    alone = spots._replace(section=section, spacing=np.array([1.0, np.nan])), reached
    values = np.ones((len(section), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run(alone, values, values, patch_size=1, n_perms=3)
    assert (found.ligand == 1).all()


def run(sheet, ligand: np.ndarray, receptor: np.ndarray, **kwargs):
    spots, reached = sheet
    options = {"patch_size": 5, "n_perms": 199, "random_state": 0} | kwargs
    contacts = [Contact(0, 1, 999)]
    n_pairs = ligand.shape[1]
    both = np.hstack([ligand, receptor]).astype(np.float32)
    columns = np.arange(2 * n_pairs)
    return border_test(both, columns[:n_pairs], columns[n_pairs:], spots, reached, contacts, **options)


def expression(sheet, near_first: float, near_second: float, *, base: tuple[float, float] = (1.0, 1.0), seed: int = 0):
    """(n, 1) noisy expression, raised in the two rows of either domain next to the other."""
    spots, _ = sheet
    height = spots.xy[:, 1] - SIDE * 3**0.5 / 4
    mean = np.where(spots.domain == 0, base[0], base[1])
    mean = mean * np.where((spots.domain == 0) & (height > -1.8), near_first, 1.0)
    mean = mean * np.where((spots.domain == 1) & (height < 1.8), near_second, 1.0)
    return np.random.default_rng(seed).gamma(4.0, mean[:, None] / 4.0)


def test_a_pair_raised_on_both_sides_is_found_in_its_direction_only(sheet):
    found = run(sheet, expression(sheet, 3, 1), expression(sheet, 1, 3, seed=1))
    assert max(found.ligand[0, 0, 0], found.receptor[0, 0, 0]) < 1e-3
    assert max(found.ligand[0, 0, 1], found.receptor[0, 0, 1]) > 0.05
    assert found.enrichment[0, 0, 0] > 0.5


def test_one_side_is_not_enough(sheet):
    found = run(sheet, expression(sheet, 3, 1), expression(sheet, 1, 1, seed=1))
    assert found.ligand[0, 0, 0] < 1e-3
    assert found.receptor[0, 0, 0] > 0.05


def test_markers_of_the_two_domains_are_not_raised_at_their_border(sheet):
    found = run(sheet, expression(sheet, 1, 1, base=(4, 1)), expression(sheet, 1, 1, base=(1, 4), seed=1))
    assert max(found.ligand[0, 0, 0], found.receptor[0, 0, 0]) > 0.05
    assert abs(found.enrichment[0, 0, 0]) < 0.2


def smooth(sheet, n: int, seed: int, length: float = 3.0) -> np.ndarray:
    """(n_spots, n) expression that is alike over ``length`` spots and knows nothing of the domains."""
    rng, xy = np.random.default_rng(seed), sheet[0].xy
    waves = rng.normal(size=(n, 100, 2)) / length
    phase = rng.uniform(0, 2 * np.pi, (n, 100))
    return np.exp(0.7 * np.stack([np.cos(xy @ w.T + p).sum(axis=1) for w, p in zip(waves, phase, strict=True)], 1) / 7)


@pytest.mark.slow
def test_patchy_expression_is_no_signal_unless_single_spots_are_shuffled(sheet):
    ligand, receptor = smooth(sheet, 150, 0), smooth(sheet, 150, 1)
    false = {}
    for size in (1, 5):
        found = run(sheet, ligand, receptor, patch_size=size)
        false[size] = float((found.ligand[:, 0] <= 0.05).mean())
        if size == 5:
            both = np.maximum(found.ligand, found.receptor)[:, 0]
            assert (both <= 0.05).mean() < 0.04
    assert false[5] < 0.12 < 0.2 < false[1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_does_not(sheet):
    ligand, receptor = smooth(sheet, 5, 0), smooth(sheet, 5, 1)
    first, again = run(sheet, ligand, receptor), run(sheet, ligand, receptor)
    np.testing.assert_array_equal(first.ligand, again.ligand)
    assert (run(sheet, ligand, receptor, random_state=1).ligand != first.ligand).any()


@pytest.mark.slow
def test_patches_that_serve_several_permutations_tell_the_same(sheet, monkeypatch):
    near, far = expression(sheet, 3, 1), smooth(sheet, 60, 0)
    ligand, receptor = np.hstack([near, far]), np.hstack([expression(sheet, 1, 3, seed=1), smooth(sheet, 60, 1)])
    anew = run(sheet, ligand, receptor)
    monkeypatch.setattr(module, "_MAX_CUT_ANEW", 100)
    shared = run(sheet, ligand, receptor)
    np.testing.assert_array_equal(shared.score, anew.score)
    assert (shared.ligand != anew.ligand).any()
    assert max(shared.ligand[0, 0, 0], shared.receptor[0, 0, 0]) < 1e-3
    assert (np.maximum(shared.ligand, shared.receptor)[1:, 0] <= 0.05).mean() < 0.05
    assert np.corrcoef(shared.ligand[1:, 0, 0], anew.ligand[1:, 0, 0])[0, 1] > 0.95


def test_a_domain_smaller_than_a_patch_is_never_significant(sheet):
    found = run(sheet, expression(sheet, 3, 1), expression(sheet, 1, 3, seed=1), patch_size=60)
    assert (found.ligand == 1).all() and (found.receptor == 1).all()


@pytest.mark.slow
def test_sections_do_not_exchange_values(sheet):
    spots, reached = sheet
    left = spots.xy[:, 0] < SIDE / 2
    split = spots._replace(section=left.astype(int), spacing=np.ones(2))
    # all of the signal is that one section has more of both: shuffles within sections keep it
    level = np.where(left, 4.0, 1.0)[:, None] * np.ones((1, 1))
    found = run((split, reached), level, level)
    assert (found.ligand > 0.9).all()


@pytest.mark.slow
def test_pvalues_are_never_zero_and_keep_to_the_null():
    rng = np.random.default_rng(0)
    null = rng.gamma(20.0, size=(999, 4000)).astype(np.float32)
    pvalues = _pvalues(rng.gamma(20.0, size=4000).astype(np.float32), null)
    for level in (0.05, 0.01, 0.001):
        assert (pvalues <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 4000))
    far = _pvalues(np.full(4000, 1e4, dtype=np.float32), null)
    assert far == pytest.approx(1e-6)
    assert (_pvalues(np.zeros(3, dtype=np.float32), np.zeros((50, 3), dtype=np.float32)) == 1).all()
