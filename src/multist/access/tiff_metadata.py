"""What a TIFF file says of the pixels of one of its images: their size, and how many bits are used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from multist._numbers import as_number
from multist.access.scale import believed_microns, unit_in_microns

if TYPE_CHECKING:
    import tifffile

_RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "um"}
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_APERIO = re.compile(r"\|\s*MPP\s*=\s*([^|\r\n]+)")


def tiff_microns(path: Path, tif: tifffile.TiffFile, series: Any) -> tuple[float, float] | None:
    """Width and height of a pixel: the first statement about this image that can be true.

    OME metadata, an Aperio description, ImageJ's unit and the resolution tags are asked in this order; one that no
    slide can have is left out with a warning.
    """
    for source, width, height in _statements(tif, series):
        if all(believed_microns(side, f"{path.name}: {source}") for side in (width, height)):
            return width, height
    return None


def used_white(tif: tifffile.TiffFile, series: Any) -> float | None:
    """The largest value that the bits in use can hold, where the file says that not all bits of the type are in use."""
    page, depth = series.keyframe, 8 * series.dtype.itemsize
    pixels = _ome_pixels(tif, series)
    stated = pixels.get("SignificantBits", "") if pixels is not None else ""
    bits = int(stated) if stated.isdigit() else page.bitspersample
    return float(2**bits - 1) if series.dtype.kind == "u" and isinstance(bits, int) and 8 <= bits < depth else None


def _statements(tif: tifffile.TiffFile, series: Any) -> Iterator[tuple[str, float, float]]:
    """Who says it, width and height in micrometres."""
    pixels = _ome_pixels(tif, series)
    if pixels is not None:
        yield from _by_ome(pixels)
    page = series.keyframe
    stated = _APERIO.search(page.description or "")
    if stated:
        size = as_number(stated[1].replace(",", "."))
        yield "its description", size, size
    resolution = [each for tag in (_X_RESOLUTION, _Y_RESOLUTION) for each in fractions(page.tags.valueof(tag))]
    if len(resolution) != 2 or resolution == [1, 1]:  # what writers put that know of none
        return
    width, height = resolution
    unit = _RESOLUTION_UNITS.get(int(page.tags.valueof(_RESOLUTION_UNIT, default=2)), "")
    source = "its resolution"
    if tif.is_imagej:
        unit, source = str((tif.imagej_metadata or {}).get("unit", unit)), "ImageJ"
    microns = unit_in_microns(unit)
    if microns is not None:
        yield source, microns / width if width else float("inf"), microns / height if height else float("inf")


def _ome_pixels(tif: tifffile.TiffFile, series: Any) -> Any:
    """The OME element of an image: of those as large as it the one with its page; None where that does not tell."""
    if not tif.ome_metadata:
        return None
    size = dict(zip(series.axes, series.shape, strict=True))
    wanted = str(size.get("X")), str(size.get("Y"))
    elements = ElementTree.fromstring(tif.ome_metadata).iterfind(".//{*}Pixels")
    fitting = [pixels for pixels in elements if (pixels.get("SizeX"), pixels.get("SizeY")) == wanted]
    if len(fitting) > 1:
        fitting = [pixels for pixels in fitting if _first_page(pixels) == series.keyframe.index]
    return fitting[0] if len(fitting) == 1 else None


def _first_page(pixels: Any) -> int:
    data = pixels.find("{*}TiffData")
    return int(data.get("IFD", "0")) if data is not None else 0


def _by_ome(pixels: Any) -> Iterator[tuple[str, float, float]]:
    stated = {axis: pixels.get(f"PhysicalSize{axis}") for axis in "XY"}
    axes = [axis for axis in "XY" if stated[axis] is not None]
    units = {axis: unit_in_microns(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in axes}
    if not axes or None in units.values():
        return
    sizes = {axis: as_number(stated[axis]) * float(units[axis] or 0) for axis in axes}
    yield "its OME metadata", sizes.get("X", sizes[axes[0]]), sizes.get("Y", sizes[axes[0]])


def fractions(value: Any) -> tuple[float, ...]:
    """The numbers of a tag of fractions, which come as numerators and denominators in turn."""
    pairs = np.reshape(value if value is not None else (), (-1, 2))
    return tuple(float(n) / float(d) if d else 0.0 for n, d in pairs)
