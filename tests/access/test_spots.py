"""Centres and diameters of what a table's rows stand for, by hand."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from spatialdata.models import Labels2DModel

from multist.access.spots import apply_affine, element_spots


@pytest.mark.parametrize("chunks", [(4, 6), (2, 3), (3, 1)])
def test_labels_are_measured_block_by_block(chunks):
    labels = np.zeros((4, 6), int)
    labels[0, 0] = 7
    labels[1:4, 2:5] = 3  # over all blocks
    element = Labels2DModel.parse(da.from_array(labels, chunks=chunks), dims=("y", "x"))
    centres, diameters = element_spots(element, "cells", np.array([3, 7]))
    np.testing.assert_allclose(centres, [[3.5, 2.5], [0.5, 0.5]])
    np.testing.assert_allclose(diameters, 2 * np.sqrt(np.array([9, 1]) / np.pi))


def test_an_affine_moves_centres_and_scales_diameters_by_the_root_of_the_area():
    matrix = np.array([[0.0, -4, 10], [9, 0, 20], [0, 0, 1]])
    xy, diameter = apply_affine(matrix, np.array([[1.0, 2], [0, 0]]), np.array([1.0, np.nan]))
    np.testing.assert_allclose(xy, [[2, 29], [10, 20]])
    np.testing.assert_allclose(diameter, [6, np.nan])


def test_what_is_missing_is_counted_and_three_are_named(toy):
    shapes = toy.circles(np.eye(2), [5, 6], {})
    with pytest.raises(ValueError, match=r"4 of 5 rows .* 'spots' does not have \(1, 2, 3\)$"):
        element_spots(shapes, "spots", np.array([1, 2, 5, 3, 4]))
    with pytest.raises(ValueError, match="instances are (object|str), the region's index is int64: make them the same"):
        element_spots(shapes, "spots", np.array(["5", "x"], dtype=object))


def test_an_instance_that_is_there_twice_is_named(toy):
    with pytest.raises(ValueError, match="'spots' holds the instance 5 more than once"):
        element_spots(toy.circles(np.zeros((3, 2)), [4, 5, 5], {}), "spots", np.array([4]))


@pytest.mark.parametrize("chunks", [(4, 6), (2, 3)])
def test_the_background_of_labels_is_no_instance(chunks):
    labels = np.zeros((4, 6), int)
    labels[1:3, 1:3] = 1
    element = Labels2DModel.parse(da.from_array(labels, chunks=chunks), dims=("y", "x"))
    with pytest.raises(ValueError, match=r"1 of 2 rows .* 'cells' does not have \(0\); 0 is the background of labels"):
        element_spots(element, "cells", np.array([1, 0]))


def test_rows_come_in_the_order_of_the_table(toy):
    shapes = toy.circles(np.array([[1.0, 2], [3, 4], [5, 6]]), ["a", "b", "c"], {}, radius=2.5)
    centres, diameters = element_spots(shapes, "spots", pd.Index(["c", "a", "c"]).to_numpy())
    np.testing.assert_array_equal(centres, [[5, 6], [1, 2], [5, 6]])
    np.testing.assert_array_equal(diameters, 5)
    shapes.index = [5, 15, 25]
    centres, _ = element_spots(shapes, "spots", np.array([25, 5], dtype=np.int32))
    np.testing.assert_array_equal(centres, [[5, 6], [1, 2]])
