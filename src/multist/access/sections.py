"""The sections of a table, one after another on its image: what an AnnData and a SpatialData have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from multist._settings import logger
from multist.access.absent import listed
from multist.access.check import NEAREST
from multist.access.record import SectionImage, SpatialRecord
from multist.access.tables import of_section

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_DENSEST = 10  # spots along the side of a pixel: no image shows so many


@dataclass(frozen=True)
class ResolveOptions:
    """How a table is to be resolved, see :func:`multist.access.resolve`."""

    image_key: str | None = None
    library_key: str | None = None
    image: bool | Literal["auto"] = "auto"
    prefer_normalized: bool = True
    strays: bool = False
    white: float | None = None
    instead: str = "go without an image"

    def without_image(self) -> ResolveOptions:
        """The same, but never to look at images."""
        return replace(self, image_key=None, image=False, white=None)


class PlacedSection(NamedTuple):
    """Spots of one section in the pixels of its image, or without one in the units of their coordinates.

    Attributes
    ----------
    xy, diameter
        (n, 2) and (n,) of its rows.
    image
        None where there is none, or none was asked for.
    microns_per_pixel
        Micrometres per unit of ``xy``; None where the data does not say.
    affines
        By region of a SpatialData: (3, 3) matrix from its intrinsic coordinates to ``xy``.
    """

    xy: np.ndarray
    diameter: np.ndarray
    image: SectionImage | None
    microns_per_pixel: float | None
    affines: Mapping[str, np.ndarray]


def place_sections(
    table: AnnData,
    section: np.ndarray,
    names: tuple[str, ...],
    place: Callable[[str, np.ndarray], PlacedSection],
    options: ResolveOptions,
) -> SpatialRecord:
    """The record of a table, each section of which is placed by its name and the mask of its rows.

    An image that spots do not lie on is refused or left out, as the options say.
    """
    xy, diameter = np.empty((table.n_obs, 2)), np.empty(table.n_obs)
    images: list[SectionImage | None] = []
    microns: list[float | None] = []
    affines: dict[tuple[int, str], np.ndarray] = {}
    for code, name in enumerate(names):
        rows = section == code
        placed = place(name, rows)
        xy[rows], diameter[rows] = placed.xy, placed.diameter
        microns.append(placed.microns_per_pixel)
        affines |= {(code, region): matrix for region, matrix in placed.affines.items()}
        images.append(_image_under(placed, table.obs_names[rows], name, options))
    return SpatialRecord(table, xy, diameter, section, names, tuple(images), tuple(microns), affines)


def _image_under(placed: PlacedSection, names: pd.Index, section: str, options: ResolveOptions) -> SectionImage | None:
    """The image of a section, or None where, with ``strays``, most spots do not lie on one that is not named.

    A spot lies on it with a part of its disc or, at unknown diameter, its centre.

    Raises
    ------
    ValueError
        Spots lie off the image, and that is not allowed, or so densely that their unit is another.
    """
    xy, image = placed.xy, placed.image
    if image is None:
        return None
    height, width = image.shape
    extent = float(np.ptp(xy, axis=0).max())
    if len(xy) >= _DENSEST and NEAREST < extent < np.sqrt(len(xy)) / _DENSEST:
        raise ValueError(
            f"all {len(xy)} spots{of_section(section)} lie within {extent:.2g} pixels of image {image.key!r}: check "
            "the unit of their coordinates, and the scale factor or the coordinate system that links them"
        )
    outside = np.maximum(np.maximum(-xy, xy - [width, height]), 0)
    off = np.flatnonzero(np.hypot(*outside.T) > np.nan_to_num(placed.diameter) / 2)
    if len(off) == 0:
        return image
    (left, top), (right, bottom) = xy.min(axis=0), xy.max(axis=0)
    what = (
        f"{len(off)} of {len(xy)} spots{of_section(section)} lie off image {image.key!r} "
        f"({listed(names[off[:3]])}...): x from {left:.0f} to {right:.0f}, y from {top:.0f} to {bottom:.0f} on "
        f"{width} x {height} pixels"
    )
    few = len(off) < len(xy) / 2
    if not options.strays or (options.image_key is not None and not few):
        advice = (
            f"remove these rows, or {options.instead}"
            if few
            else "check the scale factor or the coordinate system that links them"
        )
        raise ValueError(f"{what}; {advice}")
    logger.warning("%s%s", what, "" if few else "; the image is left out")
    return image if few else None
