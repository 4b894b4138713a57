"""Open a slide of any size as an image of a SpatialData."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._settings import logger
from multist._words import counted
from multist.access.colours import check_white, read_scale, to_rgb
from multist.access.ome_zarr import open_ome_zarr
from multist.access.pyramid import TILE, Slide, image_element
from multist.access.scale import check_microns
from multist.access.tiff import open_tiff

if TYPE_CHECKING:
    from os import PathLike

    from PIL.Image import Image
    from xarray import DataArray, DataTree

_TIFF = (".tif", ".tiff", ".svs", ".btf", ".tf8", ".ndpi", ".scn", ".bif", ".qptiff")
_WHOLE = (".png", ".jpg", ".jpeg")


def read_slide(
    path: str | PathLike[str], *, microns_per_pixel: float | None = None, white: float | None = None
) -> DataTree | DataArray:
    """Open a slide without reading it.

    TIFF files, also BigTIFF, OME-TIFF and the TIFF-like formats of scanners, and OME-Zarr folders are opened lazily
    with the pyramid that they declare: tiles are decoded when something looks at them, on whatever dask client is
    active. PNG and JPEG cannot be read in parts; they are read at once, in one level.

    Parameters
    ----------
    path
        The file, or the folder of an OME-Zarr image. Of several images in it the largest is taken.
    microns_per_pixel
        Width of a pixel in micrometres; None takes what the file says, where a slide can have such pixels (0.02 to 20).
    white
        Value of a white pixel, such as 4095 where 12 of 16 bits are used. None takes it from the file, or, where that
        does not say, leaves it to the steps that look at the pixels.

    Returns
    -------
    An image to be put under a name into ``sdata.images``, multiscale if the file holds a pyramid; RGB of 8 bits where
    white is known, and else of the file's type. Pixels are those of coordinate
    system ``"global"``; where their size is known, the image also lies in coordinate system ``"um"``, from which
    :func:`multist.pp.embed_histology` takes it for ``patch_unit="um"``.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If the file is cut short, of an unknown format, no flat image of 1, 3 or 4 channels, of colours that cannot be
        converted, or cannot be read in parts although it is too large to be read whole; if the folder is no OME-Zarr
        image; if ``microns_per_pixel`` or ``white`` is impossible.
    ImportError
        If the package is not installed that decodes its compression.

    Examples
    --------
    >>> sdata = sd.SpatialData(shapes={"spots": spots}, tables={"table": table})
    >>> sdata.images["he"] = mt.pp.read_slide("slide.ome.tif")
    """
    from spatialdata.transformations import Identity, Scale

    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"no slide at {path}")
    if microns_per_pixel is not None:
        check_microns(microns_per_pixel)
    check_white(white)
    slide = _with_known_white(_open(path), white)
    size = slide.microns_per_pixel if microns_per_pixel is None else (microns_per_pixel, microns_per_pixel)
    height, width, channels = slide.levels[0].shape
    logger.info(
        "%s: %d x %d pixels, %s, %s, %s",
        path.name,
        width,
        height,
        counted(channels, "channel"),
        counted(len(slide.levels), "level"),
        "size of a pixel unknown" if size is None else f"{size[0]:.4g} um a pixel",
    )
    names = ["r", "g", "b", "a"][:channels] if slide.rgb and channels > 1 else list(range(channels))
    transformations: dict[str, Any] = {"global": Identity()}
    if size is not None:
        transformations["um"] = Scale(list(size), axes=("x", "y"))
    return image_element(slide.levels, names, transformations)


def _open(path: Path) -> Slide:
    if path.is_dir():
        return open_ome_zarr(path)
    suffix = path.suffix.lower()
    if suffix not in _TIFF + _WHOLE:
        raise ValueError(
            f"{path} has an unknown format {path.suffix!r}; known: {', '.join(_TIFF + _WHOLE)}, and OME-Zarr folders"
        )
    return open_tiff(path) if suffix in _TIFF else _read_whole(path)


def _with_known_white(slide: Slide, given: float | None) -> Slide:
    """In 8 bits where white is known; what else the type may hold is told by those who look at the pixels."""
    white = slide.white if given is None else given
    if white is None:
        return slide
    scale = read_scale(slide.levels[-1], "the slide", white)
    return replace(slide, levels=tuple(to_rgb(level, scale) for level in slide.levels), rgb=True)


def _read_whole(path: Path) -> Slide:
    import warnings

    import dask.array as da
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # large is what a slide is
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                pixels = _pixels(image)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large to be read whole: save it as a tiled TIFF ({error})") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read; it may be cut short: {error}") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return Slide((da.from_array(pixels, chunks=(TILE, TILE, -1), name=False),), pixels.shape[2] > 1, None)


def _pixels(image: Image) -> np.ndarray:
    """Grey, RGB or RGBA: of 16 bits as they are, all else of 8 bits, and whatever is transparent with its alpha."""
    if image.mode.startswith("I"):  # PNG has 16 bits at most, for which some versions of pillow take 32
        return np.asarray(image).astype(np.uint16)
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB"))
