"""Images of any form as pyramids of RGB: channels by their names, and levels by their shapes."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from multist.access.images import array_image, element_image, looks_rgb

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def element(array: np.ndarray, names: list[object] | None = None, dims=("y", "x", "c")) -> xr.DataArray:
    return xr.DataArray(array, dims=dims, coords={} if names is None else {"c": names})


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("form", ["rgb", "grey", "grey with an axis", "rgba"])
def test_forms_of_arrays(form, lazy):
    array = {
        "rgb": RGB,
        "grey": RGB[..., 0],
        "grey with an axis": RGB[..., :1],
        "rgba": np.concatenate([RGB, np.full((4, 6, 1), 255, np.uint8)], axis=2),
    }[form]
    image = array_image("he", da.from_array(array) if lazy else array)
    expected = RGB if "rgb" in form else np.repeat(RGB[..., :1], 3, axis=2)
    np.testing.assert_array_equal(image.levels[0], expected)
    assert image.key == "he" and image.shape == (4, 6) and image.downsample == (1.0,)


@pytest.mark.parametrize("shape", [(4,), (0, 6), (4, 6, 3, 1), (4, 0, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"image 'he' has shape .*; expected \(height, width\)"):
        array_image("he", np.zeros(shape, np.uint8))


@pytest.mark.parametrize("count", [2, 5])
def test_other_numbers_of_channels_are_refused(count):
    with pytest.raises(ValueError, match=f"has {count} channels"):
        array_image("he", np.zeros((4, 6, count), np.uint8))
    with pytest.raises(ValueError, match=f"has {count} channels"):
        element_image("he", element(np.zeros((4, 6, count), np.uint8)))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["r", "g", "b"], [0, 1, 2]),
        (["Blue", "Green", "Red"], [2, 1, 0]),
        (["g", "r", "b"], [1, 0, 2]),
        ([0, 1, 2], [0, 1, 2]),
        (["g", "g", "r"], [0, 1, 2]),
        (["r", "b", "x"], [0, 1, 2]),
        (None, [0, 1, 2]),
    ],
)
def test_channels_are_put_in_order_by_their_names(names, order):
    image = element_image("he", element(RGB, names))
    np.testing.assert_array_equal(image.levels[0], RGB[..., order])


def test_axes_may_come_in_any_order():
    image = element_image("he", element(np.moveaxis(RGB, 2, 0), dims=("c", "y", "x")))
    np.testing.assert_array_equal(image.levels[0], RGB)


@pytest.mark.parametrize(
    ("count", "names", "expected"),
    [
        (3, None, True),
        (4, None, True),
        (2, None, False),
        (1, None, False),
        (5, None, False),
        (3, ["R", "G", "B"], True),
        (3, ["0", "1", "2"], True),
        (3, ["DAPI", "CD3", "CD8"], False),
        (3, ["r", "g", "CD8"], False),
        (3, ["0", "1", "r"], False),
    ],
)
def test_what_may_be_histology(count, names, expected):
    assert looks_rgb(element(np.zeros((2, 2, count), np.uint8), names)) == expected


def test_a_volume_is_none():
    volume = xr.DataArray(np.zeros((3, 2, 2, 2)), dims=("c", "z", "y", "x"))
    assert not looks_rgb(volume)
    with pytest.raises(ValueError, match="image 'ct' is a volume; histology is flat: take one plane of it"):
        element_image("ct", volume)


def pyramid(*shapes: tuple[int, int]) -> xr.DataTree:
    levels = [element(np.zeros((*shape, 3), np.uint8)) for shape in shapes]
    return xr.DataTree.from_dict({f"scale{k}": xr.Dataset({"image": level}) for k, level in enumerate(levels)})


def test_levels_whose_pixels_are_not_square_are_left_out():
    image = element_image("he", pyramid((80, 60), (40, 30), (20, 14), (20, 10), (10, 7)))
    # a row or column may be cut off, but not five of fifteen
    assert [level.shape[:2] for level in image.levels] == [(80, 60), (40, 30), (20, 14), (10, 7)]
    assert image.downsample == pytest.approx((1, 2, (4 + 60 / 14) / 2, (8 + 60 / 7) / 2))


def test_of_more_than_ten_levels_the_order_is_that_of_their_numbers():
    image = element_image("he", pyramid(*[(1200 // (k + 1), 1200 // (k + 1)) for k in range(12)]))
    assert np.all(np.diff(image.downsample) > 0)
