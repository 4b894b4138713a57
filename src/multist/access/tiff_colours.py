"""The colour model of a TIFF image, and how its samples become colours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from multist._settings import logger
from multist.access.colours import ycbcr_to_rgb
from multist.access.tiff_metadata import fractions

_DECODERS_OF_COLOUR = {6, 7, 34892, 33007}  # JPEG is handed out as RGB, whatever is stored
_DECODERS_OF_BYTES = {
    1,
    5,
    8,
    32773,
    32946,
    34887,
    34925,
    34926,
    50000,
}  # none, LZW, deflate, ... hand out what is stored
_LUMA, _LUMA_TAG, _REFERENCE_TAG = (0.299, 0.587, 0.114), 529, 532
_UNSPECIFIED, _PREMULTIPLIED = 0, 1  # values of ExtraSamples


@dataclass(frozen=True)
class TiffColours:
    """What the samples of an image mean.

    Attributes
    ----------
    axes
        ``"YX"``, ``"YXC"`` or ``"CYX"``.
    rgb
        Whether colours are red, green and blue (and alpha), once they are decoded.
    alpha
        Value of ExtraSamples of the sample behind the colours; None where there is none.
    ycbcr
        Luma coefficients and reference black and white, where the samples are luminance and colour differences.
    """

    axes: str
    rgb: bool
    alpha: int | None
    ycbcr: tuple[tuple[float, ...], tuple[float, ...]] | None

    @property
    def premultiplied(self) -> bool:
        """Whether colours were multiplied by the alpha channel behind them."""
        return self.alpha == _PREMULTIPLIED

    def decoded(self, array: da.Array) -> da.Array:
        """The samples of a level as the file holds them to (h, w, 1, 3 or 4), grey with alpha as RGBA."""
        array = da.moveaxis(array, 0, 2) if self.axes[0] == "C" else array
        array = array[..., None] if "C" not in self.axes else array
        if self.ycbcr is not None:
            array = ycbcr_to_rgb(array, *self.ycbcr)
        if self.alpha == _UNSPECIFIED:
            return array[..., :-1]
        if self.alpha is not None and array.shape[2] == 2:
            return da.concatenate([array[..., :1]] * 3 + [array[..., 1:]], axis=2)
        return array


def read_colours(path: Path, series: Any) -> TiffColours:
    """The colours of a flat image.

    Raises
    ------
    ValueError
        It is no flat image of grey or RGB pixels with or without alpha, or its colour model cannot be converted.
    """
    axes, shape, page = series.axes, series.shape, series.keyframe
    unified = axes.replace("S", "C")
    if unified not in ("YX", "YXC", "CYX"):
        raise ValueError(
            f"{path} holds axes {axes} of sizes {shape}; a slide has height, width and colours only: export one plane "
            "of it"
        )
    if 0 in shape:
        raise ValueError(f"{path} is an image of no pixel: its directory says axes {axes} of sizes {shape}")
    channels = shape[unified.index("C")] if "C" in unified else 1
    extra = tuple(int(kind) for kind in page.extrasamples) if "S" in axes else ()
    if channels not in (1, 3, 4) and not (channels == 2 and len(extra) == 1):
        raise ValueError(f"{path} has {channels} channels; histology has 1 (grey), 3 (RGB) or 4 (RGBA)")
    if series.dtype not in (np.uint8, np.uint16) and series.dtype.kind != "f":
        raise ValueError(
            f"{path} has pixels of type {series.dtype}; export it as 8 or 16 bit, or decimal numbers in 0-1"
        )
    model = page.photometric.name
    if model not in ("RGB", "YCBCR", "MINISBLACK"):
        raise ValueError(f"{path} stores its colours as {model}; export it as RGB")
    # a fourth sample that is not said to be anything is as good as unspecified
    extra = extra or ((_UNSPECIFIED,) if "S" in axes and channels == 4 else ())
    alpha = extra[0] if len(extra) == 1 and channels in (2, 4) else None
    if alpha == _UNSPECIFIED:
        logger.warning(
            "%s: the last of %d samples a pixel is left out, as the file does not say what it is", path.name, channels
        )
    return TiffColours(unified, model in ("RGB", "YCBCR"), alpha, _ycbcr(path, page, channels))


def _ycbcr(path: Path, page: Any, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """What turns the samples into RGB, or None where they are that once they are decoded."""
    if page.photometric.name != "YCBCR" or page.compression in _DECODERS_OF_COLOUR:
        return None
    codec = getattr(page.compression, "name", page.compression)
    kept = page.compression in _DECODERS_OF_BYTES and channels == 3 and page.dtype == np.uint8
    if page.is_subsampled or not kept:
        how = "subsampled YCbCr" if page.is_subsampled else "YCbCr"
        raise ValueError(f"{path} stores its colours as {how} of {page.dtype} under {codec}; export it as RGB")
    luma = fractions(page.tags.valueof(_LUMA_TAG)) or _LUMA
    reference = fractions(page.tags.valueof(_REFERENCE_TAG)) or (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
    if len(luma) != 3 or len(reference) != 6 or min(luma) <= 0 or min(np.diff(np.reshape(reference, (3, 2)))) <= 0:
        raise ValueError(
            f"{path} stores its colours as YCbCr with coefficients {luma} and range {reference}; export it as RGB"
        )
    return luma, reference
