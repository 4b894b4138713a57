"""Constants that cannot work are refused with the name of the one that is wrong."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from multist.model.config import MultiSTConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_factors": 0}, "n_factors must be at least 1; got 0"),
        ({"n_expression": -1}, "n_expression must be at least 1"),
        ({"n_image": 0}, "n_image must be at least 1"),
        ({"n_heads": 0}, "n_heads must be at least 1"),
        ({"n_hops": 0}, "n_hops must be"),
        ({"mask_rate": 0}, "mask_rate must lie between 0 and 1; got 0"),
        ({"mask_rate": 1.0}, "mask_rate must lie between 0 and 1"),
        ({"attention": "global"}, "attention must be 'neighbourhood' or 'self'; got 'global'"),
        ({"epochs": -1}, "epochs must not be negative; got -1"),
    ],
)
def test_constants_that_cannot_work(changes, message):
    with pytest.raises(ValueError, match=message):
        MultiSTConfig(**changes)
    with pytest.raises(ValueError, match=message):
        MultiSTConfig().replace(**changes)


def test_a_config_is_changed_by_copy_only():
    config = MultiSTConfig()
    with pytest.raises(FrozenInstanceError):
        config.epochs = 3  # type: ignore[misc]
    assert config.replace(epochs=3) == MultiSTConfig(epochs=3)
    assert config == MultiSTConfig()
    with pytest.raises(TypeError, match="epoch_count"):
        config.replace(epoch_count=3)


def test_the_published_constants():
    published = MultiSTConfig.published()
    assert (published.n_factors, published.n_expression, published.n_heads) == (32, 200, 8)
    assert (published.attention, published.gate) == ("self", False)
    assert published.clustering_loss > 0 and published.prior_loss > 0 and published.alignment_loss > 0
    assert published.expression_loss / published.edge_loss == 100
