"""What an image adds is judged on tissue that was held out: what is chance there adds nothing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.features.image_gain import folds_of_tissue, lasting_gain, linear_gain, some_of, tissue_blocks


def gain(tissue, image: np.ndarray, **kwargs) -> float:
    section = np.zeros(len(tissue.xy), np.int64)
    genes = tissue.expression - tissue.expression.mean(axis=0)
    return linear_gain(genes / genes.std(), image - image.mean(axis=0), tissue.adjacency, tissue.xy, section, **kwargs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["noise", "shuffled", "smooth"])
def test_an_image_that_tells_nothing_gains_nothing(large_arrays, kind, seed):
    rng = np.random.default_rng(seed)
    waves = np.sin(large_arrays.xy @ rng.normal(scale=0.2, size=(2, 8)) + rng.uniform(0, 6, 8))
    image = {
        "noise": rng.normal(size=large_arrays.image.shape),
        "shuffled": rng.permutation(large_arrays.image),
        "smooth": waves,  # like uneven stain
    }[kind]
    # one test in twenty may err, and then by next to nothing
    assert gain(large_arrays, image, random_state=seed) < 0.002


def test_noise_hardly_ever_takes_part(tissue_arrays):
    images = [np.random.default_rng(seed).normal(size=tissue_arrays.image.shape) for seed in range(20)]
    assert sum(gain(tissue_arrays, image, random_state=seed) > 0 for seed, image in enumerate(images)) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_an_image_of_the_same_pattern_gains(large_arrays, seed):
    assert gain(large_arrays, large_arrays.image, random_state=seed) > 0.03


def test_blocks_lie_apart_and_folds_hold_whole_ones(large_arrays):
    rng = np.random.default_rng(0)
    section = np.repeat([0, 1], [1000, len(large_arrays.xy) - 1000])
    block, fold = folds_of_tissue(large_arrays.xy, section, rng)
    assert np.unique(block).tolist() == list(range(block.max() + 1)) and np.unique(fold).tolist() == [0, 1, 2, 3]
    for own in np.unique(block):
        rows = block == own
        assert len(np.unique(fold[rows])) == len(np.unique(section[rows])) == 1
        assert np.ptp(large_arrays.xy[rows], axis=0).max() < np.ptp(large_arrays.xy, axis=0).max() / 2
    assert np.bincount(fold).min() > len(block) / 8


@pytest.mark.parametrize("n", [1, 2, 3, 9, 17])
@pytest.mark.parametrize("place", ["scattered", "all in one place", "in a line"])
def test_few_spots(n, place):
    rng = np.random.default_rng(0)
    xy = {"scattered": rng.random((n, 2)), "all in one place": np.zeros((n, 2)), "in a line": np.eye(2)[[0] * n] * n}[
        place
    ]
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
