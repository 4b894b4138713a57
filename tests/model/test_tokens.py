"""What the network reads: an image that shows the tissue counts, one that shows nothing does not."""

from __future__ import annotations

import numpy as np
import pytest

from multist.model.config import MultiSTConfig
from multist.model.tokens import make_tokens

CONFIG = MultiSTConfig()


def tokens(tissue, image, config=CONFIG, expression=None):
    expression = tissue.expression if expression is None else expression
    return make_tokens(expression, image, tissue.adjacency, tissue.xy, config)


def share_of_image(made) -> float:
    """How much of the tokens' variance is the image's."""
    if made.image is None:
        return 0.0
    return made.image.var(axis=0).sum() / (made.image.var(axis=0).sum() + made.expression.var(axis=0).sum())


def test_an_informative_image_is_trusted(tissue_arrays):
    made = tokens(tissue_arrays, tissue_arrays.image)
    assert made.reliability.max() > 0.3
    assert share_of_image(made) > 0.1
    assert len(made.expression) == len(made.image) == len(tissue_arrays.xy)


@pytest.mark.parametrize("kind", ["noise", "rows of other spots"])
def test_an_image_that_shows_nothing_of_the_tissue_is_not(large_arrays, kind):
    rng = np.random.default_rng(0)
    image = rng.normal(size=large_arrays.image.shape) if kind == "noise" else rng.permutation(large_arrays.image)
    made = tokens(large_arrays, image)
    assert made.reliability.max() < 0.1
    assert share_of_image(made) < 0.02


def test_without_weighing_noise_goes_in(tissue_arrays):
    noise = np.random.default_rng(0).normal(size=(400, 8))
    made = tokens(tissue_arrays, noise, CONFIG.replace(weigh_image=False))
    assert (made.reliability == 1).all()
    assert made.image is not None


def test_without_an_image_there_is_nothing_to_trust(tissue_arrays):
    made = tokens(tissue_arrays, None)
    assert made.image is None and made.reliability is None
    np.testing.assert_array_equal(made.expression, tokens(tissue_arrays, tissue_arrays.image).expression)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e6])
def test_constant_columns_say_nothing(tissue_arrays, value):
    constant = np.full((400, 3), value)
    plain = tokens(tissue_arrays, tissue_arrays.image)
    made = tokens(tissue_arrays, np.hstack([tissue_arrays.image, constant]))
    np.testing.assert_allclose(made.reliability, plain.reliability, atol=1e-6)
    alone = tokens(tissue_arrays, constant)
    assert share_of_image(alone) < 1e-6
    assert np.isfinite(alone.expression).all()


def test_constant_columns_of_the_expression(tissue_arrays):
    wider = np.hstack([tissue_arrays.expression, np.full((400, 2), 3.0)])
    made = tokens(tissue_arrays, tissue_arrays.image, expression=wider)
    assert np.isfinite(made.expression).all()
    assert made.reliability.max() > 0.3


def test_units_do_not_matter(tissue_arrays):
    plain = tokens(tissue_arrays, tissue_arrays.image)
    other = tokens(tissue_arrays, 1000 * tissue_arrays.image - 70, expression=0.01 * tissue_arrays.expression + 5)
    np.testing.assert_allclose(other.expression, plain.expression, atol=1e-6)
    np.testing.assert_allclose(np.abs(other.image), np.abs(plain.image), atol=1e-6)


def test_one_far_outlier_is_not_all_that_is_seen(tissue_arrays):
    spoilt = tissue_arrays.image.copy()
    spoilt[:3] += 20  # standard deviations: a fold, or debris
    assert tokens(tissue_arrays, spoilt).reliability.max() > 0.25


def test_only_the_components_asked_for_are_read(tissue_arrays):
    other = tissue_arrays.expression.copy()
    other[:, 5:] = np.random.default_rng(0).normal(size=other[:, 5:].shape)
    config = CONFIG.replace(n_expression=5)
    first, second = (tokens(tissue_arrays, None, config, e).expression for e in (tissue_arrays.expression, other))
    np.testing.assert_array_equal(first, second)
