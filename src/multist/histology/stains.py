"""Colour of a stained section as amounts of stain: pure array functions."""

from __future__ import annotations

import numpy as np

# Unit optical-density vectors (R, G, B) of haematoxylin and eosin, Ruifrok and Johnston (2001).
_HEMATOXYLIN = np.array([0.650, 0.704, 0.286])
_EOSIN = np.array([0.072, 0.990, 0.105])

DARK = 0.1
"""Share of the glass below which the brightest channel of tissue never is; black frames and marker pens are."""

CLEAR = 0.08
"""Mean optical density (natural logarithm) below which a pixel is as clear as glass."""


def stain_basis() -> np.ndarray:
    """(3, 3) float64: rows are the optical-density unit vectors of haematoxylin, eosin and what neither explains."""
    residual = np.cross(_HEMATOXYLIN, _EOSIN)
    basis = np.stack([_HEMATOXYLIN, _EOSIN, residual])
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


def dark_pixels(rgb: np.ndarray, white: np.ndarray) -> np.ndarray:
    """(h, w) bool: too dark in every channel to be stained tissue."""
    limit = np.uint8(min(255, round(DARK * float(white.max()))))
    return (rgb[..., 0] < limit) & (rgb[..., 1] < limit) & (rgb[..., 2] < limit)


def ink_pixels(rgb: np.ndarray) -> np.ndarray:
    """(h, w) bool: colours that haematoxylin and eosin cannot make, as drawn lines and marker pens have.

    Both stains absorb green most, so that green is never far above the lower of red and blue; and neither reaches
    a saturation of three quarters in a bright pixel.
    """
    red, green, blue = (rgb[..., i].astype(np.int16) for i in range(3))
    low, high = np.minimum(red, blue), np.maximum(np.maximum(red, green), blue)
    chroma = high - np.minimum(low, green)
    return (green - low > 40) | ((chroma > 150) & (4 * chroma > 3 * high))


def unstained_pixels(rgb: np.ndarray, white: np.ndarray) -> np.ndarray:
    """(h, w) bool: what is black or ink, and so tells nothing of the tissue."""
    return dark_pixels(rgb, white) | ink_pixels(rgb)


def white_point(rgb: np.ndarray) -> np.ndarray:
    """Colour of the glass.

    The median of the brightest twentieth of what is neither black nor ink, so that scans whose glass is grey
    (most Space Ranger images) or tinted are measured against their own glass.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, coarse.

    Returns
    -------
    (3,) float64, each at least 1.
    """
    pixels = rgb[(rgb.max(axis=-1) >= 30) & ~ink_pixels(rgb)]
    if len(pixels) == 0:
        return np.full(3, 255.0)
    brightness = pixels.sum(axis=-1, dtype=np.int32)
    return np.maximum(np.median(pixels[brightness >= np.percentile(brightness, 95)], axis=0), 1.0)


def density_table(white: np.ndarray) -> np.ndarray:
    """(256, 3) float32: natural-logarithm optical density of each uint8 value in each channel, 0 at the glass."""
    values = np.arange(256, dtype=np.float64)[:, None]
    return np.maximum(np.log((white + 1.0) / (values + 1.0)), 0.0).astype(np.float32)


def optical_density(rgb: np.ndarray, white: np.ndarray) -> np.ndarray:
    """(..., 3) float32 optical densities of uint8 pixels against the glass.

    Beer and Lambert make stains additive there.
    """
    return look_up(rgb, density_table(white))


def look_up(rgb: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(..., 3) what a (256, 3) table has for each uint8 value of each channel."""
    return np.stack([table[:, i][rgb[..., i]] for i in range(3)], axis=-1)


def look_up_sum(rgb: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(...) sum over the channels of :func:`look_up`, which is never held as a whole."""
    total = table[:, 0][rgb[..., 0]]
    total += table[:, 1][rgb[..., 1]]
    total += table[:, 2][rgb[..., 2]]
    return total


def stain_amounts(rgb: np.ndarray, white: np.ndarray) -> list[np.ndarray]:
    """Amounts of haematoxylin, eosin and the residual, three float32 arrays of shape (h, w)."""
    unmix = np.linalg.inv(stain_basis())  # densities @ unmix = amounts
    table = density_table(white).astype(np.float64)
    return [look_up_sum(rgb, (table * unmix[:, stain]).astype(np.float32)) for stain in range(3)]
