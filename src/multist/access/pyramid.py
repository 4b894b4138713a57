"""Image elements of a SpatialData that lie where another one lies."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from multist.access.images import element_scales


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
    from spatialdata.transformations import get_transformation, set_transformation
    from xarray import DataArray, Dataset, DataTree

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
    nodes = {}
    for k, (array, scale) in enumerate(zip(given, scales, strict=True)):
        coords = {axis: scale.coords[axis].values for axis in ("y", "x") if axis in scale.coords}
        image = DataArray(da.moveaxis(array, 2, 0), dims=("c", "y", "x"), coords={"c": ["r", "g", "b"], **coords})
        nodes[f"scale{k}"] = Dataset({"image": image})
    element = DataTree.from_dict(nodes)
    set_transformation(element, dict(transformations), set_all=True)
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
