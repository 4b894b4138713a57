"""White is told by the type of the pixels and by most of them, never by the brightest one."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from multist.access.colours import read_scale, to_rgb
from multist.access.images import array_image


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """Tissue on glass that is not quite white."""
    rng = np.random.default_rng(0)
    image = np.full((90, 120, 3), 238.0)
    image[20:70, 20:100] = 205, 140, 190
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 250).astype(np.uint8)


def shown(array: np.ndarray, white: float | None = None) -> np.ndarray:
    return array_image("he", array, white).levels[0].compute().astype(int)


def one_pixel(value: float):
    def change(image):
        image = image / 255
        image[0, 0, 0] = value
        return image

    return change


FORMS = {
    "0-1": lambda image: image / 255,
    "0-1 in half precision": lambda image: (image / 255).astype(np.float16),
    "0-255": lambda image: image.astype(np.float32),
    "0-255 and a bit": lambda image: np.where(np.arange(image.size).reshape(image.shape) % 90, image, 255.4),
    "0-65535": lambda image: image * 257.0,
    "one pixel at 1.02": one_pixel(1.02),
    "one pixel at 40": one_pixel(40.0),
    "one pixel below 0": one_pixel(-0.001),
    "one pixel far below 0": one_pixel(-7.0),
    "one pixel infinite": one_pixel(np.inf),
    "many pixels overshoot": lambda image: np.where(np.arange(image.size).reshape(image.shape) % 90, image / 255, 1.04),
    "8 bits in uint16": lambda image: image.astype(np.uint16),
    "8 bits in int32": lambda image: image.astype(np.int32),
    "all of int8": lambda image: (image // 2).astype(np.int8),
    "all of int16": lambda image: np.rint(image / 255 * 32767).astype(np.int16),
    "all of uint32": lambda image: image.astype(np.uint32) * 16843009,
    "8 bits up to 256": lambda image: np.rint(image / 255 * 256).astype(np.uint16),
    "8 bits in int64": lambda image: image.astype(np.int64),
    **{
        f"{bits} bits in {name}": lambda image, bits=bits, name=name: np.rint(image / 255 * (2**bits - 1)).astype(name)
        for bits, name in [
            (10, "uint16"),
            (12, "uint16"),
            (14, "uint16"),
            (16, "uint16"),
            (12, "int32"),
            (12, "float32"),
        ]
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_picture_comes_out_whatever_the_type(rgb, form):
    found = shown(FORMS[form](rgb.copy()))
    off = np.abs(found - rgb)
    assert np.percentile(off, 98) <= (2 if form == "all of int8" else 1), (
        "a few pixels may be broken, the picture is not"
    )


def test_one_broken_bright_pixel_of_twelve_bits_changes_nothing(rgb):
    deep = np.rint(rgb / 255 * 4095).astype(np.uint16)
    deep[3, 3] = 65535
    assert np.abs(shown(deep) - rgb)[5:].max() <= 1


@pytest.mark.parametrize("dtype", ["bool", "uint8"])
def test_of_these_types_white_is_known_and_no_pixel_is_read(dtype):
    asked = []

    def block(block_info=None):
        asked.append(block_info)
        return np.ones((10, 10, 3), dtype)

    array = da.map_blocks(block, chunks=((10,), (10,), (3,)), dtype=dtype, meta=np.empty((0, 0, 0), dtype))
    lazy = to_rgb(array, read_scale(array, "image 'he'"))
    assert asked == []
    assert (lazy.compute() == (255 if dtype == "bool" else 1)).all()


@pytest.mark.parametrize(
    "array",
    [
        np.linspace(-2, 2, 3000).reshape(10, 100, 3),  # standardised
        np.linspace(0, 2.0, 3000).reshape(10, 100, 3),
        np.linspace(0, 100.0, 3000).reshape(10, 100, 3),
        np.linspace(0, 400, 3000).reshape(10, 100, 3).astype(np.uint16),
        np.linspace(0, 20_000, 3000).reshape(10, 100, 3).astype(np.uint16),
        np.linspace(-300, 200, 3000).reshape(10, 100, 3).astype(np.int16),
        np.linspace(0, 1e6, 3000).reshape(10, 100, 3).astype(np.int64),
        np.full((10, 100, 3), np.nan),
    ],
    ids=["negative", "0-2", "0-100", "0-400", "dim 16 bits", "negative integers", "a million", "nothing"],
)
def test_what_cannot_be_told_is_refused_and_white_offered(array):
    with pytest.raises(ValueError, match="image 'he' holds values from .* give white="):
        shown(array)
    assert shown(np.nan_to_num(array), white=float(np.nanmax(np.nan_to_num(array, nan=1.0)))).max() <= 255


def test_a_white_that_the_type_cannot_hold_is_refused(rgb):
    """As when an image of twelve bits has become one of eight already."""
    with pytest.raises(ValueError, match="image 'he' is uint8, which holds no white of 4095"):
        shown(rgb, white=4095)


def test_words_are_no_colours():
    with pytest.raises(ValueError, match="values of type <U1"):
        shown(np.full((4, 4, 3), "a"))


@pytest.mark.parametrize("alpha_white", [1, 255, 4095, 65535])
@pytest.mark.parametrize(("dtype", "white"), [("uint16", 4095), ("float32", 1)])
def test_alpha_has_a_scale_of_its_own(rgb, white, alpha_white, dtype):
    alpha = np.ones(rgb.shape[:2])
    alpha[:20] = 0
    image = np.dstack([rgb / 255 * white, alpha * alpha_white])
    image[:20, :, :3] = 0  # what is transparent is often black
    found = shown((image if dtype.startswith("float") else np.rint(image)).astype(dtype))
    assert (found[:20] == 255).all()
    assert np.abs(found[20:] - rgb[20:]).max() <= 1


def test_missing_pixels_are_white(rgb):
    image = rgb / 255
    image[:10] = np.nan
    assert (shown(image)[:10] == 255).all()
