"""Pixels of any type and colour model as RGB of 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import dask.array as da
import numpy as np

from multist._numbers import is_positive
from multist._settings import logger

_DEPTHS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # white of 8, 10, 12, 14 and 16 bits
_OVERSHOOT = 0.1  # share of white by which resampled decimal numbers may go beyond it
_ROUNDING = 0.005  # the same of whole numbers: 256 and 4096 are white of 8 and 12 bits too
_QUANTILES = (0.001, 0.999)  # a few broken pixels tell nothing
_SAMPLED_SIDE = 2000


@dataclass(frozen=True)
class Scale:
    """The values of white and of an opaque pixel."""

    white: float
    opaque: float


def read_scale(array: da.Array, name: str, white: float | None = None) -> Scale:
    """Tell the values of white and opaque by the type of the pixels, or else by what the pixels hold.

    Parameters
    ----------
    array
        (height, width, 1, 3 or 4), the fourth channel an alpha channel; pixels are read unless they are uint8 or bool.
    name
        Of the image, for errors.
    white
        White, where it is known.

    Raises
    ------
    ValueError
        The values do not tell, or ``white`` is not positive or more than the type can hold.
    """
    check_white(white)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} holds values of type {array.dtype}; expected numbers")
    if white is not None and array.dtype.kind in "ui" and white > np.iinfo(array.dtype).max:
        raise ValueError(
            f"{name} is {array.dtype}, which holds no white of {white:g}: leave white= out if it was converted before"
        )
    usual = {"uint8": 255.0, "bool": 1.0}.get(array.dtype.name)
    has_alpha = array.shape[2] == 4
    if usual is not None:
        return Scale(usual if white is None else float(white), usual)
    if white is not None and not has_alpha:
        return Scale(float(white), float(white))
    step = max(1, -(-max(array.shape[:2]) // _SAMPLED_SIDE))
    sample = np.asarray(array[::step, ::step]).astype(np.float64)
    colours = sample[..., :3] if has_alpha else sample
    found = _white(colours, array.dtype, name) if white is None else float(white)
    return Scale(found, _opaque(sample[..., 3], array.dtype, found) if has_alpha else found)


def check_white(white: float | None) -> None:
    """Raise a ValueError if the value that a user gives for white is none."""
    if white is not None and not is_positive(white):
        raise ValueError(f"white must be a positive number, the value of a white pixel; got {white!r}")


def to_rgb(array: da.Array, scale: Scale) -> da.Array:
    """(h, w, 1, 3 or 4) of any type as (h, w, 3) uint8, lazily; transparent and missing pixels become white."""
    if array.numblocks[2] > 1:
        array = array.rechunk({2: -1})
    if array.dtype == np.uint8 and array.shape[2] == 3 and scale.white == 255:
        return array
    return _mapped(_block_to_rgb, array, 3, np.dtype(np.uint8), scale=scale)


def ycbcr_to_rgb(array: da.Array, luma: tuple[float, ...], reference: tuple[float, ...]) -> da.Array:
    """(h, w, 3) uint8 of luminance and two colour differences as red, green and blue (TIFF 6.0, section 21).

    Parameters
    ----------
    array
        The samples.
    luma
        Shares of red, green and blue in the luminance.
    reference
        Codes of black and white of each of the three samples.
    """
    return _mapped(_block_from_ycbcr, array, 3, array.dtype, luma=luma, reference=reference)


def over_white(array: da.Array, white: float) -> da.Array:
    """Colours that were multiplied by the alpha channel behind them, laid over white; without that channel."""
    return _mapped(_block_over_white, array, array.shape[2] - 1, array.dtype, white=white)


def _mapped(function: object, array: da.Array, channels: int, dtype: np.dtype, **arguments: object) -> da.Array:
    array = array.rechunk({2: -1}) if array.numblocks[2] > 1 else array
    chunks, meta = (*array.chunks[:2], (channels,)), np.empty((0, 0, 0), dtype)
    return da.map_blocks(function, array, dtype=dtype, chunks=chunks, meta=meta, **arguments)


def _white(colours: np.ndarray, dtype: np.dtype, name: str) -> float:
    finite = colours[np.isfinite(colours)]
    low, high = np.quantile(finite, _QUANTILES, method="nearest") if finite.size else (np.nan, np.nan)
    decimal = dtype.kind == "f"
    beyond = 1 + (_OVERSHOOT if decimal else _ROUNDING)
    most = np.inf if decimal else float(np.iinfo(dtype).max)
    whites = [1.0, *_DEPTHS] if decimal else sorted({most, *(depth for depth in _DEPTHS if depth <= most)})
    # below the first white anything may be a dark picture; above, one darker than half of the next could be either
    fitting = [w for w in whites if high <= w * beyond and (w == whites[0] or high > w / 2)]
    if not fitting or low < -_OVERSHOOT * fitting[0] * decimal:
        raise ValueError(
            f"{name} holds values from {low:g} to {high:g} (its first and last thousandth left out), which do not "
            "tell how large white is; expected 0-1, 0-255, or 10 to 16 bits with a bright background: give white=, "
            "or convert it to 8 bits"
        )
    if decimal or fitting[0] != most:
        said = "%s (%s): white is taken to be %g, as values reach %.4g"
        logger.info(said, name, dtype, fitting[0], high, extra={"once": True})
    return fitting[0]


def _opaque(alpha: np.ndarray, dtype: np.dtype, white: float) -> float:
    """The smallest scale that the alpha channel fits: it need not be that of the colours."""
    finite = alpha[np.isfinite(alpha)]
    top = finite.max() if finite.size else 0.0
    if top <= 0:
        return white  # nothing is opaque
    beyond = 1 + (_OVERSHOOT if dtype.kind == "f" else _ROUNDING)
    return next((w for w in (1.0, *_DEPTHS) if top <= w * beyond), float(top))


def _block_to_rgb(block: np.ndarray, scale: Scale) -> np.ndarray:
    values = block.astype(np.float32)
    colour = np.nan_to_num(values[..., :3] / np.float32(scale.white), nan=1.0)
    if values.shape[2] == 4:
        alpha = np.clip(np.nan_to_num(values[..., 3:] / np.float32(scale.opaque)), 0, 1)
        colour = np.clip(colour, 0, 1) * alpha + (1 - alpha)
    colour = np.broadcast_to(colour, (*colour.shape[:2], 3))
    return np.rint(np.clip(colour, 0, 1) * 255).astype(np.uint8)


def _block_from_ycbcr(block: np.ndarray, luma: tuple[float, ...], reference: tuple[float, ...]) -> np.ndarray:
    black, white = np.reshape(np.asarray(reference, np.float32), (3, 2)).T
    scaled = (block - black) / (white - black) * np.array([255, 127, 127], np.float32)
    y, cb, cr = np.moveaxis(scaled.astype(np.float32), 2, 0)
    red = cr * (2 - 2 * luma[0]) + y
    blue = cb * (2 - 2 * luma[2]) + y
    green = (y - luma[2] * blue - luma[0] * red) / luma[1]
    return np.rint(np.clip(np.stack([red, green, blue], axis=-1), 0, 255)).astype(block.dtype)


def _block_over_white(block: np.ndarray, white: float) -> np.ndarray:
    values = block.astype(np.float64)
    mixed = np.clip(values[..., :-1] + white - values[..., -1:], 0, white)
    return (mixed if block.dtype.kind == "f" else np.rint(mixed)).astype(block.dtype)
