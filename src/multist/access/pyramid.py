"""Pyramids of slides: what a file holds, and levels as an image element of a SpatialData."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

TILE = 2048
"""Side of the chunks of a file, in pixels; tiles of a file are joined up to about this size."""

MOST_DECODED = 2**30
"""Bytes of a piece of a file, such as a tile, a strip or a chunk, that is decoded whole."""


@dataclass(frozen=True)
class Slide:
    """What a file holds.

    Attributes
    ----------
    levels
        Lazy (height, width, channel) arrays, finest first.
    rgb
        Whether the file says that the channels are red, green, blue (and alpha).
    microns_per_pixel
        Width and height of a pixel of the finest level; None where the file does not say.
    white
        Value of white, where the file says how many bits are used; of uint8 it is known anyway.
    """

    levels: tuple[da.Array, ...]
    rgb: bool
    microns_per_pixel: tuple[float, float] | None
    white: float | None = None


def image_element(levels: Sequence[da.Array], channels: Sequence[Any], transformations: dict[str, Any]) -> Any:
    """An image element of a SpatialData, multiscale if there are several levels.

    Parameters
    ----------
    levels
        Lazy (height, width, channel) arrays, finest first.
    channels
        Names of the channels.
    transformations
        Those of the finest level, by coordinate system.
    """
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import set_transformation
    from xarray import DataArray, Dataset, DataTree

    # zarr takes chunks of one size only
    arrays = [da.moveaxis(level.rechunk(level.chunksize), 2, 0) for level in levels]
    if len(arrays) == 1:
        return Image2DModel.parse(
            arrays[0], dims=("c", "y", "x"), c_coords=list(channels), transformations=transformations
        )
    scales = {}
    for k, array in enumerate(arrays):
        # centres of the pixels in those of the finest level, as spatialdata writes them
        centres = {
            axis: (np.arange(size) + 0.5) * (finest / size)
            for axis, size, finest in zip("yx", array.shape[1:], arrays[0].shape[1:], strict=True)
        }
        image = DataArray(array, dims=("c", "y", "x"), coords={"c": list(channels), **centres})
        scales[f"scale{k}"] = Dataset({"image": image})
    element = DataTree.from_dict(scales)
    set_transformation(element, transformations, set_all=True)
    Image2DModel().validate(element)
    return element
