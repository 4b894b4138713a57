"""SpatialData as a record: rows linked by region and instance, spots moved into the pixels of the image."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from multist._keys import NORMALIZED_SUFFIX
from multist._settings import logger
from multist.access.absent import listed
from multist.access.check import check_finite, lies_on_image
from multist.access.images import element_image, looks_rgb
from multist.access.record import SectionImage, SpatialRecord
from multist.access.scale import believed_microns, lattice_microns
from multist.access.spots import apply_affine, element_spots
from multist.access.tables import SPATIAL_ATTRS, find_sections

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_MICRONS = frozenset({"micron", "microns", "micrometer", "micrometers", "um"})
_SPACE_RANGER = re.compile(r"(?P<slide>.*)_(?P<size>full|hires|lowres)_image")
_FINEST_FIRST = ("full", "hires", "lowres")
_READER = "spatialdata_io_reader"  # entry of attrs by which spatialdata-io names the reader
_MICRON_SHAPES = {  # elements whose own coordinates are micrometres, by the reader that made them
    "xenium": re.compile(r"cell_circles|cell_boundaries|nucleus_boundaries"),
    "merscope": re.compile(r".*_polygons"),
}
_CYTASSIST = re.compile(r".*_cytassist_image")  # shows where the probes were caught, and no H&E
_COSMX = re.compile(r"\d+_image")  # composites of fluorescence, one per field of view


def resolve_spatialdata(
    sdata: SpatialData,
    table: AnnData,
    *,
    image_key: str | None,
    library_key: str | None,
    coordinate_system: str | None,
    image: bool | Literal["auto"],
    prefer_normalized: bool,
    strays: bool,
    white: float | None,
) -> SpatialRecord:
    """The record of a SpatialData; see :func:`multist.access.resolve`."""
    spots = read_spots(sdata, table)
    options: dict[str, Any] = {
        "library_key": library_key,
        "coordinate_system": coordinate_system,
        "prefer_normalized": prefer_normalized,
        "strays": strays,
    }
    record = _placed(sdata, table, spots, image_key=image_key, image=image, white=white, **options)
    if image is False:
        return record
    again = partial(_placed, sdata, table, spots, image_key=None, image=False, white=None, **options)
    return replace(record, coordinates=again)


class OwnSpots(NamedTuple):
    """Region of each row, and its (n, 2) centre and (n,) diameter in the region's intrinsic coordinates."""

    region: np.ndarray
    xy: np.ndarray
    diameter: np.ndarray


def read_spots(sdata: SpatialData, table: AnnData) -> OwnSpots:
    """Read all regions of a table, once."""
    region, instance = linked_rows(sdata, table)
    xy, diameter = np.empty((table.n_obs, 2)), np.empty(table.n_obs)
    for name in np.unique(region):
        rows = region == name
        xy[rows], diameter[rows] = element_spots(sdata[name], name, instance[rows])
    check_finite(xy, table.obs_names, "the regions of the table")
    return OwnSpots(region, xy, diameter)


def _placed(
    sdata: SpatialData,
    table: AnnData,
    spots: OwnSpots,
    *,
    image_key: str | None,
    library_key: str | None,
    coordinate_system: str | None,
    image: bool | Literal["auto"],
    prefer_normalized: bool,
    strays: bool,
    white: float | None,
) -> SpatialRecord:
    """Spots taken to the pixels of their section's image, or without one to a coordinate system."""
    region, xy, diameter = spots.region, spots.xy.copy(), spots.diameter.copy()
    if coordinate_system is not None and coordinate_system not in sdata.coordinate_systems:
        raise KeyError(f"coordinate_system {coordinate_system!r} not found; found: {listed(sdata.coordinate_systems)}")
    section, names = find_sections(table, library_key)
    images: list[SectionImage | None] = []
    microns: list[float | None] = []
    lazy: dict[str, SectionImage] = {}
    affines: dict[tuple[int, str], np.ndarray] = {}
    for code, name in enumerate(names):
        regions = np.unique(region[section == code]).tolist()
        key = (
            None
            if image is False
            else _choose_image(sdata, regions, image_key, coordinate_system, prefer_normalized=prefer_normalized)
        )
        if key is None and image is True:
            raise KeyError(_no_image(sdata, name, regions, coordinate_system))
        system = choose_system(sdata, regions, key, coordinate_system)
        to_pixels = np.eye(3) if key is None else _inverse(affine_to(sdata.images[key], system), key, system)
        for part in regions:
            rows = (section == code) & (region == part)
            affines[code, part] = to_pixels @ affine_to(sdata[part], system)
            xy[rows], diameter[rows] = apply_affine(affines[code, part], xy[rows], diameter[rows])
        if key is not None and key not in lazy:
            lazy[key] = element_image(key, sdata.images[key], white)
        rows = section == code
        stated = _microns(sdata, [*regions, *([] if key is None else [key])], system)
        if stated is None:
            stated = _reader_microns(sdata, to_pixels, system)
        if stated is None:
            stated = lattice_microns(table.obs[rows], xy[rows], float(np.median(diameter[rows])), regions)
        microns.append(stated)
        if key is not None and not lies_on_image(
            xy[rows],
            diameter[rows],
            lazy[key],
            table.obs_names[rows],
            name,
            strays=strays,
            needed=image_key is not None,
        ):
            key = None
        images.append(None if key is None else lazy[key])
    return SpatialRecord(table, xy, diameter, section, names, tuple(images), tuple(microns), affines)


def linked_rows(sdata: SpatialData, table: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Region and instance of each row."""
    keys = table.uns.get(SPATIAL_ATTRS, {})
    if not {"region_key", "instance_key"} <= keys.keys():
        raise ValueError(
            "the table annotates no shapes, labels or points; link it by spatialdata.models.TableModel.parse(table, "
            "region=..., region_key=..., instance_key=...)"
        )
    for key in (keys["region_key"], keys["instance_key"]):
        if key not in table.obs:
            raise KeyError(
                f"column {key!r}, by which the table is linked, not found in obs; found: {listed(table.obs)}"
            )
    region = table.obs[keys["region_key"]].astype(str).to_numpy()
    elements = {**sdata.shapes, **sdata.labels, **sdata.points}
    for name in np.unique(region):
        if name not in elements:
            raise KeyError(f"the table annotates region {name!r}, which is not there; found: {listed(elements)}")
    return region, np.asarray(table.obs[keys["instance_key"]])


def systems_of(element: Any) -> set[str]:
    """Coordinate systems that an element has a transformation to."""
    from spatialdata.transformations import get_transformation

    return set(get_transformation(element, get_all=True))


def shared_systems(sdata: SpatialData, names: Iterable[str], coordinate_system: str | None) -> list[str]:
    """Coordinate systems that all elements share, ``"global"`` first."""
    shared = set.intersection(*(systems_of(sdata[name]) for name in names))
    if coordinate_system is not None:
        shared &= {coordinate_system}
    return sorted(shared, key=lambda system: (system != "global", system))


def affine_to(element: Any, system: str) -> np.ndarray:
    """(3, 3) affine matrix from the intrinsic coordinates (x, y) of an element to a coordinate system."""
    from spatialdata.transformations import get_transformation

    transformation: Any = get_transformation(element, to_coordinate_system=system)
    return np.asarray(transformation.to_affine_matrix(("x", "y"), ("x", "y")), dtype=np.float64)


def _inverse(matrix: np.ndarray, key: str, system: str) -> np.ndarray:
    try:
        return np.linalg.inv(matrix)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"the transformation of image {key!r} to {system!r} cannot be inverted") from error


def choose_system(sdata: SpatialData, regions: list[str], key: str | None, coordinate_system: str | None) -> str:
    """The coordinate system in which regions and image, if any, are brought together."""
    shared = shared_systems(sdata, [*regions, *([] if key is None else [key])], coordinate_system)
    if shared:
        return shared[0]
    systems = {name: sorted(systems_of(sdata[name])) for name in regions}
    raise ValueError(f"the regions {listed(regions)} share no coordinate system; they have: {systems}")


def _choose_image(
    sdata: SpatialData,
    regions: list[str],
    image_key: str | None,
    coordinate_system: str | None,
    *,
    prefer_normalized: bool,
) -> str | None:
    if image_key is not None:
        if image_key not in sdata.images:
            raise KeyError(f"image_key {image_key!r} not found in sdata.images; found: {listed(sdata.images)}")
        if not shared_systems(sdata, [*regions, image_key], coordinate_system):
            systems = {name: sorted(systems_of(sdata[name])) for name in [image_key, *regions]}
            raise ValueError(f"image {image_key!r} shares no coordinate system with the spots: {systems}")
        return image_key
    no_histology = _COSMX if sdata.attrs.get(_READER) == "cosmx" else _CYTASSIST
    fitting = [
        key
        for key, element in sdata.images.items()
        if looks_rgb(element)
        and not no_histology.fullmatch(key.removesuffix(NORMALIZED_SUFFIX))
        and shared_systems(sdata, [*regions, key], coordinate_system)
    ]
    originals = sorted({key.removesuffix(NORMALIZED_SUFFIX) for key in fitting})
    normalized = [key for key in originals if key + NORMALIZED_SUFFIX in fitting]
    originals = _finest_of_slide(originals, normalized if prefer_normalized else [])
    if len(originals) > 1:
        originals = _images_of_their_own(sdata, regions, originals) or originals
    if len(originals) > 1:
        raise ValueError(f"several images fit region {listed(regions)}; pass image_key, one of: {listed(fitting)}")
    if not originals:
        return None
    best = (originals[0] + NORMALIZED_SUFFIX, originals[0])
    return next(key for key in (best if prefer_normalized else best[::-1]) if key in fitting)


def _finest_of_slide(keys: list[str], preferred: list[str]) -> list[str]:
    """Of the copies of one image that Space Ranger makes, the finest (of the preferred, if any); others as they are."""
    matches = [_SPACE_RANGER.fullmatch(key) for key in keys]
    if len(keys) < 2 or not all(matches) or len({match["slide"] for match in matches if match}) > 1:
        return keys
    sizes = {match["size"]: match[0] for match in matches if match and (not preferred or match[0] in preferred)}
    finest = next(sizes[size] for size in _FINEST_FIRST if size in sizes)
    logger.info("of the copies %s of one image, %r is taken", listed(keys), finest)
    return [finest]


def _images_of_their_own(sdata: SpatialData, regions: list[str], keys: list[str]) -> list[str]:
    """Images that share with the regions a coordinate system that none of the other images has."""
    systems = {key: systems_of(sdata.images[key]) for key in keys}
    return [
        key
        for key in keys
        if set(shared_systems(sdata, [*regions, key], None))
        - set().union(*(systems[other] for other in keys if other != key))
    ]


def _no_image(sdata: SpatialData, section: str, regions: list[str], coordinate_system: str | None) -> str:
    where = "a coordinate system" if coordinate_system is None else f"coordinate system {coordinate_system!r}"
    images = {key: sorted(systems_of(element)) for key, element in sdata.images.items()}
    spots = {name: sorted(systems_of(sdata[name])) for name in regions}
    return (
        f"no RGB image shares {where} with section {section!r}; images: {images or 'none'}; spots: {spots}. Stains of "
        "fluorescence are no histology. Add the H&E, link it by spatialdata.transformations.set_transformation, or "
        "go without an image"
    )


def _microns(sdata: SpatialData, elements: list[str], system: str) -> float | None:
    """Micrometres per pixel, where a system of the image, or one that all regions share, is named after the unit."""
    last = elements[-1]
    on_image = last in sdata.images
    units = [name for name in shared_systems(sdata, [last] if on_image else elements, None) if name.lower() in _MICRONS]
    if not units:
        return None
    to_units = affine_to(sdata[last], units[0])
    if not on_image:  # the coordinates are those of `system`
        to_units = to_units @ np.linalg.inv(affine_to(sdata[last], system))
    if not np.isfinite(to_units).all():
        return None
    sides = np.linalg.svd(to_units[:2, :2], compute_uv=False)
    size = float(np.sqrt(np.prod(sides)))
    if not on_image:  # of coordinates, which may be millimetres as well as pixels
        return size if size > 0 else None
    source = f"the transformation of image {last!r} to {units[0]!r}"
    return size if all(believed_microns(side, source) for side in sides) else None


def _reader_microns(sdata: SpatialData, to_pixels: np.ndarray, system: str) -> float | None:
    """Micrometres per pixel by the shapes that some readers leave in micrometres."""
    named = _MICRON_SHAPES.get(str(sdata.attrs.get(_READER)))
    if named is None:
        return None
    cells = next((key for key in sdata.shapes if named.fullmatch(key) and system in systems_of(sdata[key])), None)
    if cells is None:
        return None
    size = 1 / np.sqrt(abs(np.linalg.det((to_pixels @ affine_to(sdata[cells], system))[:2, :2])))
    return believed_microns(float(size), f"the transformation of {cells!r}")
