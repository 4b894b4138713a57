"""What is known of the spots of a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from multist.access.resolve import resolve


@pytest.fixture
def two_sections():
    obs = pd.DataFrame({"section": ["a", "a", "b", "b"]}, index=list("wxyz"))
    table = AnnData(np.zeros((4, 1)), obs=obs)
    table.obsm["spatial"] = np.array([[0.0, 0], [3, 4], [0, 0], [6, 8]])
    return resolve(table, library_key="section")


def test_a_scale_that_is_stated_holds_for_every_section(two_sections):
    record = two_sections.with_scale(0.5)
    assert record.microns_per_pixel == (0.5, 0.5)
    xy, unit = record.in_microns()
    assert unit == "um"
    np.testing.assert_allclose(xy, two_sections.xy * 0.5)


def test_without_a_scale_lengths_are_those_of_the_coordinates(two_sections):
    xy, unit = two_sections.with_scale(None).in_microns()
    assert unit == "coordinates"
    np.testing.assert_array_equal(xy, two_sections.xy)


@pytest.mark.parametrize("scale", [0, -1.0, np.nan, np.inf])
def test_a_scale_is_a_positive_number(two_sections, scale):
    with pytest.raises(ValueError, match="positive"):
        two_sections.with_scale(scale)


def test_without_an_image_the_spots_have_the_coordinates_of_their_own(two_sections):
    own, table = replace(two_sections, coordinates=None).with_scale(0.5), AnnData(np.zeros((4, 2)))
    assert own.without_image() is own
    found = replace(two_sections, table=table, coordinates=lambda: own).without_image()
    assert found.microns_per_pixel == (0.5, 0.5) and found.table is table and found.coordinates is None
