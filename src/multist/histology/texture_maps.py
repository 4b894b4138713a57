"""One tile of a slide as maps whose averages over a patch describe its texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from multist.histology.stains import CLEAR, stain_amounts, stain_basis, unstained_pixels

N_LEVELS = 3
"""Octaves of the filter bank: 1, 2 and 4 working pixels."""

HALO = 48
"""Working pixels around a tile that its maps depend on; a multiple of every cell and octave."""

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_BINOMIAL = np.array([1, 4, 6, 4, 1], dtype=np.float32) / 16  # a Gaussian of standard deviation 1


@dataclass(frozen=True)
class SlideScale:
    """What a slide's texture is measured against, so that a stronger stain is not another texture.

    Attributes
    ----------
    white
        (3,) colour of the glass.
    unit
        (3,) spread of haematoxylin, eosin and residual over the slide's tissue; amounts are divided by it.
    quantiles
        (2, len(QUANTILES)) amounts of haematoxylin and eosin (in units) below which that share of the tissue lies.
    nucleus
        Response of the blob filter above which a pixel belongs to a nucleus.
    nucleus_level
        Octave at which nuclei are looked for.
    """

    white: np.ndarray
    unit: np.ndarray
    quantiles: np.ndarray
    nucleus: float
    nucleus_level: int


def scaled_stains(
    rgb: np.ndarray, weight: np.ndarray, white: np.ndarray, unit: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Haematoxylin, eosin and residual in units of the slide, and the weight less what is black or ink.

    Excluded pixels get the colour of glass, so that the edge of a black frame is no steeper than that of the tissue.
    """
    excluded = unstained_pixels(rgb, white)
    stains = [amount / np.float32(u) for amount, u in zip(stain_amounts(rgb, white), unit, strict=True)]
    if excluded.any():
        weight = weight & ~excluded
        for amount in stains:
            amount[excluded] = 0
    return stains, weight


def smooth(image: np.ndarray) -> np.ndarray:
    """Binomial low-pass, standard deviation 1 pixel."""
    rows = ndimage.correlate1d(image, _BINOMIAL, axis=0, mode="nearest")
    return ndimage.correlate1d(rows, _BINOMIAL, axis=1, mode="nearest")


def octaves(image: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Low-pass and band-pass images of each octave (Burt and Adelson, 1983).

    Each octave has half the sides of the one before.
    """
    low, band = [], []
    for level in range(N_LEVELS):
        fine = smooth(image)
        coarse = smooth(fine)
        low.append(fine)
        band.append(fine - coarse)
        if level + 1 < N_LEVELS:
            image = block_mean(coarse, 2)
    return low, band


def block_mean(image: np.ndarray, block: int) -> np.ndarray:
    """Average of ``block`` x ``block`` pixels; sides are multiples of ``block``."""
    if block == 1:
        return image
    rows = image[::block].astype(np.float32)
    for i in range(1, block):
        rows += image[i::block]
    out = rows[:, ::block].copy()
    for i in range(1, block):
        out += rows[:, i::block]
    out /= block * block
    return out


def _to_cells(image: np.ndarray, level: int, cell: int) -> np.ndarray:
    """A map of octave ``level`` on the grid of cells of ``cell`` working pixels."""
    pixel = 2**level
    if pixel <= cell:
        return block_mean(image, cell // pixel)
    repeat = pixel // cell
    return image.repeat(repeat, axis=0).repeat(repeat, axis=1)


def _peaks(image: np.ndarray, floor: float) -> np.ndarray:
    """Local maxima above ``floor`` in a 3 x 3 neighbourhood."""
    return (image > floor) & (image == ndimage.maximum_filter(image, size=3, mode="nearest"))


class _Cells:
    """Weighted maps of one tile, collected on the grid of cells."""

    def __init__(self, weight: np.ndarray, cell: int) -> None:
        self.cell = cell
        self.maps: dict[str, np.ndarray] = {}
        full = weight.all()
        self._weights = [None if full else block_mean(weight.astype(np.float32), 2**k) for k in range(N_LEVELS)]

    def add(self, name: str, image: np.ndarray, level: int = 0) -> None:
        weight = self._weights[level]
        self.maps[name] = _to_cells(image if weight is None else image * weight, level, self.cell)


def texture_maps(rgb: np.ndarray, weight: np.ndarray, scale: SlideScale, cell: int) -> dict[str, np.ndarray]:
    """All maps of one tile.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8 at the working resolution, h and w multiples of 4 and of ``cell``.
    weight
        (h, w) bool: what belongs to the tissue.
    scale
        The slide's yardstick.
    cell
        Width of a cell in working pixels: 4 or 1.

    Returns
    -------
    Name to (h / cell, w / cell) float32; ``"weight"`` is the share of tissue, and every other map is multiplied by it.
    """
    stains, weight = scaled_stains(rgb, weight, scale.white, scale.unit)
    cells = _Cells(weight, cell)
    cells.maps["weight"] = _to_cells(weight.astype(np.float32), 0, cell)
    for name, amount in zip("HER", stains, strict=True):
        cells.add(f"{name}_mean", amount)
        cells.add(f"{name}_square", amount * amount)
    for name, amount, limits in zip("HE", stains, scale.quantiles, strict=False):
        for q, limit in zip(QUANTILES, limits, strict=True):
            cells.add(f"{name}_above_q{int(100 * q)}", amount > limit)
    shares = (scale.unit * stain_basis().mean(axis=1)).astype(np.float32)
    density = stains[0] * shares[0] + stains[1] * shares[1] + stains[2] * shares[2]
    cells.add("clear", density < CLEAR)  # glass, fat or a lumen
    _add_filter_bank(cells, stains[0], stains[1], scale)
    return cells.maps


def _add_filter_bank(cells: _Cells, hematoxylin: np.ndarray, eosin: np.ndarray, scale: SlideScale) -> None:
    low_h, band_h = octaves(hematoxylin)
    low_e, band_e = octaves(eosin)
    for level in range(N_LEVELS):
        gradients = []
        for name, low, band in (("H", low_h, band_h), ("E", low_e, band_e)):
            gy, gx = _gradient(low[level])
            gradients.append((gy, gx))
            cells.add(f"{name}_edge_{level}", np.sqrt(gx * gx + gy * gy), level)
            cells.add(f"{name}_band_{level}", np.abs(band[level]), level)
            if level:
                cells.add(f"{name}_low_{level}", low[level], level)
                cells.add(f"{name}_low_square_{level}", low[level] ** 2, level)
        gy, gx = gradients[0][0] + gradients[1][0], gradients[0][1] + gradients[1][1]
        cells.add(f"xx_{level}", gx * gx, level)
        cells.add(f"yy_{level}", gy * gy, level)
        cells.add(f"xy_{level}", gx * gy, level)
    _add_scattering(cells, band_h)
    _add_nuclei(cells, low_h[scale.nucleus_level], low_e[scale.nucleus_level], band_h[scale.nucleus_level], scale)


def _gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gy, gx = np.zeros_like(image), np.zeros_like(image)
    np.subtract(image[2:], image[:-2], out=gy[1:-1])
    np.subtract(image[:, 2:], image[:, :-2], out=gx[:, 1:-1])
    return gy, gx


def _add_scattering(cells: _Cells, band: list[np.ndarray]) -> None:
    """Second order: how unevenly the fine structure is spread at coarser octaves (Bruna and Mallat, 2013)."""
    for first in range(N_LEVELS - 1):
        envelope = np.abs(band[first])
        for second in range(first + 1, N_LEVELS):
            envelope = block_mean(envelope, 2)
            fine = smooth(envelope)
            cells.add(f"H_scatter_{first}{second}", np.abs(fine - smooth(fine)), second)


def _add_nuclei(cells: _Cells, low_h: np.ndarray, low_e: np.ndarray, blob: np.ndarray, scale: SlideScale) -> None:
    level = scale.nucleus_level
    inside = blob > scale.nucleus / 2
    cells.add("nuclei", _peaks(blob, scale.nucleus).astype(np.float32) / np.float32(4**level), level)
    cells.add("nuclei_area", inside.astype(np.float32), level)
    cells.add("nuclei_H", low_h * inside, level)
    cells.add("nuclei_E", low_e * inside, level)
