"""Move the tissue's colours of a lazy image, and leave everything else bit for bit: arrays in, arrays out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from multist.histology.stains import CLEAR, density_table, look_up_sum, unstained_pixels

if TYPE_CHECKING:
    import dask.array as da

    from multist.histology.tissue import Overview

# values of an image from which on a table of all colours, which takes about a second, is faster
_MIN_VALUES_FOR_TABLE = 3 * 2**25
_TABLES: dict[bytes, np.ndarray] = {}
_TABLE_LOCK = threading.Lock()
_STRIP_ROWS = 64  # rows of a block that are recoloured at once, few enough for the processor's cache
_RIDGE = 1e-4  # variance of optical density below the noise of any camera


def tissue_moments(densities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3,) mean and (3, 3) covariance of (n, 3) optical densities.

    Raises
    ------
    ValueError
        If there are too few pixels to tell.
    """
    if len(densities) < 50:
        raise ValueError(
            f"only {len(densities)} stained pixels were found at the spots: is this the H&E image, and do the spots "
            "lie on it?"
        )
    values = densities.astype(np.float64)
    return values.mean(axis=0), np.cov(values.T)


def linear_transfer(
    source: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The affine map that moves one mean and covariance to another and changes the densities least.

    The linear Monge-Kantorovich map (Pitie and Kokaram, 2007). Channel-wise standard deviations, as the published
    method moves them, would leave how the channels go together, and with it the hues of the two stains.

    Returns
    -------
    (3, 3) matrix and (3,) offset: ``densities @ matrix + offset``.
    """
    a, b = (cov + _RIDGE * np.eye(3) for _, cov in (source, target))
    root = _power(a, 0.5)
    inverse = _power(a, -0.5)
    matrix = inverse @ _power(root @ b @ root, 0.5) @ inverse
    return matrix, target[0] - source[0] @ matrix


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T


@dataclass(frozen=True, eq=False)
class DensityTransfer:
    """From (h, w, 3) uint8 to three (h, w) float32 channels whose densities are ``densities @ matrix + offset``.

    The exponential of a sum is a product, so that nine tables of 256 values take the place of logarithms and
    exponentials.

    Attributes
    ----------
    matrix, offset
        (3, 3) and (3,) from :func:`linear_transfer`.
    white, target_white
        (3,) glass of the source and of the result.
    """

    matrix: np.ndarray
    offset: np.ndarray
    white: np.ndarray
    target_white: np.ndarray

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        table = density_table(self.white).astype(np.float64)
        factors = np.exp(-table[:, :, None] * self.matrix).astype(np.float32)  # value, channel, new channel
        glass = (self.target_white + 1).astype(np.float32)
        scale = (glass * np.exp(-self.offset)).astype(np.float32)
        return factors, scale

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        """The new channels."""
        factors, scale = self._tables
        glass = (self.target_white + 1).astype(np.float32)
        channels = []
        for new in range(3):
            value = (scale[new] * factors[:, 0, new])[rgb[..., 0]]
            value *= factors[:, 1, new][rgb[..., 1]]
            value *= factors[:, 2, new][rgb[..., 2]]
            np.minimum(value, glass[new], out=value)  # nothing is clearer than glass
            value -= 1
            channels.append(value)
        return channels

    def key(self) -> bytes:
        """Equal for equal functions."""
        return b"".join(
            np.ascontiguousarray(part, np.float64).tobytes()
            for part in (self.matrix, self.offset, self.white, self.target_white)
        )


def recolour(level: da.Array, downsample: float, overview: Overview, change: DensityTransfer | da.Array) -> da.Array:
    """Replace the colours of the tissue, lazily.

    Pixels off the tissue, black ones and ink keep their bits; clear pixels within the tissue do too, and the palest
    stained ones change in proportion to their density, so that no edge appears.

    Parameters
    ----------
    level
        (h, w, 3) uint8.
    downsample
        Width of its pixels in intrinsic pixels.
    overview
        Glass and tissue of the slide.
    change
        The new colour of each colour; or an array like ``level`` that holds the new colours.

    Returns
    -------
    (h, w, 3) uint8, as lazy as ``level``, in the same chunks.
    """
    import dask.array as da

    source = da.asarray(level)
    if source.numblocks[2] > 1:
        source = source.rechunk({2: -1})
    context: dict[str, Any] = {"downsample": downsample, "overview": overview, "dtype": np.uint8}
    meta = np.empty((0, 0, 0), np.uint8)
    if isinstance(change, DensityTransfer):
        context["by_table"] = source.size >= _MIN_VALUES_FOR_TABLE
        return da.map_blocks(_recolour_block, source, change=change, meta=meta, **context)
    return da.map_blocks(_recolour_block, source, da.asarray(change).rechunk(source.chunks), meta=meta, **context)


def _recolour_block(
    block: np.ndarray,
    new: np.ndarray | None = None,
    *,
    downsample: float,
    overview: Overview,
    change: DensityTransfer | None = None,
    by_table: bool = False,
    block_info: Any = None,
) -> np.ndarray:
    (top, bottom), (left, right) = block_info[0]["array-location"][:2]
    x = (np.arange(left, right) + 0.5) * downsample
    y = (np.arange(top, bottom) + 0.5) * downsample
    tissue = overview.tissue_at(y, x)
    if not tissue.any():
        return block
    out = np.empty(block.shape, np.uint8)
    for start in range(0, len(block), _STRIP_ROWS):
        strip = slice(start, start + _STRIP_ROWS)
        rgb, inside = block[strip], tissue[strip]
        if not inside.any():
            out[strip] = rgb
        elif change is not None and by_table:
            _look_up(rgb, inside, _table(change), out[strip])
        else:
            colours = change(rgb) if change is not None else np.moveaxis(new[strip], 2, 0)  # type: ignore[index]
            _blend(rgb, colours, _weight(rgb, inside, overview.white), out[strip])
    return out


def _blend(rgb: np.ndarray, colours: Any, weight: np.ndarray, out: np.ndarray) -> None:
    for channel, colour in enumerate(colours):
        old = rgb[..., channel].astype(np.float32)
        mixed = old + weight * (colour - old)  # exactly the old value where the weight is 0
        out[..., channel] = np.rint(np.clip(mixed, 0, 255, out=mixed), out=mixed)


def _look_up(rgb: np.ndarray, tissue: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    code = rgb[..., 0].astype(np.intp)
    for channel in (1, 2):
        code <<= 8
        code |= rgb[..., channel]
    np.take(table, code, axis=0, out=out, mode="clip")  # without "clip" numpy buffers the result
    if not tissue.all():
        np.copyto(out, rgb, where=~tissue[..., None])


def _table(change: DensityTransfer) -> np.ndarray:
    """(2 ** 24, 3) uint8: what becomes of every colour in the tissue; made once in each process, 50 MB."""
    key = change.key()
    with _TABLE_LOCK:  # several threads want it at once, and one of them is to make it
        if key not in _TABLES:
            _TABLES.clear()
            table = np.empty((256, 256 * 256, 3), np.uint8)
            table[..., 1:] = np.stack(np.divmod(np.arange(256 * 256), 256), axis=-1)
            inside = np.ones((1, 256 * 256), bool)
            for red in range(256):
                row = table[red : red + 1]
                row[..., 0] = red
                colours = row.copy()
                _blend(colours, change(colours), _weight(colours, inside, change.white), row)
            _TABLES[key] = table.reshape(-1, 3)
        return _TABLES[key]


def _weight(rgb: np.ndarray, tissue: np.ndarray, white: np.ndarray) -> np.ndarray:
    """(h, w) float32: 0 where a pixel is kept, 1 where it is replaced."""
    if not tissue.any():
        return np.zeros(tissue.shape, np.float32)
    weight = np.clip(look_up_sum(rgb, density_table(white) / 3) / CLEAR - 0.5, 0, 1)
    weight[~tissue | unstained_pixels(rgb, white)] = 0
    return weight
