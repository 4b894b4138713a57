"""Any image of an AnnData or SpatialData as a lazy RGB pyramid."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from multist._words import counted
from multist.access.absent import listed
from multist.access.colours import read_scale, to_rgb
from multist.access.record import SectionImage

CHUNK = 1024
"""Side of the tiles into which an image in memory is cut, in pixels; slices of it are views, so this costs nothing."""

_RGB_NAMES = {"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2, "a": 3, "alpha": 3}


def array_image(key: str, array: Any, white: float | None = None) -> SectionImage:
    """The image of ``uns["spatial"]``, (height, width) or (height, width, 1, 3 or 4), as a pyramid of one level.

    Raises
    ------
    ValueError
        The array has another shape, or values that do not tell what is white.
    """
    lazy = array if isinstance(array, da.Array) else np.asarray(array)
    if lazy.ndim not in (2, 3) or 0 in lazy.shape:
        raise ValueError(f"image {key!r} has shape {lazy.shape}; expected (height, width) or (height, width, channel)")
    lazy = _as_dask(lazy if lazy.ndim == 3 else lazy[..., None])
    _check_channels(lazy.shape[2], key)
    return SectionImage(key, (to_rgb(lazy, read_scale(lazy, f"image {key!r}", white)),), (1.0,))


def element_image(key: str, element: Any, white: float | None = None) -> SectionImage:
    """An image of a SpatialData, single or multiscale, as a pyramid.

    The factor of a level is the ratio of its shape to that of the finest level, as in its transformation. Levels whose
    pixels are not square are left out.

    Raises
    ------
    ValueError
        The image is a volume, does not have 1, 3 or 4 channels, or has values that do not tell what is white.
    """
    scales = element_scales(element)
    if "z" in scales[0].dims:
        raise ValueError(f"image {key!r} is a volume; histology is flat: take one plane of it")
    order = _channel_order(scales[0])
    _check_channels(len(order), key)
    arrays = [_as_dask(scale.transpose("y", "x", "c").data) for scale in scales]
    if order != list(range(len(order))):
        arrays = [array[..., order] for array in arrays]
    scale = read_scale(arrays[-1], f"image {key!r}", white)
    height, width = arrays[0].shape[:2]
    levels, downsample = [], []
    for array in arrays:
        factors = np.array([height / array.shape[0], width / array.shape[1]])
        # the last row or column of a level may be cut off, so the two ratios may differ by one pixel of the level
        if abs(factors[0] - factors[1]) <= factors.max() / min(array.shape[:2]):
            levels.append(to_rgb(array, scale))
            downsample.append(float(factors.mean()))
    return SectionImage(key, tuple(levels), tuple(downsample))


def element_scales(element: Any) -> list[Any]:
    """The scales of an image or labels element as xarray DataArrays, finest first."""
    if hasattr(element, "children"):
        names = sorted(element.children, key=lambda name: int(name.removeprefix("scale")))
        return [next(iter(element[name].data_vars.values())) for name in names]
    return [element]


def looks_rgb(element: Any) -> bool:
    """Whether an image may be histology: 3 or 4 channels that do not bear the names of stains or proteins."""
    scale = element_scales(element)[0]
    if "z" in scale.dims or scale.sizes["c"] not in (3, 4):
        return False
    names = [str(name).lower() for name in _channel_names(scale)]
    return all(name.isdigit() for name in names) or all(name in _RGB_NAMES for name in names)


def told_channels(element: Any) -> str:
    """``"3 channels"``, with their names where they have some, for a message."""
    scale = element_scales(element)[0]
    names = _channel_names(scale)
    called = "" if all(str(name).isdigit() for name in names) else f" ({listed(names)})"
    return f"{counted(len(names), 'channel')}{called}{' of a volume' if 'z' in scale.dims else ''}"


def _channel_names(scale: Any) -> list[Any]:
    return scale.coords["c"].values.tolist() if "c" in scale.coords else list(range(scale.sizes["c"]))


def _channel_order(scale: Any) -> list[int]:
    """Positions of red, green, blue (and alpha); the given order where the channels have other names."""
    names = [str(name).lower() for name in _channel_names(scale)]
    places = [_RGB_NAMES.get(name, -1) for name in names]
    if sorted(places) == list(range(len(names))):
        return [places.index(position) for position in range(len(names))]
    return list(range(len(names)))


def _as_dask(array: Any) -> da.Array:
    return array if isinstance(array, da.Array) else da.from_array(array, chunks=CHUNK, name=False)


def _check_channels(count: int, key: str) -> None:
    if count not in (1, 3, 4):
        raise ValueError(f"image {key!r} has {count} channels; histology has 1 (grey), 3 (RGB) or 4 (RGBA)")
