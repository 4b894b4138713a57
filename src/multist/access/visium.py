"""AnnData with ``obsm["spatial"]`` and Visium's ``uns["spatial"]`` as a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist._keys import NORMALIZED_SUFFIX, SPATIAL
from multist.access.check import check_on_image
from multist.access.coordinates import read_coordinates, unfold_array
from multist.access.images import array_image
from multist.access.lattice import find_lattice
from multist.access.record import SectionImage, SpatialRecord
from multist.access.tables import find_sections, listed

if TYPE_CHECKING:
    from anndata import AnnData

PITCH = 100.0  # micrometres between the centres of Visium's spots
_SPOT = (0.5, 0.75)  # of the pitch: spots of 55 um, which Space Ranger states as 65 um
_IMAGE_KEYS = ("hires", "lowres")


def resolve_anndata(
    table: AnnData,
    *,
    image_key: str | None,
    library_key: str | None,
    image: bool | Literal["auto"],
    prefer_normalized: bool,
) -> SpatialRecord:
    """The record of an AnnData; see :func:`multist.access.resolve`."""
    xy, array = _coordinates(table)
    libraries = _libraries(table, needed=image is not False)
    if library_key is None and len(libraries) > 1 and image is not False:
        raise ValueError(
            f"uns['spatial'] holds several sections ({listed(libraries)}); "
            "pass library_key, the column of obs that names the section of each row"
        )
    section, names = find_sections(table, library_key)
    if library_key is None and len(libraries) == 1:
        section, names = np.zeros(table.n_obs, dtype=np.int64), tuple(libraries)
    diameter = np.full(table.n_obs, np.nan)
    images: list[SectionImage | None] = []
    microns: list[float | None] = []
    for code, name in enumerate(names):
        rows = section == code
        found = None
        if image is not False:
            found = _find_image(libraries, name, image_key, prefer_normalized=prefer_normalized, needed=image is True)
        if found is not None and array:
            raise ValueError(
                f"obsm['spatial'] holds columns and rows of an array, which do not say where the spots lie on image {found.key!r}: put "
                "the pixels there (pxl_col_in_fullres, pxl_row_in_fullres), or go without the image"
            )
        factors = _entry(libraries, name, "scalefactors")
        scale = 1.0 if found is None else _number(factors, f"tissue_{found.key}_scalef")
        spot = _number(factors, "spot_diameter_fullres")
        size = PITCH if array else _microns(factors, xy[rows], spot)
        xy[rows] *= scale
        diameter[rows] = np.nan if array else spot * scale
        images.append(found)
        microns.append(None if np.isnan(size) else size / scale)
        if found is not None:
            check_on_image(xy[rows], diameter[rows], found, table.obs_names[rows], name)
    return SpatialRecord(table, xy, diameter, section, names, tuple(images), tuple(microns))


def _coordinates(table: AnnData) -> tuple[np.ndarray, bool]:
    """(n_obs, 2) coordinates, and whether they were columns and rows of an array."""
    if SPATIAL not in table.obsm:
        raise KeyError(
            f"obsm['spatial'] not found; obsm holds: {listed(table.obsm)}. Put the coordinates of the spots there, "
            "(n_obs, 2), x before y, in pixels of the full-resolution image"
        )
    xy = read_coordinates(table, SPATIAL)
    unfolded = unfold_array(xy, table)
    return (xy, False) if unfolded is None else (unfolded, True)


def _microns(factors: Mapping[str, Any], xy: np.ndarray, spot: float) -> float:
    """Micrometres per unit of the coordinates: as stated, or by the pitch where the spots are Visium's; NaN where unknown."""
    stated = _number(factors, "microns_per_pixel")
    if not np.isnan(stated) or np.isnan(spot):
        return stated
    lattice = find_lattice(xy)
    visium = lattice.kind == "hexagonal" and _SPOT[0] <= spot / lattice.pitch <= _SPOT[1]
    return PITCH / lattice.pitch if visium else np.nan


def _libraries(table: AnnData, *, needed: bool) -> dict[str, Mapping[str, Any]]:
    """The entries of ``uns["spatial"]`` that have the form of a Visium section."""
    entries = table.uns.get(SPATIAL, {})
    if not isinstance(entries, Mapping):
        return {}
    if {"images", "scalefactors"} & set(entries):
        if needed:
            raise ValueError(
                "uns['spatial'] holds 'images' or 'scalefactors' itself; they belong to a section: uns['spatial'][section]['images']"
            )
        return {}
    return {str(name): entry for name, entry in entries.items() if isinstance(entry, Mapping)}


def _entry(libraries: dict[str, Mapping[str, Any]], name: str, part: str) -> Mapping[str, Any]:
    """Images or scale factors of a section; nothing where they are missing."""
    held = libraries.get(name, {}).get(part)
    return held if isinstance(held, Mapping) else {}


def _number(factors: Mapping[str, Any], name: str) -> float:
    """A scale factor, NaN where it is not there.

    Raises
    ------
    ValueError
        If it is no positive number.
    """
    if factors.get(name) is None:
        return np.nan
    try:
        value = float(np.asarray(factors[name]).item())
    except (TypeError, ValueError) as error:
        raise ValueError(f"scalefactors[{name!r}] of uns['spatial'] is no number: {factors[name]!r}") from error
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"scalefactors[{name!r}] of uns['spatial'] must be positive, not {value}")
    return value


def _find_image(
    libraries: dict[str, Mapping[str, Any]], name: str, image_key: str | None, *, prefer_normalized: bool, needed: bool
) -> SectionImage | None:
    images = {key: held for key, held in _entry(libraries, name, "images").items() if held is not None}
    factors = _entry(libraries, name, "scalefactors")
    where = f"uns['spatial'][{name!r}]"
    if image_key is None:
        suffixes = (NORMALIZED_SUFFIX, "") if prefer_normalized else ("",)
        wanted = [base + suffix for base in _IMAGE_KEYS for suffix in suffixes]
        image_key = next((key for key in wanted if key in images), None)
    elif image_key not in images and (needed or libraries):
        raise KeyError(f"image_key {image_key!r} not found in {where}['images']; found: {listed(images)}")
    elif image_key not in images:
        raise KeyError(f"image_key {image_key!r} not found: the data has no uns['spatial']")
    if image_key is None and not needed:
        return None
    if image_key is None:
        found = f"its images: {listed(images)}" if name in libraries else f"uns['spatial'] holds: {listed(libraries)}"
        raise KeyError(
            f"no image for section {name!r}; {found}. Add {where}['images']['hires'] and "
            f"['scalefactors']['tissue_hires_scalef'], name another by image_key, or go without an image"
        )
    if factors.get(f"tissue_{image_key}_scalef") is None:
        raise KeyError(
            f"'tissue_{image_key}_scalef' not found in {where}['scalefactors']; found: {listed(factors)}. "
            f"It is the size of image {image_key!r} relative to the coordinates in obsm['spatial']"
        )
    return array_image(image_key, images[image_key])
