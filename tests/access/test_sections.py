"""Sections of a table, one after another on its image."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pytest

from multist.access.record import SectionImage
from multist.access.sections import PlacedSection, ResolveOptions, place_sections

IMAGE = SectionImage("he", (da.zeros((10, 10, 3), dtype=np.uint8),), (1.0,))
SECTION, NAMES = np.array([0, 1, 0, 1]), ("a", "b")


def placed(options: ResolveOptions):
    """Two sections on one image, of which the second lies beside it."""
    table = ad.AnnData(np.zeros((4, 1)))

    def place(name: str, rows: np.ndarray) -> PlacedSection:
        xy = np.full((rows.sum(), 2), 5.0 if name == "a" else 50.0)
        return PlacedSection(xy, np.full(len(xy), np.nan), IMAGE, 2.0, {name: np.eye(3)})

    return place_sections(table, SECTION, NAMES, place, options)


def test_each_section_keeps_its_rows_and_an_image_that_it_does_not_lie_on_is_left_out():
    record = placed(ResolveOptions(strays=True))
    assert record.xy[:, 0].tolist() == [5, 50, 5, 50] and record.images == (IMAGE, None)
    assert record.microns_per_pixel == (2.0, 2.0) and set(record.affines) == {(0, "a"), (1, "b")}


@pytest.mark.parametrize("options", [ResolveOptions(), ResolveOptions(image_key="he", strays=True)])
def test_an_image_that_is_needed_is_refused(options):
    with pytest.raises(ValueError, match="2 of 2 spots of section 'b' lie off image 'he'"):
        placed(options)


def test_without_image_nothing_of_images_is_asked():
    options = ResolveOptions(image_key="he", library_key="slide", image=True, strays=True, white=1.0)
    assert options.without_image() == ResolveOptions(library_key="slide", image=False, strays=True)
