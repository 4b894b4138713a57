"""An image factor is trusted as far as expression foretells it where it was not fitted."""

from __future__ import annotations

import numpy as np
import pytest

from multist.model.reliability import held_out_agreement


@pytest.fixture
def expression(tissue_arrays) -> np.ndarray:
    return tissue_arrays.pattern / tissue_arrays.pattern.std(axis=0)


def test_what_expression_foretells_is_trusted(tissue_arrays, expression):
    image = expression @ np.random.default_rng(0).normal(size=(3, 4))
    assert (held_out_agreement(image, expression, tissue_arrays.xy) > 0.8).all()


def test_noise_and_shuffled_rows_are_not(tissue_arrays, expression):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(len(expression), 4))
    assert (held_out_agreement(noise, expression, tissue_arrays.xy) < 0.05).all()
    assert (held_out_agreement(rng.permutation(expression), expression, tissue_arrays.xy) < 0.05).all()


def test_smooth_structure_of_its_own_is_not(tissue_arrays, expression):
    # waves across the section, like uneven stain: smooth in space, so that neighbouring spots alone would foretell them
    x, y = tissue_arrays.xy.T / 20
    waves = np.stack([np.sin(15 * x + 11 * y), np.cos(12 * x - 17 * y)], axis=1)
    assert (held_out_agreement(waves, expression, tissue_arrays.xy) < 0.1).all()


def test_fields_that_merely_vary_slowly_do_not_foretell_each_other(large_arrays):
    rng, place = np.random.default_rng(0), large_arrays.xy / 45
    fields = np.sin(place @ rng.normal(scale=16, size=(2, 64)) + rng.uniform(0, 6, 64))
    fields = (fields - fields.mean(axis=0)) / fields.std(axis=0)
    # sixty of them fit any other at spots between those they were fitted on (0.6), but not on tissue further away
    assert held_out_agreement(fields[:, :4], fields[:, 4:], large_arrays.xy).mean() < 0.25


def test_each_factor_is_judged_by_itself(tissue_arrays, expression):
    noise = np.random.default_rng(0).normal(size=len(expression))
    told, other = held_out_agreement(np.column_stack([expression[:, 0], noise]), expression, tissue_arrays.xy)
    assert told > 0.8 and other < 0.05


def test_a_constant_factor_is_not_trusted(tissue_arrays, expression):
    found = held_out_agreement(np.ones((len(expression), 1)), expression, tissue_arrays.xy)
    assert 0 <= found[0] <= 1 and np.isfinite(found).all()


@pytest.mark.parametrize("n", [2, 3, 9, 17])
def test_few_spots(n):
    rng = np.random.default_rng(0)
    found = held_out_agreement(rng.normal(size=(n, 2)), rng.normal(size=(n, 2)), rng.random((n, 2)))
    assert ((found >= 0) & (found <= 1)).all()


def test_same_seed_same_bits(tissue_arrays, expression):
    image = expression + np.random.default_rng(0).normal(size=expression.shape)
    first, again = (held_out_agreement(image, expression, tissue_arrays.xy, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
