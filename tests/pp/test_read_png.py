"""PNG and JPEG of every mode come out as their picture: grey keeps its greys, transparent glass is white."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from multist.access.images import element_image
from multist.pp import read_slide


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    """Blocks of 200 colours, the upper third black where it is to be transparent."""
    colours = np.random.default_rng(0).integers(1, 256, (200, 3), dtype=np.uint8)
    colours[0] = 255
    blocks = colours[np.random.default_rng(1).integers(0, 200, (12, 12))]
    image = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    image[:32] = 0
    return image


@pytest.fixture(scope="module")
def alpha(rgb) -> np.ndarray:
    return np.where(np.arange(96)[:, None] < 32, 0, 255).repeat(96, 1).astype(np.uint8)


def shown(path: Path, **keys) -> np.ndarray:
    return element_image("he", read_slide(path, **keys)).levels[0].compute().astype(int)


def on_white(image: np.ndarray) -> np.ndarray:
    image = (image if image.ndim == 3 else image[..., None].repeat(3, 2)).astype(int)
    image[:32] = 255
    return image


def save(path: Path, kind: str, rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Write a transparent picture of a kind, and say how it looks on white."""
    grey = np.maximum(rgb[..., 0], (alpha > 0).astype(np.uint8))
    if kind == "RGBA":
        Image.fromarray(np.dstack([rgb, alpha])).save(path)
    elif kind == "LA":
        Image.fromarray(np.dstack([grey, alpha]), "LA").save(path)
    elif kind == "RGB with a transparent colour":
        Image.fromarray(rgb).save(path, transparency=(0, 0, 0))
    elif kind == "L with a transparent grey":
        Image.fromarray(grey).save(path, transparency=0)
    elif kind == "palette":
        image = Image.fromarray(rgb).quantize(256)
        image.save(path, transparency=image.getpixel((0, 0)))
        return on_white(np.asarray(image.convert("RGB")))
    else:
        deep = np.dstack([grey if kind == "LA of 16 bits" else rgb, alpha]).astype(np.uint16) * 257
        path.write_bytes(imagecodecs.png_encode(deep))
    return on_white(grey if kind.startswith("L") else rgb)


TRANSPARENT = [
    "RGBA",
    "LA",
    "RGB with a transparent colour",
    "L with a transparent grey",
    "palette",
    "RGBA of 16 bits",
    "LA of 16 bits",
]


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_is_white(tmp_path, rgb, alpha, kind):
    expected = save(tmp_path / "a.png", kind, rgb, alpha)
    assert np.abs(shown(tmp_path / "a.png") - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_grey_in_16_bits_keeps_its_greys(tmp_path, bits):
    grey = np.linspace(0, 2**bits - 1, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.abs(shown(tmp_path / "a.png") - grey[..., None] * 255.0 / (2**bits - 1)).max() <= 1
    dim = grey // 5
    Image.fromarray(dim).save(tmp_path / "b.png")
    assert np.abs(shown(tmp_path / "b.png", white=2**bits - 1) - dim[..., None] * 255.0 / (2**bits - 1)).max() <= 1


def test_colour_in_16_bits(tmp_path, rgb):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(rgb.astype(np.uint16) * 257))
    np.testing.assert_array_equal(shown(tmp_path / "a.png"), rgb)


def test_black_and_white_is_black_and_white(tmp_path, rgb):
    Image.fromarray(rgb[..., 0] > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(shown(tmp_path / "a.png")[..., 0], (rgb[..., 0] > 100) * 255)


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr", "RGB"])
def test_jpeg_of_every_model(tmp_path, rgb, mode):
    image = Image.fromarray(rgb).convert(mode)
    image.save(tmp_path / "a.jpg", quality=95)
    assert np.abs(shown(tmp_path / "a.jpg") - np.asarray(image.convert("RGB"))).mean() < 6
