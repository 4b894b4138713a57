"""Coordinates that cannot be: at the very borders of what is allowed."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from multist.access.check import check_apart, check_finite
from multist.access.record import SpatialRecord

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
