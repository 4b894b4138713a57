"""SpatialData as a record: rows linked by region and instance, spots moved into the pixels of the image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from multist._keys import HISTOLOGY, NORMALIZED_SUFFIX
from multist._settings import logger
from multist.access.absent import listed, not_found
from multist.access.check import check_finite
from multist.access.images import element_image, looks_rgb, told_channels
from multist.access.record import SpatialRecord
from multist.access.scale import believed_microns, lattice_microns, unit_in_microns
from multist.access.sections import PlacedSection, ResolveOptions, place_sections
from multist.access.spots import apply_affine, element_spots
from multist.access.tables import SPATIAL_ATTRS, find_sections

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_SPACE_RANGER = re.compile(r"(?P<slide>.*)_(?P<size>full|hires|lowres)_image")
_FINEST_FIRST = ("full", "hires", "lowres")
_READER = "spatialdata_io_reader"  # entry of attrs by which spatialdata-io names the reader
_MICRON_SHAPES = {  # elements whose own coordinates are micrometres, by the reader that made them
    "xenium": re.compile(r"cell_circles|cell_boundaries|nucleus_boundaries"),
    "merscope": re.compile(r".*_polygons"),
}
_CYTASSIST = re.compile(r".*_cytassist_image")  # shows where the probes were caught, and no H&E
_COSMX = re.compile(r"\d+_image")  # composites of fluorescence, one per field of view

_TOLD = 5  # images, or regions, that a message lists


def resolve_spatialdata(sdata: SpatialData, table: AnnData, options: ResolveOptions) -> SpatialRecord:
    """The record of a SpatialData; see :func:`multist.access.resolve`."""
    spots = read_spots(sdata, table)
    record = _placed(sdata, table, spots, options)
    if options.image is False:
        return record
    return replace(record, coordinates=partial(_placed, sdata, table, spots, options.without_image()))


class OwnSpots(NamedTuple):
    """Region of each row, and its (n, 2) centre and (n,) diameter in the region's intrinsic coordinates."""

    region: np.ndarray
    xy: np.ndarray
    diameter: np.ndarray


def read_spots(sdata: SpatialData, table: AnnData) -> OwnSpots:
    """Read all regions of a table, once."""
    region, instance = linked_rows(sdata, table)
    xy, diameter = np.empty((table.n_obs, 2)), np.empty(table.n_obs)
    for name in region_names(region):
        rows = region == name
        xy[rows], diameter[rows] = element_spots(sdata[name], name, instance[rows])
    check_finite(xy, table.obs_names, "the regions of the table")
    return OwnSpots(region, xy, diameter)


def _placed(sdata: SpatialData, table: AnnData, spots: OwnSpots, options: ResolveOptions) -> SpatialRecord:
    """Spots taken to the pixels of their section's image, or without one to a coordinate system."""
    # several sections may lie on one image
    open_image = cache(lambda key: element_image(key, sdata.images[key], options.white))
    section, names = find_sections(table, options.library_key)
    regions = {name: region_names(spots.region[section == code]) for code, name in enumerate(names)}
    keys = _choose_images(sdata, regions, options, described=HISTOLOGY in table.obsm)

    def place(name: str, rows: np.ndarray) -> PlacedSection:
        region, xy, diameter = (each[rows] for each in spots)
        key = keys[name]
        system = choose_system(sdata, regions[name], key)
        to_pixels = np.eye(3) if key is None else _inverse(affine_to(sdata.images[key], system), key, system)
        affines = {}
        for part in regions[name]:
            here = region == part
            affines[part] = to_pixels @ affine_to(sdata[part], system)
            xy[here], diameter[here] = apply_affine(affines[part], xy[here], diameter[here])
        image = None if key is None else open_image(key)
        microns = _microns(sdata, regions[name], key, system)
        if microns is None:
            microns = _reader_microns(sdata, to_pixels, system)
        if microns is None:
            microns = lattice_microns(table.obs[rows], xy, float(np.median(diameter)), regions[name])
        return PlacedSection(xy, diameter, image, microns, affines)

    return place_sections(table, section, names, place, options)


def region_names(region: np.ndarray) -> list[str]:
    """The names of the regions of rows, sorted."""
    return sorted(pd.unique(region))  # numpy would sort all rows


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
    for name in region_names(region):
        if name not in elements:
            raise KeyError(f"the table annotates region {name!r}, which is not there; found: {listed(elements)}")
    instance = np.asarray(table.obs[keys["instance_key"]])
    twice = np.flatnonzero(pd.DataFrame({"region": region, "instance": instance}).duplicated(keep=False))
    if len(twice):
        first = twice[0]
        raise ValueError(
            f"{len(twice)} rows of the table ({listed(table.obs_names[twice[:3]])}...) name an instance that another "
            f"row names too, such as {listed(instance[[first]].tolist())} of region {region[first]!r}: remove rows "
            "that are there twice, and give sections that were concatenated regions of their own"
        )
    return region, instance


def systems_of(element: Any) -> set[str]:
    """Coordinate systems that an element has a transformation to."""
    from spatialdata.transformations import get_transformation

    return set(get_transformation(element, get_all=True))


def shared_systems(sdata: SpatialData, names: Iterable[str], coordinate_system: str | None = None) -> list[str]:
    """Coordinate systems that all elements share, ``"global"`` first; at most ``coordinate_system`` if it is given."""
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


def choose_system(sdata: SpatialData, regions: list[str], key: str | None) -> str:
    """Where regions and image, if any, are brought together: ``"global"``, or else the first by name that all share."""
    shared = shared_systems(sdata, [*regions, *([] if key is None else [key])])
    if shared:
        return shared[0]
    systems = {name: sorted(systems_of(sdata[name])) for name in regions}
    raise ValueError(f"the regions {listed(regions)} share no coordinate system; they have: {systems}")


def _choose_images(
    sdata: SpatialData, regions: Mapping[str, list[str]], options: ResolveOptions, *, described: bool
) -> dict[str, str | None]:
    """The image of each section, whose regions are given; warns of images that are not taken, and not described."""
    if options.image is False:
        return dict.fromkeys(regions)
    keys = {name: _choose_image(sdata, parts, options) for name, parts in regions.items()}
    without = {name: parts for name, parts in regions.items() if keys[name] is None}
    if without and options.image is True:
        raise KeyError(_no_image(sdata, without, options))
    if without and sdata.images and not described:
        logger.warning("%s", _no_image(sdata, without, options), extra={"once": True})
    return keys


def _choose_image(sdata: SpatialData, regions: list[str], options: ResolveOptions) -> str | None:
    image_key = options.image_key
    if image_key is not None:
        if image_key not in sdata.images:
            raise not_found(image_key, "sdata.images", sdata.images, argument="image_key")
        if not shared_systems(sdata, [*regions, image_key]):
            systems = {name: sorted(systems_of(sdata[name])) for name in [image_key, *regions]}
            raise ValueError(f"image {image_key!r} shares no coordinate system with the spots: {systems}")
        return image_key
    fitting = [
        key
        for key, element in sdata.images.items()
        if looks_rgb(element) and not _is_no_histology(sdata, key) and shared_systems(sdata, [*regions, key])
    ]
    originals = sorted({key.removesuffix(NORMALIZED_SUFFIX) for key in fitting})
    normalized = [key for key in originals if key + NORMALIZED_SUFFIX in fitting]
    originals = _finest_of_slide(originals, normalized if options.prefer_normalized else [])
    if len(originals) > 1:
        originals = _images_of_their_own(sdata, regions, originals) or originals
    if len(originals) > 1:
        raise ValueError(f"several images fit region {listed(regions)}; pass image_key, one of: {listed(fitting)}")
    if not originals:
        return None
    best = (originals[0] + NORMALIZED_SUFFIX, originals[0])
    return next(key for key in (best if options.prefer_normalized else best[::-1]) if key in fitting)


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
        if set(shared_systems(sdata, [*regions, key]))
        - set().union(*(systems[other] for other in keys if other != key))
    ]


def _is_no_histology(sdata: SpatialData, key: str) -> bool:
    """Whether an image is known by its name to show something else."""
    pattern = _COSMX if sdata.attrs.get(_READER) == "cosmx" else _CYTASSIST
    return pattern.fullmatch(key.removesuffix(NORMALIZED_SUFFIX)) is not None


def _no_image(sdata: SpatialData, sections: Mapping[str, list[str]], options: ResolveOptions) -> str:
    """Why no image is taken for sections, whose regions are given: what was seen, and what to do."""
    images = [f"{_with_systems(sdata, key)}, {_seen(sdata, key)}" for key in sdata.images]
    regions = dict.fromkeys(region for parts in sections.values() for region in parts)
    spots = [_with_systems(sdata, name) for name in regions]
    return (
        f"no RGB image shares a coordinate system with {'section' if len(sections) == 1 else 'sections'} "
        f"{_first(list(map(repr, sections)), ', ')}; images: {_first(images)}; spots: {_first(spots)}. "
        "Stains of fluorescence are no histology. Add the H&E, link it by "
        "spatialdata.transformations.set_transformation, name an image of 1, 3 or 4 channels by image_key, or "
        f"{options.instead}"
    )


def _with_systems(sdata: SpatialData, name: str) -> str:
    return f"{name!r} in {listed(sorted(systems_of(sdata[name])))}"


def _seen(sdata: SpatialData, key: str) -> str:
    """What of an image tells whether it is histology."""
    by_name = ", by its name no H&E" if _is_no_histology(sdata, key) else ""
    return f"{told_channels(sdata.images[key])}{by_name}"


def _first(texts: Sequence[str], separator: str = "; ") -> str:
    """Some texts, and how many more there are: a section may have hundreds of fields of view."""
    more = f" and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    return (separator.join(texts[:_TOLD]) or "none") + more


def _microns(sdata: SpatialData, regions: list[str], key: str | None, system: str) -> float | None:
    """Micrometres per pixel, where a system of the image, or one that all regions share, is named after the unit."""
    named = regions if key is None else [key]
    units = [name for name in shared_systems(sdata, named) if unit_in_microns(name) == 1]
    if not units:
        return None
    to_units = affine_to(sdata[named[-1]], units[0])
    if key is None:  # the coordinates are those of `system`
        to_units = to_units @ np.linalg.inv(affine_to(sdata[named[-1]], system))
    if not np.isfinite(to_units).all():
        return None
    sides = np.linalg.svd(to_units[:2, :2], compute_uv=False)
    size = float(np.sqrt(np.prod(sides)))
    if key is None:  # of coordinates, which may be millimetres as well as pixels
        return size if size > 0 else None
    source = f"the transformation of image {key!r} to {units[0]!r}"
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
