"""Open a slide of any size as an image of a SpatialData."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._settings import logger
from multist.access.pyramid import image_element
from multist.access.tiff import TILE, Slide, open_tiff

if TYPE_CHECKING:
    from os import PathLike

    from xarray import DataArray, DataTree

_TIFF = (".tif", ".tiff", ".svs", ".btf", ".tf8", ".ndpi", ".scn", ".bif", ".qptiff")
_WHOLE = (".png", ".jpg", ".jpeg")


def read_slide(path: str | PathLike[str], *, microns_per_pixel: float | None = None) -> DataTree | DataArray:
    """Open a slide without reading it.

    TIFF files, also BigTIFF, OME-TIFF and the TIFF-like formats of scanners, are opened lazily with the pyramid that they
    hold: tiles are decoded when something looks at them, on whatever dask client is active. PNG and JPEG
    cannot be read in parts; they are read at once, in one level.

    Parameters
    ----------
    path
        The file. Of several images in it the largest is taken.
    microns_per_pixel
        Width of a pixel in micrometres; None takes what the file says.

    Returns
    -------
    An image to be put under a name into ``sdata.images``, multiscale if the file holds a pyramid. Pixels are those of coordinate
    system ``"global"``; where their size is known, the image also lies in coordinate system ``"um"``, from which
    :func:`multist.pp.embed_histology` takes it for ``patch_unit="um"``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short, of an unknown format, no flat image of 1, 3 or 4 channels, or cannot be read
        in parts although it is too large to be read whole; if ``microns_per_pixel`` is not positive.
    ImportError
        If the package is not installed that decodes its compression.

    Examples
    --------
    >>> sdata = sd.SpatialData(shapes={"spots": spots}, tables={"table": table})  # doctest: +SKIP
    >>> sdata.images["he"] = mt.pp.read_slide("slide.ome.tif")  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no slide at {path}")
    if microns_per_pixel is not None and not (np.isfinite(microns_per_pixel) and microns_per_pixel > 0):
        raise ValueError(f"microns_per_pixel must be positive; got {microns_per_pixel}")
    suffix = path.suffix.lower()
    if suffix not in _TIFF + _WHOLE:
        raise ValueError(f"{path} has an unknown format {path.suffix!r}; known: {', '.join(_TIFF + _WHOLE)}")
    slide = open_tiff(path) if suffix in _TIFF else _read_whole(path)
    size = slide.microns_per_pixel if microns_per_pixel is None else (microns_per_pixel, microns_per_pixel)
    height, width, channels = slide.levels[0].shape
    logger.info(
        "%s: %d x %d pixels, %d channels, %d levels, %s",
        path.name,
        width,
        height,
        channels,
        len(slide.levels),
        "size of a pixel unknown" if size is None else f"{size[0]:.4g} um a pixel",
    )
    names = ["r", "g", "b", "a"][:channels] if slide.rgb and channels > 1 else list(range(channels))
    return image_element(slide.levels, names, size)


def _read_whole(path: Path) -> Slide:
    import warnings

    import dask.array as da
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # large is what a slide is
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                pixels: Any = np.asarray(image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large to be read whole: save it as a tiled TIFF ({error})") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be read; it may be cut short: {error}") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return Slide((da.from_array(pixels, chunks=(TILE, TILE, -1), name=False),), pixels.shape[2] > 1, None)
