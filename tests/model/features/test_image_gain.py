"""What an image adds is judged on tissue that was held out: what is chance there adds nothing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.features.image_gain import (
    error_of_neighbours,
    held_out_tissue,
    lasting_gain,
    linear_gain,
    slopes_of_neighbours,
    some_of,
    tissue_blocks,
    unit_variance,
)


def gain(tissue, image: np.ndarray, **kwargs) -> float:
    section = np.zeros(len(tissue.xy), np.int64)
    genes = tissue.expression - tissue.expression.mean(axis=0)
    return linear_gain(genes / genes.std(), image - image.mean(axis=0), tissue.adjacency, tissue.xy, section, **kwargs)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["shuffled", "smooth"])
def test_an_image_that_tells_nothing_gains_nothing(large_arrays, kind, seed):
    rng = np.random.default_rng(seed)
    waves = np.sin(large_arrays.xy @ rng.normal(scale=0.2, size=(2, 8)) + rng.uniform(0, 6, 8))
    image = {"shuffled": rng.permutation(large_arrays.image), "smooth": waves}[kind]  # waves are like uneven stain
    # one test in twenty may err, and then by next to nothing
    assert gain(large_arrays, image, random_state=seed) < 0.002


@pytest.mark.slow
def test_noise_hardly_ever_takes_part(tissue_arrays):
    images = [np.random.default_rng(seed).normal(size=tissue_arrays.image.shape) for seed in range(20)]
    assert sum(gain(tissue_arrays, image, random_state=seed) > 0 for seed, image in enumerate(images)) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_an_image_of_the_same_pattern_gains(large_arrays, seed):
    assert gain(large_arrays, large_arrays.image, random_state=seed) > 0.03


@pytest.mark.parametrize(
    ("n", "place"),
    [
        (1, "scattered"),
        (2, "in a line"),
        (3, "all in one place"),
        (9, "scattered"),
        (17, "all in one place"),
        (17, "in a line"),
    ],
)
def test_few_spots(n, place):
    rng = np.random.default_rng(0)
    line = np.column_stack([np.arange(n), np.zeros(n)])
    xy = {"scattered": rng.random((n, 2)), "all in one place": 0 * line, "in a line": line}[place]
    near = sp.csr_matrix(np.ones((n, n)) - np.eye(n))
    found = linear_gain(rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), near, xy, np.zeros(n, np.int64))
    assert 0 <= found <= 1
    assert tissue_blocks(xy, np.zeros(n, np.int64)).min() == 0


def test_a_gain_has_to_last_over_the_blocks():
    rng = np.random.default_rng(0)
    block, alone = np.repeat(np.arange(20), 50), 1 + 0.1 * rng.normal(size=1000)
    assert lasting_gain(alone, 0.9 * alone, block) == pytest.approx(0.1)
    assert lasting_gain(alone, 1.1 * alone, block) == 0
    # the same in the mean, but from one block only
    assert lasting_gain(alone, np.where(block == 3, alone - 2, alone), block) == 0
    assert lasting_gain(alone, 0.9 * alone, 0 * block) == 0  # one block is no evidence
    assert lasting_gain(alone, alone, block) == 0


def test_the_same_every_time_and_the_global_random_state_is_left_alone(tissue_arrays):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert gain(tissue_arrays, tissue_arrays.image, random_state=3) == gain(
        tissue_arrays, tissue_arrays.image, random_state=3
    )
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_some_of_many_and_all_of_few():
    rows = np.arange(10, 20)
    np.testing.assert_array_equal(some_of(rows, 10, np.random.default_rng(0)), rows)
    few = some_of(rows, 4, np.random.default_rng(0))
    assert len(set(few.tolist())) == 4 and set(few.tolist()) <= set(rows.tolist()) and (np.diff(few) > 0).all()


def test_blocks_are_cells_of_a_grid_of_quantiles():
    y, x = np.divmod(np.arange(100), 10)
    xy = np.column_stack([x**2, y]).astype(float)  # of unequal widths, but as many spots in each
    # a hundred spots have three blocks to a side, at least eight in each
    block = tissue_blocks(xy, np.zeros(100, np.int64)).reshape(10, 10)
    assert block.max() == 8
    np.testing.assert_array_equal(
        block, np.digitize(x, [3, 6]).reshape(10, 10) * 3 + np.digitize(y, [3, 6]).reshape(10, 10)
    )


@pytest.mark.parametrize(("n", "blocks"), [(31, 4), (72, 9), (128, 16), (200, 25), (2000, 25)])
def test_a_block_has_eight_spots_at_least_and_there_are_no_more_than_25(n, blocks):
    xy = np.random.default_rng(0).random((n, 2))
    assert len(np.unique(tissue_blocks(xy, np.zeros(n, np.int64)))) == blocks


def test_each_section_has_blocks_of_its_own():
    xy = np.tile(np.random.default_rng(0).random((72, 2)), (2, 1))
    block = tissue_blocks(xy, np.repeat([0, 1], 72))
    np.testing.assert_array_equal(block[72:], block[:72] + 9)


@pytest.mark.parametrize(("n", "deals"), [(200, 3), (499, 3), (500, 2), (999, 2), (1000, 1), (3000, 1)])
def test_whole_blocks_are_held_out_and_dealt_out_more_often_where_spots_are_few(n, deals):
    xy = np.random.default_rng(0).random((n, 2))
    block, parts = held_out_tissue(xy, np.zeros(n, np.int64), np.random.default_rng(0))
    assert len(parts) == 4 * deals
    np.testing.assert_array_equal(np.bincount(np.concatenate(parts)), deals)
    held = [np.isin(np.arange(25), block[part]) for part in parts]
    assert all(np.isin(np.flatnonzero(blocks[block]), part).all() for blocks, part in zip(held, parts, strict=True))
    for first in range(0, len(parts), 4):
        assert sorted(blocks.sum() for blocks in held[first : first + 4]) == [6, 6, 6, 7]
    assert len({blocks.tobytes() for blocks in held}) == len(held)


def test_four_blocks_are_dealt_out_once():
    _, parts = held_out_tissue(
        np.random.default_rng(0).random((40, 2)), np.zeros(40, np.int64), np.random.default_rng(0)
    )
    assert len(parts) == 4 and sorted(np.concatenate(parts).tolist()) == list(range(40))


def test_one_block_is_not_held_out():
    assert held_out_tissue(np.zeros((9, 2)), np.zeros(9, np.int64), np.random.default_rng(0))[1] == []


def neighbours_of(values: np.ndarray, image: np.ndarray | None) -> np.ndarray:
    """(p, n, 2 or more) what predicts each factor on a long ring of spots."""
    rings = [(np.roll(values, step, axis=0) + np.roll(values, -step, axis=0)) / 2 for step in (1, 2)]
    return np.stack(
        [
            np.column_stack([*(ring[:, f] for ring in rings), *([] if image is None else image.T)])
            for f in range(values.shape[1])
        ]
    )


@pytest.mark.parametrize("with_image", [False, True])
def test_the_prediction_is_that_of_least_squares(with_image):
    n, rng = 60, np.random.default_rng(0)
    near = sp.csr_matrix(3.0 * (np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)))
    values, image = np.sin(np.arange(n) / 4)[:, None] + rng.normal(size=(n, 2)), rng.normal(size=(n, 3))
    image = image if with_image else None
    trained, judged = np.arange(0, 40), np.arange(40, 60)
    slope = slopes_of_neighbours(values, near, trained, image)
    error = 0
    for factor, seen in enumerate(neighbours_of(values, image)):
        gram = seen[trained].T @ seen[trained]
        ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
        expected = np.linalg.solve(gram + ridge, seen[trained].T @ values[trained, factor])
        np.testing.assert_allclose(slope[factor], expected, rtol=1e-6)
        error = error + (seen[judged] @ expected - values[judged, factor]) ** 2
    np.testing.assert_allclose(error_of_neighbours(slope, values, near, judged, image), error, rtol=1e-6)


def test_a_gain_that_may_be_chance_is_none():
    """Three blocks: a t-test of two degrees of freedom asks for a mean of 2.92 standard errors."""
    block, alone = np.arange(3), np.full(3, 10.0)
    for spread, lasts in ((0.9, True), (1.1, False)):
        gained = 1.7 + spread * np.array([-1.0, 0, 1])  # the standard error is spread / sqrt(3)
        found = lasting_gain(alone, alone - gained, block)
        assert found == (pytest.approx(0.17) if lasts else 0)


def test_a_gain_of_most_blocks_is_none_where_all_spots_together_lose():
    """The t-test takes it, for twenty blocks of a spot each gain; but the one that loses holds nearly all spots."""
    block, alone = np.append(np.arange(20), np.full(1000, 20)), np.ones(1020)
    helped = np.where(block < 20, 0.9, 1.05)
    assert lasting_gain(alone, helped, block) == 0
    assert lasting_gain(alone[:20], helped[:20] - 1e-3 * np.arange(20), block[:20]) > 0


def test_unit_variance_is_one_number_for_all_factors():
    factors = np.array([[1.0, 10], [3, 10], [5, 40]])
    scaled = unit_variance(factors)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    assert (scaled**2).mean() == pytest.approx(1)
    assert np.ptp(scaled[:, 1]) / np.ptp(scaled[:, 0]) == pytest.approx(30 / 4)
    assert not unit_variance(np.ones((4, 2))).any()
    assert unit_variance(factors.astype(np.float32)).dtype == np.float32
