"""AnnData with ``obsm["spatial"]`` and Visium's ``uns["spatial"]`` as a record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist._keys import NORMALIZED_SUFFIX, SPATIAL
from multist.access.check import check_finite, lies_on_image
from multist.access.images import array_image
from multist.access.microns import believed_microns, lattice_microns
from multist.access.record import SectionImage, SpatialRecord
from multist.access.tables import find_sections, listed

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

logger = logging.getLogger("multist")

_IMAGE_KEYS = ("hires", "lowres")


def resolve_anndata(
    table: AnnData,
    *,
    image_key: str | None,
    library_key: str | None,
    image: bool | Literal["auto"],
    prefer_normalized: bool,
    strays: bool,
    white: float | None,
) -> SpatialRecord:
    """The record of an AnnData; see :func:`multist.access.resolve`."""
    xy = _coordinates(table)
    libraries = _libraries(table)
    if library_key is None and len(libraries) > 1 and image is not False:
        raise ValueError(
            f"uns['spatial'] holds several sections ({listed(libraries)}); "
            "pass library_key, the column of obs that names the section of each row"
        )
    section, names = find_sections(table, library_key)
    if library_key is None and len(libraries) == 1:
        section, names = np.zeros(table.n_obs, dtype=np.int64), tuple(libraries)
    if image == "auto" and image_key is None:
        _name_the_unknown(names, libraries, library_key)
    diameter = np.full(table.n_obs, np.nan)
    images: list[SectionImage | None] = []
    microns: list[float | None] = []
    for code, name in enumerate(names):
        rows = section == code
        found = None
        if image is not False:
            found = _find_image(
                libraries, name, image_key, prefer_normalized=prefer_normalized, needed=image is True, white=white
            )
        factors = libraries.get(name, {}).get("scalefactors") or {}
        stated = _microns(factors, name, table.obs[rows], xy[rows])
        scale = 1.0 if found is None else _scale(factors, found.key, name)
        xy[rows] *= scale
        width = _number(factors.get("spot_diameter_fullres"))
        diameter[rows] = width * scale if np.isfinite(width) and width > 0 else np.nan
        microns.append(None if stated is None else stated / scale)
        if found is not None and not lies_on_image(
            xy[rows], diameter[rows], found, table.obs_names[rows], name, strays=strays, needed=image_key is not None
        ):
            found = None
        images.append(found)
    return SpatialRecord(table, xy, diameter, section, names, tuple(images), tuple(microns))


def _coordinates(table: AnnData) -> np.ndarray:
    if SPATIAL not in table.obsm:
        raise KeyError(
            f"obsm['spatial'] not found; obsm holds: {listed(table.obsm)}. Put the coordinates of the spots there, "
            "(n_obs, 2), x before y, in pixels of the full-resolution image"
        )
    try:
        xy = np.array(table.obsm[SPATIAL], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"obsm['spatial'] does not hold numbers: {error}") from error
    if xy.ndim != 2 or xy.shape[1] not in (2, 3):
        raise ValueError(f"obsm['spatial'] has shape {xy.shape}; expected (n_obs, 2), x before y")
    xy = np.ascontiguousarray(xy[:, :2])
    check_finite(xy, table.obs_names, "obsm['spatial']")
    return xy


def _libraries(table: AnnData) -> dict[str, Mapping[str, Any]]:
    """The entries of ``uns["spatial"]`` that have the form of a Visium section."""
    entries = table.uns.get(SPATIAL, {})
    if not isinstance(entries, Mapping):
        return {}
    return {str(name): entry for name, entry in entries.items() if isinstance(entry, Mapping)}


def _name_the_unknown(names: tuple[str, ...], libraries: dict[str, Mapping[str, Any]], library_key: str | None) -> None:
    """Warn of sections whose image is not looked for because it goes by another name."""
    without = [name for name in names if name not in libraries]
    if without and libraries:
        logger.warning(
            "there is no image for section %s of obs[%r], as uns['spatial'] holds %s: give both the same names",
            listed(without),
            library_key,
            listed(libraries),
        )


def _number(value: Any) -> float:
    """A scale factor, NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _scale(factors: Mapping[str, Any], key: str, name: str) -> float:
    scale = _number(factors[f"tissue_{key}_scalef"])
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(
            f"uns['spatial'][{name!r}]['scalefactors']['tissue_{key}_scalef'] must be positive; it is {scale}"
        )
    return scale


def _microns(factors: Mapping[str, Any], name: str, obs: pd.DataFrame, xy: np.ndarray) -> float | None:
    """Micrometres per unit of the coordinates: as stated, or else by the lattice of the spots."""
    if "microns_per_pixel" in factors:
        stated = believed_microns(_number(factors["microns_per_pixel"]), f"uns['spatial'][{name!r}]")
        if stated is not None:
            return stated
    return lattice_microns(obs, xy)


def _find_image(
    libraries: dict[str, Mapping[str, Any]],
    name: str,
    image_key: str | None,
    *,
    prefer_normalized: bool,
    needed: bool,
    white: float | None,
) -> SectionImage | None:
    images = libraries.get(name, {}).get("images") or {}
    factors = libraries.get(name, {}).get("scalefactors") or {}
    where = f"uns['spatial'][{name!r}]"
    if image_key is None:
        suffixes = (NORMALIZED_SUFFIX, "") if prefer_normalized else ("",)
        wanted = [base + suffix for base in _IMAGE_KEYS for suffix in suffixes]
        image_key = next((key for key in wanted if key in images), None)
    elif name not in libraries and libraries:
        raise KeyError(
            f"image_key {image_key!r} not found for section {name!r}: uns['spatial'] holds {listed(libraries)}; give both the same names"
        )
    elif image_key not in images and libraries:
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
    if f"tissue_{image_key}_scalef" not in factors:
        raise KeyError(
            f"'tissue_{image_key}_scalef' not found in {where}['scalefactors']; found: {listed(factors)}. "
            f"It is the size of image {image_key!r} relative to the coordinates in obsm['spatial']"
        )
    return array_image(image_key, images[image_key], white)
