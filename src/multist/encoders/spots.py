"""How wide a spot is."""

from __future__ import annotations

import logging

import numpy as np

logger = logging.getLogger("multist")


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
    The median diameter; the median distance to the nearest neighbour where no diameter is known.

    Raises
    ------
    ValueError
        If neither tells, as for a single spot of unknown diameter.
    """
    known = diameter[np.isfinite(diameter) & (diameter > 0)]
    if len(known):
        return float(np.median(known))
    if len(xy) > 1:
        from scipy.spatial import cKDTree

        nearest = cKDTree(xy).query(xy, k=2)[0][:, 1]
        if (nearest > 0).any():
            logger.info("no spot diameter is known: the distance to the nearest neighbour is taken instead")
            return float(np.median(nearest[nearest > 0]))
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
            f"{what} is {width:.0f} pixels wide, but image {image!r} has {shape[1]} x {shape[0]}: the diameter or the size is in "
            "another unit than the pixels of the image, or the scale that links them is wrong"
        )
