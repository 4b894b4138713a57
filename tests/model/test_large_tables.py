"""Past a size numbers are float32 and estimates come from a sample; what is found stays the same."""

from __future__ import annotations

import numpy as np
import pytest

from multist.model import factors, tokenizer, tokens
from multist.model.config import MultiSTConfig
from multist.model.factors import neighbourhood_mean, range_of_neighbourhood
from multist.model.tokens import make_tokens


@pytest.fixture
def as_if_large(monkeypatch):
    """Return a function that lowers the limit below the 2,025 spots of ``large_arrays``."""

    def lower(limit: int = 1000) -> None:
        for module in (factors, tokenizer, tokens):
            monkeypatch.setattr(module, "ENOUGH", limit)

    return lower


def test_tokens_hardly_change(large_arrays, as_if_large):
    t, config = large_arrays, MultiSTConfig()
    exact = make_tokens(t.expression, t.image, t.adjacency, t.xy, config)
    as_if_large(1500)
    large = make_tokens(t.expression, t.image, t.adjacency, t.xy, config)
    assert exact.expression.dtype == np.float64 and large.expression.dtype == np.float32
    assert large.image.dtype == np.float32 and large.n_hops == exact.n_hops
    assert large.expression.shape == exact.expression.shape and large.image.shape == exact.image.shape
    # the space of the factors, since factors that are predicted about equally well may turn within it
    for one, other in ((exact.expression, large.expression), (exact.image, large.image)):
        missed = one - other @ np.linalg.lstsq(other.astype(np.float64), one, rcond=None)[0]
        assert (missed**2).sum() < 0.02 * (one**2).sum()
    np.testing.assert_allclose(np.sort(large.reliability), np.sort(exact.reliability), atol=0.15)


def test_float32_input_is_not_copied_to_float64(large_arrays, as_if_large, monkeypatch):
    as_if_large()
    seen: list[np.dtype] = []
    find = tokens.spatial_factors
    monkeypatch.setattr(
        tokens, "spatial_factors", lambda features, *a, **k: seen.append(features.dtype) or find(features, *a, **k)
    )
    t = large_arrays
    make_tokens(t.expression.astype(np.float32), t.image.astype(np.float32), t.adjacency, t.xy, MultiSTConfig())
    assert seen == [np.float32, np.float32]


def test_the_light_operator_is_the_exact_one(large_arrays, as_if_large):
    alone = large_arrays.adjacency.tolil()
    alone[5], alone[:, 5] = 0, 0
    alone = alone.tocsr()
    alone.data[3] = 7.0  # weights do not count
    exact = neighbourhood_mean(alone, with_self=True)
    as_if_large()
    light = neighbourhood_mean(alone, with_self=True)
    assert light.dtype == np.float32
    assert abs(light - exact).max() < 1e-7


def test_a_shift_is_no_obstacle_in_float32(large_arrays, as_if_large):
    t = large_arrays
    as_if_large()
    plain = make_tokens(t.expression, None, t.adjacency, t.xy, MultiSTConfig()).expression
    moved = make_tokens(t.expression + 100.0, None, t.adjacency, t.xy, MultiSTConfig()).expression
    np.testing.assert_allclose(np.abs(moved[:, 0]), np.abs(plain[:, 0]), atol=1e-3 * np.abs(plain).max())


def test_the_range_is_the_same(large_arrays, as_if_large):
    features = large_arrays.expression - large_arrays.expression.mean(axis=0)
    exact = range_of_neighbourhood(features, large_arrays.adjacency)
    as_if_large(1500)
    assert range_of_neighbourhood(features.astype(np.float32), large_arrays.adjacency) == exact
