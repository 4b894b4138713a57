"""OME-Zarr folders as lazy pyramids, through ome-zarr's own reader."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from multist.access.pyramid import MOST_DECODED, Slide
from multist.access.scale import believed_microns, unit_in_microns

_MAX_SIDE = 2**22  # pixels: a metre at a quarter of a micrometre


_BROKEN = (ArithmeticError, EOFError, LookupError, RuntimeError, SystemError, TypeError, ValueError, zlib.error)
"""What decoders raise for pieces that are not what the metadata says."""


@dataclass(frozen=True)
class _Pieces:
    """An array that names its folder where a piece cannot be decoded, which is when somebody looks at it."""

    path: str
    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            return self.array[index]
        except _BROKEN as error:
            raise ValueError(
                f"{self.path} cannot be decoded; it may be cut short or damaged: {type(error).__name__}: {error}"
            ) from error


def open_ome_zarr(path: Path) -> Slide:
    """Open the largest image of an OME-Zarr folder, reading no pixel.

    Raises
    ------
    ValueError
        The folder holds a SpatialData or no OME-Zarr image, or one that is no flat image of 1, 3 or 4 channels.
    """
    import zarr
    from ome_zarr.io import parse_url

    with _understood(path):
        location = parse_url(path)
    if location is not None and "spatialdata_attrs" in location.root_attrs:
        raise ValueError(
            f"{path} is a folder that holds a SpatialData: open it by spatialdata.read_zarr and take one of its images"
        )
    # several images of one file lie in folders of their own
    with _understood(path):
        nodes = _images(path) or [node for part in sorted(path.iterdir()) if part.is_dir() for node in _images(part)]
    if not nodes:
        kind = (
            "a zarr folder without the metadata of an OME-Zarr image"
            if location is not None
            else "a folder, and no OME-Zarr"
        )
        raise ValueError(f"{path} is {kind}; give a file, or an OME-Zarr folder of an image")
    with _understood(path):
        node = max(nodes, key=lambda one: np.prod(one.data[0].shape[-2:]))
        axes = [axis["name"] if isinstance(axis, dict) else str(axis) for axis in node.metadata["axes"]]
        microns = _microns(path, node, axes)
        names = [level["path"] for level in node.zarr.root_attrs["multiscales"][0]["datasets"]]
        arrays = [_Pieces(str(path), zarr.open_array(Path(node.zarr.path) / name, mode="r")) for name in names]
        lazy = [da.from_array(each, chunks=each.array.chunks) for each in arrays]
    levels = tuple(_flat(path, array, axes) for array in lazy)
    return Slide(levels, rgb=False, microns_per_pixel=microns)


def _check_levels(path: Path, location: Any) -> None:
    """Refuse levels that lie elsewhere, have no pixel or more than any slide, or are stored in pieces too large.

    This comes before an array is made of them: of what a few bytes declare, the list of chunks alone fills the memory.
    """
    import zarr

    home = path.resolve()
    names = [level["path"] for image in location.root_attrs.get("multiscales", []) for level in image["datasets"]]
    for name in names:
        folder = (path / name).resolve()
        if not folder.is_relative_to(home):
            raise ValueError(f"level {name!r} lies outside of the folder, at {folder}")
        if not folder.is_dir():
            continue
        array = zarr.open_array(folder, mode="r")
        if 0 in array.shape or max(array.shape, default=1) > _MAX_SIDE:
            raise ValueError(
                f"level {name!r} declares the shape {array.shape}; sides of a slide have 1 to {_MAX_SIDE:,} pixels"
            )
        if float(np.prod(np.array(array.chunks, dtype=float))) * array.dtype.itemsize > MOST_DECODED:
            raise ValueError(
                f"level {name!r} is stored in pieces of shape {array.chunks}, each of which must be decoded whole; "
                "save it in smaller chunks"
            )


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Name the folder in what ome-zarr raises where its metadata says what cannot be."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no OME-Zarr image that can be read, by its metadata: {type(error).__name__}: {error}"
        ) from error


def _images(path: Path) -> list[Any]:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Label, Multiscales, Reader

    location = parse_url(path)
    if location is None:
        return []
    _check_levels(path, location)
    return [node for node in Reader(location)() if Multiscales.matches(node.zarr) and not Label.matches(node.zarr)]


def _flat(path: Path, array: da.Array, axes: list[str]) -> da.Array:
    """(height, width, channel)."""
    size = dict(zip(axes, array.shape, strict=False))
    deep = {axis: n for axis, n in size.items() if axis not in ("c", "y", "x") and n > 1}
    told = len(axes) == len(size) == array.ndim
    if not told or deep or not {"y", "x"} <= set(axes) or size.get("c", 1) not in (1, 3, 4):
        raise ValueError(
            f"{path} holds axes {axes} of sizes {array.shape}; a slide has height, width and 1, 3 or 4 channels: "
            "export one plane of it"
        )
    plane = array[tuple(slice(None) if axis in ("c", "y", "x") else 0 for axis in axes)]
    left = [axis for axis in axes if axis in ("c", "y", "x")]
    if "c" not in left:
        plane, left = plane[..., None], [*left, "c"]
    return plane.transpose([left.index(axis) for axis in ("y", "x", "c")])


def _microns(path: Path, node: Any, axes: list[str]) -> tuple[float, float] | None:
    """Width and height of a pixel of the finest level, where its axes have a unit of length."""
    units = {axis["name"]: axis.get("unit") for axis in node.metadata["axes"] if isinstance(axis, dict)}
    of_image = node.zarr.root_attrs["multiscales"][0].get("coordinateTransformations")
    steps = [*(of_image or []), *(node.metadata.get("coordinateTransformations") or [[]])[0]]
    scales = [step["scale"] for step in steps if step.get("type") == "scale"]
    sizes = []
    for axis in ("x", "y"):
        unit = unit_in_microns(units.get(axis) or "")
        if unit is None or not scales:
            return None
        stated = unit * float(np.prod([float(scale[axes.index(axis)]) for scale in scales]))
        sizes.append(believed_microns(stated, path.name))
    return None if sizes[0] is None or sizes[1] is None else (sizes[0], sizes[1])
