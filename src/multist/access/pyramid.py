"""Image elements of a SpatialData that lie where another one lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from multist.access.images import element_scales

if TYPE_CHECKING:
    from xarray import DataArray, DataTree

MICRONS = "um"
"""Coordinate system in which a slide lies whose pixels have a known size."""

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


def rgb_element(source: Any, levels: tuple[Any, ...]) -> Any:
    """An RGB image element with the transformations and the pyramid of another.

    Parameters
    ----------
    source
        Image element of a SpatialData, single or multiscale.
    levels
        Arrays (height, width, 3) uint8 like the source's scales, finest first, or the finest alone. Levels that are
        missing are made by averaging the one before.
    """
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import get_transformation
    from xarray import DataArray

    scales = element_scales(source)
    given = [da.asarray(level) for level in levels]
    shapes = [(scale.sizes["y"], scale.sizes["x"]) for scale in scales]
    for shape in shapes[len(given) :]:
        given.append(_coarsened(given[-1], shape))
    # zarr takes chunks of one size only
    given = [array.rechunk(array.chunksize) for array in given]
    transformations: Any = get_transformation(source, get_all=True)
    if not hasattr(source, "children"):
        return Image2DModel.parse(
            da.moveaxis(given[0], 2, 0), dims=("c", "y", "x"), c_coords=["r", "g", "b"], transformations=transformations
        )
    images = []
    for array, scale in zip(given, scales, strict=True):
        coords = {axis: scale.coords[axis].values for axis in ("y", "x") if axis in scale.coords}
        coords["c"] = np.array(["r", "g", "b"])
        images.append(DataArray(da.moveaxis(array, 2, 0), dims=("c", "y", "x"), coords=coords))
    return multiscale(images, dict(transformations))


def image_element(
    levels: Sequence[da.Array], channels: Sequence[Any], microns_per_pixel: tuple[float, float] | None
) -> Any:
    """An image element of lazy levels, multiscale if there are several.

    Parameters
    ----------
    levels
        (height, width, channel) arrays, finest first.
    channels
        Names of the channels.
    microns_per_pixel
        Width and height of a pixel of the finest level; None where it is unknown.

    Returns
    -------
    The element, whose pixels are those of ``"global"``, and which lies in ``MICRONS`` too if their size is known.
    """
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Identity, Scale
    from xarray import DataArray

    transformations: dict[str, Any] = {"global": Identity()}
    if microns_per_pixel is not None:
        transformations[MICRONS] = Scale(list(microns_per_pixel), axes=("x", "y"))
    arrays = [da.moveaxis(level, 2, 0) for level in levels]
    if len(arrays) == 1:
        return Image2DModel.parse(
            arrays[0], dims=("c", "y", "x"), c_coords=list(channels), transformations=transformations
        )
    images = []
    for array in arrays:
        # centres of the pixels in those of the finest level, as spatialdata writes them
        steps = {axis: arrays[0].shape[i] / array.shape[i] for i, axis in ((1, "y"), (2, "x"))}
        centres = {axis: (np.arange(array.shape[i]) + 0.5) * steps[axis] for i, axis in ((1, "y"), (2, "x"))}
        images.append(DataArray(array, dims=("c", "y", "x"), coords={"c": list(channels), **centres}))
    return multiscale(images, transformations)


def multiscale(images: Sequence[DataArray], transformations: dict[str, Any]) -> DataTree:
    """An image element of several scales (channel, y, x), the finest first."""
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import set_transformation
    from xarray import Dataset, DataTree

    element = DataTree.from_dict({f"scale{k}": Dataset({"image": image}) for k, image in enumerate(images)})
    set_transformation(element, transformations, set_all=True)
    Image2DModel().validate(element)
    return element


def _coarsened(array: da.Array, shape: tuple[int, int]) -> da.Array:
    """A smaller copy: means over blocks of pixels, or, where ``shape`` is no whole fraction, the nearest pixels."""
    factors = [round(size / small) for size, small in zip(array.shape, shape, strict=False)]
    missing = [small * f - size for f, size, small in zip(factors, array.shape, shape, strict=False)]
    if any(abs(pixels) >= factor for pixels, factor in zip(missing, factors, strict=True)):
        rows, columns = ((np.arange(n) + 0.5) * size / n for n, size in zip(shape, array.shape, strict=False))
        return array[rows.astype(int)][:, columns.astype(int)]
    padded = da.pad(array, [*((0, max(pixels, 0)) for pixels in missing), (0, 0)], mode="edge")
    padded = padded[: shape[0] * factors[0], : shape[1] * factors[1]]
    # no block of pixels may cross the border of a chunk
    chunks = {axis: max(int(padded.chunksize[axis]) // factor, 1) * factor for axis, factor in enumerate(factors)}
    return da.rint(da.coarsen(np.mean, padded.rechunk(chunks), dict(enumerate(factors)))).astype(np.uint8)
