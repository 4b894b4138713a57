"""How wide a spot is."""

from __future__ import annotations

import numpy as np

from multist._settings import logger
from multist._spacing import spacing


def typical_diameter(diameter: np.ndarray, xy: np.ndarray) -> float:
    """One diameter for all spots of a section.

    Parameters
    ----------
    diameter
        (n,) diameters; NaN where unknown.
    xy
        (n, 2) centres in the same units.

    Returns
    -------
    The median diameter; how far apart spots are (:func:`multist._spacing.spacing`) where no diameter is known.

    Raises
    ------
    ValueError
        If neither tells, as for a single spot of unknown diameter.
    """
    believed = diameter[np.isfinite(diameter) & (diameter > 0)]
    if len(believed):
        return float(np.median(believed))
    apart = spacing(xy)
    if np.isfinite(apart):
        logger.info("no spot diameter is known: the distance between neighbouring spots is taken instead")
        return apart
    raise ValueError("the diameter of the spots is unknown and they are too few to guess it from their distance")


def check_width(width: float, what: str, image: str, shape: tuple[int, int]) -> None:
    """Raise a ValueError if something is wider than the image that it is to be a part of.

    Parameters
    ----------
    width
        In intrinsic pixels of the image.
    what
        What is as wide, such as ``"a spot"``.
    image, shape
        Name, and height and width.
    """
    if width > max(shape):
        raise ValueError(
            f"{what} is {width:.0f} pixels wide, but image {image!r} has {shape[1]} x {shape[0]}: the diameter or the "
            "size is in another unit than the pixels of the image, or the scale that links them is wrong"
        )
