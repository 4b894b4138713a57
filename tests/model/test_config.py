"""Constants that cannot work are refused with the name of the one that is wrong."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from multist.model.config import MultiSTConfig, PublishedLosses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_expression": -1}, "n_expression must be at least 1"),
        ({"n_image": 0}, "n_image must be at least 1"),
        ({"n_heads": 0}, "n_heads must be at least 1"),
        ({"head_width": 0}, "head_width must be at least 1; got 0"),
        ({"learning_rate": -0.1}, "learning_rate must be a number from 0 upwards; got -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number from 0 upwards; got nan"),
        ({"weight_decay": float("inf")}, "weight_decay must be a number from 0 upwards; got inf"),
        ({"losses": PublishedLosses(n_factors=0)}, "n_factors must be at least 1; got 0"),
        ({"losses": PublishedLosses(mask_rate=0)}, "mask_rate must lie between 0 and 1; got 0"),
        ({"losses": PublishedLosses(mask_rate=1.0)}, "mask_rate must lie between 0 and 1"),
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
    published, losses = MultiSTConfig.published(), MultiSTConfig.published().losses
    assert MultiSTConfig().losses is None and losses is not None
    assert (losses.n_factors, published.n_expression, published.center_sections) == (32, 200, False)
    assert min(losses.clustering, losses.prior, losses.alignment, losses.sections) > 0
    assert losses.expression / losses.edges == 100
