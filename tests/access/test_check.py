"""Coordinates that cannot be: at the very borders of what is allowed."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest

from multist.access.check import check_apart, check_finite, lies_on_image
from multist.access.record import SectionImage, SpatialRecord

NAMES = pd.Index([f"spot{i}" for i in range(6)])


def record(xy, section=None) -> SpatialRecord:
    xy = np.array(xy, dtype=float)
    section = np.zeros(len(xy), int) if section is None else np.array(section)
    names = tuple("ab"[: section.max(initial=0) + 1])
    nothing = (None,) * len(names)
    return SpatialRecord(
        ad.AnnData(obs=pd.DataFrame(index=NAMES[: len(xy)])), xy, np.ones(len(xy)), section, names, nothing, nothing
    )


def test_what_is_not_finite_is_counted_and_the_first_three_are_named():
    xy = np.zeros((6, 2))
    xy[1:5, 1] = np.nan, np.inf, -np.inf, np.nan
    with pytest.raises(ValueError, match=r"for 4 of 6 observations \('spot1', 'spot2', 'spot3'\)"):
        check_finite(xy, NAMES, "here")


def test_the_largest_coordinate_that_there_can_be():
    check_finite(np.array([[1e15, -1e15]]), NAMES[:1], "here")
    check_finite(np.empty((0, 2)), NAMES[:0], "here")
    for value in (1.1e15, -1.1e15):
        with pytest.raises(ValueError, match="as large as"):
            check_finite(np.array([[0, value]]), NAMES[:1], "here")


@pytest.mark.parametrize("xy", [[[5, 5]], [[5, 5], [5, 6]], [[0, 0], [1e-20, 0]], [[1e6, 1e6], [1e6, 1e6 + 1e-3]]])
def test_spots_that_differ_lie_apart(xy):
    check_apart(record(xy))


@pytest.mark.parametrize("xy", [[[5, 5], [5, 5]], [[0, 0], [0, 0]], [[1e6, 1e6], [1e6, 1e6 * (1 + 1e-15)]]])
def test_spots_at_one_place_are_refused_up_to_rounding(xy):
    with pytest.raises(ValueError, match="all 2 spots of section 'a' lie at one place"):
        check_apart(record(xy))


def test_each_section_is_looked_at_by_itself():
    check_apart(record([[0, 0], [1, 1], [0, 0], [1, 1]], [0, 0, 1, 1]))
    with pytest.raises(ValueError, match=r"all 2 spots of section 'b' lie at one place, \(1, 2\)"):
        check_apart(record([[0, 0], [1, 1], [1, 2], [1, 2]], [0, 0, 1, 1]))


IMAGE = SectionImage("he", (da.zeros((20, 30, 3), np.uint8),), (1.0,))
ON, AT_EDGE = [15.0, 10.0], [[-1.0, 10], [31, 10], [15, -1], [15, 21]]


def lies(xy, diameter=2.0, **kwargs) -> bool:
    xy = np.array(xy, dtype=float)
    return lies_on_image(xy, np.full(len(xy), diameter), IMAGE, NAMES, "section", **kwargs)


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
    assert lies([ON, ON, *off], strays=True)
    assert "1 of 3 spots" in caplog.text and "left out" not in caplog.text
    with pytest.raises(ValueError, match="check the scale factor"):
        lies([ON, *off], strays=True)
    assert not lies([ON, *off], strays=True, needed=False)
    assert "the image is left out" in caplog.text
    assert lies([ON, ON, *off], strays=True, needed=False)


@pytest.mark.parametrize(("unit", "fits"), [(0.02, False), (0.04, True)])
def test_spots_of_which_ten_lie_side_by_side_in_a_pixel_have_another_unit(unit, fits):
    xy = 10 + unit * np.column_stack([np.arange(12.0), np.zeros(12)])
    if fits:
        assert lies(xy)
        return
    with pytest.raises(ValueError, match=r"all 12 spots.* lie within 0.22 pixels of image 'he': check the unit"):
        lies(xy, strays=True)
