"""The sections of a table, one after another on its image: what an AnnData and a SpatialData have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from multist.access.check import lies_on_image
from multist.access.record import SectionImage, SpatialRecord

if TYPE_CHECKING:
    from anndata import AnnData


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
        lies = placed.image is not None and lies_on_image(
            placed.xy,
            placed.diameter,
            placed.image,
            table.obs_names[rows],
            name,
            strays=options.strays,
            needed=options.image_key is not None,
            instead=options.instead,
        )
        images.append(placed.image if lies else None)
    return SpatialRecord(table, xy, diameter, section, names, tuple(images), tuple(microns), affines)
