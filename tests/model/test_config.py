"""Constants that cannot work are refused with the name of the one that is wrong."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, fields

import numpy as np
import pytest

from multist.model.config import MultiSTConfig, PublishedLosses


@pytest.mark.parametrize(
    ("name", "value", "error", "rest"),
    [
        ("n_expression", -1, ValueError, "a whole number from 1 upwards; got -1"),
        ("n_expression", 3.5, ValueError, "a whole number .*; got 3.5"),
        ("n_image", 0, ValueError, "a whole number from 1 upwards; got 0"),
        ("n_heads", "4", TypeError, "a whole number from 1 upwards; got '4'"),
        ("head_width", True, ValueError, "a whole number .*; got True"),
        ("epochs", -1, ValueError, "a whole number from 0 upwards; got -1"),
        ("epochs", None, TypeError, "a whole number from 0 upwards; got None"),
        ("learning_rate", -0.1, ValueError, "a number from 0 upwards; got -0.1"),
        ("learning_rate", float("nan"), ValueError, "a number .*; got nan"),
        ("weight_decay", float("inf"), ValueError, "a number .*; got inf"),
        ("center_sections", "no", TypeError, "a bool; got 'no'"),
        ("center_sections", 1, ValueError, "a bool; got 1"),
        ("losses", {"image": 1}, TypeError, "a PublishedLosses or None; got {'image': 1}"),
    ],
)
def test_constants_that_cannot_work(name, value, error, rest):
    message = f"{name} of MultiSTConfig must be {rest}"
    with pytest.raises(error, match=message):
        MultiSTConfig(**{name: value})
    with pytest.raises(error, match=message):
        MultiSTConfig().replace(**{name: value})


@pytest.mark.parametrize("mask_rate", [0, 1.0, -0.5, float("nan")])
def test_a_share_lies_between_none_and_all(mask_rate):
    with pytest.raises(ValueError, match=f"mask_rate of PublishedLosses .* above 0 and below 1; got {mask_rate}"):
        PublishedLosses(mask_rate=mask_rate)


def test_no_constant_of_the_published_losses_is_negative():
    weights = ("expression", "image", "edges", "alignment", "prior", "clustering", "sections")
    for name in (*weights, "n_factors", "temperature"):
        with pytest.raises(ValueError, match=f"{name} of PublishedLosses must be a .*number .*; got -2"):
            PublishedLosses(**{name: -2})


@pytest.mark.parametrize("kind", [MultiSTConfig, PublishedLosses])
def test_every_field_is_validated(kind):
    assert list(kind._constraints) == [field.name for field in fields(kind)]


def test_numbers_of_numpy_are_kept_as_plain_ones():
    config = MultiSTConfig(
        epochs=np.int64(3), learning_rate=np.float32(0.5), losses=PublishedLosses(image=np.float64(2))
    )
    assert json.loads(json.dumps(asdict(config)))["epochs"] == 3
    assert config == MultiSTConfig(epochs=3, learning_rate=0.5, losses=PublishedLosses(image=2))


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
