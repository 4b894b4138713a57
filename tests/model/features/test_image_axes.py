"""Principal axes of the image's features, by hand, and kept for another section."""

from __future__ import annotations

import numpy as np
import pytest

from multist.model.features import neighbourhood
from multist.model.features.image_axes import ImageAxes


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """(60, 5): three that vary together or alone, one that is the same everywhere, one almost so; one spot is dirt."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=60)
    made = np.column_stack([10 + common, 5 * common + rng.normal(size=60), rng.normal(size=60)])
    made = np.column_stack([made[:, :2], np.full(60, 7.0), made[:, 2], 1e-12 * rng.normal(size=60)])
    made[0, 3] = 1000.0
    return made


def textbook(features: np.ndarray, other: np.ndarray, n: int) -> np.ndarray:
    median, scale = np.median(features, axis=0), features.std(axis=0)
    clipped, new = (np.clip((each - median) / scale, -5, 5) for each in (features, other))
    _, _, axes = np.linalg.svd(clipped - clipped.mean(axis=0))
    axes = axes[:n] * np.where(np.take_along_axis(axes[:n], np.abs(axes[:n]).argmax(1)[:, None], 1) < 0, -1, 1)
    return (new - clipped.mean(axis=0)) @ axes.T


@pytest.mark.parametrize("n", [1, 2, 3])
def test_components_are_those_of_clipped_standardised_features_that_vary(features, n):
    axes = ImageAxes.of(features, n)
    assert axes.varied.tolist() == [True, True, False, True, False]
    kept, other = features[:, [0, 1, 3]], features[::-1] * 1.5
    np.testing.assert_allclose(axes(features), textbook(kept, kept, n), atol=1e-8)
    np.testing.assert_allclose(axes(other), textbook(kept, other[:, [0, 1, 3]], n), atol=1e-8)


def test_the_largest_loading_is_positive_and_the_first_component_varies_most(features):
    axes = ImageAxes.of(features, 3).axes
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], 0) > 0).all()
    assert (np.diff(ImageAxes.of(features, 3)(features).std(axis=0)) < 0).all()


def test_dirt_is_no_farther_than_five_deviations(features):
    axes = ImageAxes.of(features[:, 3:4], 1)
    found = axes(features[:, 3:4])[:, 0]
    # the dirt itself widens the scale: it lies sqrt(59) deviations away, and is clipped
    assert np.ptp(found) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("features", [np.full((6, 3), 2.0), np.zeros((6, 3)), np.zeros((6, 0))])
def test_an_image_that_is_the_same_everywhere_is_one_column_of_nothing(features):
    axes = ImageAxes.of(features, 4)
    assert not axes.varied.any()
    np.testing.assert_array_equal(axes(features), np.zeros((6, 1)))


def test_tables_of_many_spots_stay_in_half_the_memory(features, monkeypatch):
    exact = ImageAxes.of(features, 2)(features)
    monkeypatch.setattr(neighbourhood, "ENOUGH", 50)
    axes = ImageAxes.of(features, 2)
    found = axes(features)
    assert found.dtype == np.float32 and axes.scale.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-4)
