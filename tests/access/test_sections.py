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


WIDE = SectionImage("he", (da.zeros((20, 30, 3), np.uint8),), (1.0,))
ON, AT_EDGE = [15.0, 10.0], [[-1.0, 10], [31, 10], [15, -1], [15, 21]]


def lies(xy, diameter=2.0, **options) -> bool:
    """Whether an image of 30 x 20 pixels is taken for spots at these places."""
    xy = np.array(xy, dtype=float)
    spots = PlacedSection(xy, np.full(len(xy), diameter), WIDE, None, {})
    table, section = ad.AnnData(np.zeros((len(xy), 1))), np.zeros(len(xy), int)
    record = place_sections(table, section, ("section",), lambda name, rows: spots, ResolveOptions(**options))
    return record.images == (WIDE,)


def test_a_disc_that_touches_the_image_lies_on_it():
    assert lies(AT_EDGE) and lies([[-np.sqrt(0.5) + 1e-9, -np.sqrt(0.5) + 1e-9]])
    assert lies([[0, 0], [30, 20]], np.nan)
    for place in [*AT_EDGE, [-0.5, -0.5]]:
        with pytest.raises(ValueError, match="1 of 1 spots lie off image 'he'"):
            lies([place], 1.3 if place == [-0.5, -0.5] else 1.9)
        with pytest.raises(ValueError, match="lie off image"):
            lies([place], np.nan)


def test_half_of_the_spots_off_the_image_are_no_strays():
    off = [[100.0, 10]]
    with pytest.raises(ValueError, match=r"1 of 3 .*x from 15 to 100, y from 10 to 10 on 30 x 20 pixels; remove"):
        lies([ON, ON, *off])
    with pytest.raises(ValueError, match="check the scale factor"):
        lies([ON, *off])


def test_strays_are_warned_of_and_where_they_are_many_the_image_is_left_out(caplog):
    off = [[100.0, 10]]
    assert lies([ON, ON, *off], strays=True, image_key="he")
    assert "1 of 3 spots" in caplog.text and "left out" not in caplog.text
    with pytest.raises(ValueError, match="check the scale factor"):
        lies([ON, *off], strays=True, image_key="he")
    assert not lies([ON, *off], strays=True)
    assert "the image is left out" in caplog.text
    assert lies([ON, ON, *off], strays=True)


@pytest.mark.parametrize(("unit", "fits"), [(0.02, False), (0.04, True)])
def test_spots_of_which_ten_lie_side_by_side_in_a_pixel_have_another_unit(unit, fits):
    xy = 10 + unit * np.column_stack([np.arange(12.0), np.zeros(12)])
    if fits:
        assert lies(xy)
        return
    with pytest.raises(ValueError, match=r"all 12 spots.* lie within 0.22 pixels of image 'he': check the unit"):
        lies(xy, strays=True)
