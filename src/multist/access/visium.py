"""AnnData with ``obsm["spatial"]`` and Visium's ``uns["spatial"]`` as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._keys import HISTOLOGY, NORMALIZED_SUFFIX, SPATIAL
from multist._numbers import as_number
from multist._settings import logger
from multist.access.absent import listed, not_found
from multist.access.coordinates import read_coordinates, unfold_array, where_else
from multist.access.images import array_image
from multist.access.record import SectionImage, SpatialRecord
from multist.access.scale import VISIUM_PITCH, believed_microns, lattice_microns
from multist.access.sections import PlacedSection, ResolveOptions, place_sections
from multist.access.tables import find_sections, libraries_of, of_section, refuse_several_libraries

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

_IMAGE_KEYS = ("hires", "lowres", "fullres")


def resolve_anndata(table: AnnData, options: ResolveOptions) -> SpatialRecord:
    """The record of an AnnData; see :func:`multist.access.resolve`."""
    xy, array = _coordinates(table)
    libraries = libraries_of(table, needed=options.image is not False)
    if options.image is not False:
        refuse_several_libraries(libraries, options.library_key)
    section, names = find_sections(table, options.library_key)
    if options.library_key is None and len(libraries) == 1:
        section, names = np.zeros(table.n_obs, dtype=np.int64), tuple(libraries)
    if options.image == "auto" and options.image_key is None:
        _name_the_unknown(names, libraries, options.library_key)
        if HISTOLOGY not in table.obsm:
            _name_the_unused(names, libraries)

    def place(name: str, rows: np.ndarray) -> PlacedSection:
        image = None if options.image is False else _find_image(libraries, name, options)
        if image is not None and array:
            raise ValueError(
                "obsm['spatial'] holds columns and rows of an array, which do not say where the spots lie on image "
                f"{image.key!r}: put the pixels there (pxl_col_in_fullres, pxl_row_in_fullres), or {options.instead}"
            )
        factors = scale_factors(libraries.get(name, {}))
        diameter = np.nan if array else _spot_diameter(factors, name)
        microns = VISIUM_PITCH if array else _microns(factors, name, table.obs[rows], xy[rows], diameter)
        scale = 1.0 if image is None else _scale(factors, image.key, name)
        diameters = np.full(np.count_nonzero(rows), diameter * scale)
        return PlacedSection(xy[rows] * scale, diameters, image, None if microns is None else microns / scale, {})

    record = place_sections(table, section, names, place, options)
    if options.image is False:
        return record
    return replace(record, coordinates=partial(resolve_anndata, table, options.without_image()))


def _coordinates(table: AnnData) -> tuple[np.ndarray, bool]:
    """(n_obs, 2) coordinates, and whether they were columns and rows of an array."""
    if SPATIAL not in table.obsm:
        raise KeyError(
            f"obsm['spatial'] not found; obsm holds: {listed(table.obsm)}. Put the coordinates of the spots there, "
            f"(n_obs, 2), x before y, in pixels of the full-resolution image where there is one{where_else(table)}"
        )
    xy = read_coordinates(table, SPATIAL)
    unfolded = unfold_array(xy, table)
    return (xy, False) if unfolded is None else (unfolded, True)


def scale_factors(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a section says of sizes; where ``fullres`` is an image, as CELLxGENE has it, coordinates are its pixels."""
    held = entry.get("scalefactors")
    factors = held if isinstance(held, Mapping) else {}
    return {"tissue_fullres_scalef": 1.0, **factors} if "fullres" in section_images(entry) else factors


def section_images(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The images of a section; nothing where they are missing."""
    held = entry.get("images")
    return {key: image for key, image in held.items() if image is not None} if isinstance(held, Mapping) else {}


def _name_the_unknown(names: tuple[str, ...], libraries: dict[str, Mapping[str, Any]], library_key: str | None) -> None:
    """Warn of sections whose image is not looked for because it goes by another name."""
    without = [name for name in names if name not in libraries]
    if without and libraries:
        logger.warning(
            "there is no image%s of obs[%r], as uns['spatial'] holds %s: give both the same names",
            of_section(*without, word="for"),
            library_key,
            listed(libraries),
        )


def _name_the_unused(names: tuple[str, ...], libraries: dict[str, Mapping[str, Any]]) -> None:
    """Warn of sections that have images, but none under a name by which one is looked for."""
    held = {
        name: {key.removesuffix(NORMALIZED_SUFFIX) for key in section_images(libraries.get(name, {}))} for name in names
    }
    unused = {name: keys for name, keys in held.items() if keys and keys.isdisjoint(_IMAGE_KEYS)}
    if unused:
        logger.warning(
            "no image%s is taken, as none of %s is called %s: name one by image_key",
            of_section(*unused),
            listed(sorted(set().union(*unused.values()))),
            " or ".join(map(repr, _IMAGE_KEYS)),
            extra={"once": True},
        )


def _scale(factors: Mapping[str, Any], key: str, name: str) -> float:
    scale = as_number(factors[f"tissue_{key}_scalef"])
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(
            f"uns['spatial'][{name!r}]['scalefactors']['tissue_{key}_scalef'] must be positive; it is {scale}"
        )
    return scale


def _spot_diameter(factors: Mapping[str, Any], name: str) -> float:
    """In the units of the coordinates; NaN, with a warning, where it is stated and can not be true."""
    stated = factors.get("spot_diameter_fullres")
    width = as_number(stated)
    if np.isfinite(width) and width > 0:
        return width
    if stated is not None:
        logger.warning(
            "uns['spatial'][%r]['scalefactors']['spot_diameter_fullres'] is no positive number but %r, and is left out",
            name,
            stated,
        )
    return np.nan


def _microns(factors: Mapping[str, Any], name: str, obs: pd.DataFrame, xy: np.ndarray, spot: float) -> float | None:
    """Micrometres per unit of the coordinates: as stated, or else by the lattice of the spots."""
    if factors.get("microns_per_pixel") is not None:
        stated = believed_microns(as_number(factors["microns_per_pixel"]), f"uns['spatial'][{name!r}]")
        if stated is not None:
            return stated
    return lattice_microns(obs, xy, spot)


def _find_image(libraries: dict[str, Mapping[str, Any]], name: str, options: ResolveOptions) -> SectionImage | None:
    image_key = options.image_key
    images = section_images(libraries.get(name, {}))
    factors = scale_factors(libraries.get(name, {}))
    where = f"uns['spatial'][{name!r}]"
    if image_key is None:
        suffixes = (NORMALIZED_SUFFIX, "") if options.prefer_normalized else ("",)
        wanted = [base + suffix for base in _IMAGE_KEYS for suffix in suffixes]
        image_key = next((key for key in wanted if key in images), None)
    elif name not in libraries and libraries:
        raise KeyError(
            f"image_key {image_key!r} not found{of_section(name, word='for')}: uns['spatial'] holds "
            f"{listed(libraries)}; give both the same names"
        )
    elif image_key not in images and libraries:
        raise not_found(image_key, f"{where}['images']", images, argument="image_key")
    elif image_key not in images:
        raise KeyError(f"image_key {image_key!r} not found: the data has no uns['spatial']")
    if image_key is None and options.image is not True:
        return None
    if image_key is None:
        found = f"its images: {listed(images)}" if name in libraries else f"uns['spatial'] holds: {listed(libraries)}"
        raise KeyError(
            f"no image{of_section(name, word='for')}; {found}. Add {where}['images']['hires'] and "
            f"['scalefactors']['tissue_hires_scalef'], name another by image_key, or {options.instead}"
        )
    if f"tissue_{image_key}_scalef" not in factors:
        raise KeyError(
            f"'tissue_{image_key}_scalef' not found in {where}['scalefactors']; found: {listed(factors)}. "
            f"It is the size of image {image_key!r} relative to the coordinates in obsm['spatial']"
        )
    return array_image(image_key, images[image_key], options.white)
