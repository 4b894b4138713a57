"""The one shape in which data travels below the faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from multist._numbers import is_positive

if TYPE_CHECKING:
    import dask.array as da
    from anndata import AnnData


@dataclass(frozen=True)
class SectionImage:
    """A lazy RGB pyramid of one section.

    Attributes
    ----------
    key
        Name of the image in the user's object.
    levels
        Dask arrays of shape (height, width, 3) and dtype uint8, finest first. Level 0 defines the *intrinsic pixel*.
    downsample
        Width of a pixel of each level in intrinsic pixels, starting with 1.
    """

    key: str
    levels: tuple[da.Array, ...]
    downsample: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in intrinsic pixels."""
        return self.levels[0].shape[:2]

    @property
    def slide(self) -> tuple[str, str]:
        """Equal for the images of sections that lie on one slide."""
        return self.key, self.levels[0].name


@dataclass(frozen=True)
class SpatialRecord:
    """Spots of one table, row by row, in the pixels of their section's image.

    Attributes
    ----------
    table
        The user's table itself, only to be read; under :func:`multist.access.run` a draft of it, which takes results.
    xy
        (n_obs, 2) float64. Centres (x, y) in intrinsic pixels of the section's image (pixel centres at +0.5);
        where a section has no image, in the units of its coordinates.
    diameter
        (n_obs,) float64. Spot or cell diameters in the units of ``xy``; NaN where unknown.
    section
        (n_obs,) int64. Index into ``section_names`` and ``images``.
    section_names
        Names of the sections in order of first appearance; ``("section",)`` where there is only one, unnamed.
    images
        One entry per section; None where there is no image, or none was asked for.
    microns_per_pixel
        One entry per section: micrometres per unit of ``xy``; None where the data does not say. Visium's spots say it
        by their pitch of 100 um.
    affines
        By section and region of a SpatialData: (3, 3) matrix from the intrinsic coordinates of the region to ``xy``.
    coordinates
        What gives :meth:`without_image`; None where there is no image.
    """

    table: AnnData
    xy: np.ndarray
    diameter: np.ndarray
    section: np.ndarray
    section_names: tuple[str, ...]
    images: tuple[SectionImage | None, ...]
    microns_per_pixel: tuple[float | None, ...]
    affines: Mapping[tuple[int, str], np.ndarray] = field(default_factory=dict)
    coordinates: Callable[[], SpatialRecord] | None = None

    def without_image(self) -> SpatialRecord:
        """The same spots in the units of their own coordinates, as nobody had asked for an image.

        The elements of a SpatialData are not read again.
        """
        return self if self.coordinates is None else replace(self.coordinates(), table=self.table)

    @property
    def has_image(self) -> bool:
        """Whether every section has an image."""
        return all(image is not None for image in self.images)

    def with_scale(self, microns_per_pixel: float | None) -> SpatialRecord:
        """The same, with a scale that somebody states for all sections; None leaves what the data says.

        Raises
        ------
        ValueError
            If it is not positive.
        """
        if microns_per_pixel is None:
            return self
        if not is_positive(microns_per_pixel):
            raise ValueError(f"microns_per_pixel must be positive, not {microns_per_pixel}")
        return replace(self, microns_per_pixel=(float(microns_per_pixel),) * len(self.section_names))

    def in_microns(self) -> tuple[np.ndarray, str]:
        """``xy`` and its unit: ``"um"`` where the scale of every section is known, else ``"coordinates"``."""
        if any(scale is None for scale in self.microns_per_pixel):
            return self.xy, "coordinates"
        return self.xy * np.array(self.microns_per_pixel, dtype=np.float64)[self.section][:, None], "um"
