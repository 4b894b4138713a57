"""Bring the colours of a histology image to a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from multist import _keys
from multist._described import described
from multist._progress import progress_bar
from multist._settings import logger
from multist.access import Fields, PatchReader, get_table, run
from multist.access.patches import refuse_unstained
from multist.access.write import check_names
from multist.histology.reference_patches import choose_patches, patch_densities, score_patches
from multist.histology.spots import check_width, typical_diameter
from multist.histology.stain_reference import METHODS, StainReference
from multist.histology.stain_transfer import DensityTransfer, linear_transfer, recolour, tissue_moments
from multist.histology.tissue import Overview, read_overview, remember_overview

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access.record import SectionImage, SpatialRecord

_PATCH_WIDTH = 2.0  # spot diameters, as in embed_histology
_PATCH_PIXELS = 32
_PATCHES_AT_ONCE = 500
_MAX_CANDIDATES = 5000  # spots whose patches are looked at; more tell nothing new about a colour


@described
def normalize_histology(
    data: AnnData | SpatialData,
    method: Literal["patches", "macenko", "vahadane", "reinhard"] = "patches",
    *,
    reference: StainReference | Mapping[str, Any] | AnnData | SpatialData | None = None,
    image_key: str | None = None,
    image_key_added: str | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    white: float | None = None,
    reference_key_added: str = _keys.STAIN_REFERENCE,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Normalise the stain of histology images; glass, black frames and ink keep their bits.

    ``"patches"`` scores the patches at spots by their tissue, contrast, balance of the two stains, texture and colour
    spread, takes a diverse twentieth out of the best 30 %, and moves the mean and covariance of the tissue to theirs
    (the method of MultiST, arXiv 2601.13331). It does so in optical density, where stains add up (Beer and Lambert) and
    no hue depends on how bright the lamp was; with CIELAB's channels moved one by one, the two stains' own colours
    drift. Blood and brown pigment are left out of both. The other methods are squidpy's: ``"macenko"`` and
    ``"vahadane"`` exchange the two stains' colours and keep their amounts, ``"reinhard"`` moves means and standard
    deviations in Ruderman's space.

    Parameters
    ----------
    data
        Table with spots, and an image for every section.
    method
        How to normalise.
    reference
        Stain to go to: what another slide stored in ``uns["multist"][reference_key_added]``, or that slide's object
        itself, or a ``StainReference``. None takes it from the first slide of ``data``, by ``"patches"`` from its best,
        and stores it. So sections of one table become what they become as objects of their own that are given the first
        as reference.
    image_key
        Image to normalise; None takes the only one.
    image_key_added
        Name of the result; None appends ``"_normalized"``. A present image of that name is replaced.
    reference_key_added
        Entry of ``uns["multist"]`` for the reference; also where it is looked for in another object.
    random_state
        Seed of the choice of patches.

    Returns
    -------
    None, or the changed copy. Fields written:

    ``images["<key>_normalized"]`` of a SpatialData
        Lazy, with the transformations and the pyramid of the source.
    ``uns["spatial"][section]["images"]["<key>_normalized"]`` and its scale factor, of an AnnData
        (h, w, 3) uint8, computed.
    ``uns["multist"][reference_key_added]``
        The reference, as strings and arrays.

    Raises
    ------
    KeyError
        If an image or table does not exist, a section has no image, or the reference's object holds no reference.
    ValueError
        If the method is unknown, the reference was fitted by another method or is malformed, spots are wider than the
        image, the image is black under all spots or fluorescence by its colours, or no tissue is found.
    RuntimeError
        If squidpy finds no plausible haematoxylin and eosin.

    Examples
    --------
    >>> mt.pp.normalize_histology(sdata)
    >>> sorted(sdata.images)
    ['he', 'he_normalized']
    >>> mt.pp.normalize_histology(second, reference=sdata)  # the next slide in the stain of this one
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown; known: {', '.join(map(repr, METHODS))}")
    check_names([reference_key_added], (), "reference_key_added: uns['multist']")
    target = given_reference(reference, reference_key_added, method)
    keys: dict[str, Any] = {"table_key": table_key, "image_key": image_key, "library_key": library_key}
    with run(
        data,
        "normalize_histology",
        random_state=random_state,
        copy=copy,
        image=True,
        prefer_normalized=False,
        white=white,
        **keys,
    ) as work:
        found, fields = change_stain(
            work.part.record, method, target, reference_key_added=reference_key_added, random_state=random_state
        )
        work.part.write(**fields)
        found.remember(work.part.write_images(work.part.record, found.arrays, image_key_added))
    return work.result


class Stained(NamedTuple):
    """Images in another stain.

    Attributes
    ----------
    arrays
        By section: the levels of its new pyramid.
    coarse
        By section: what :func:`multist.histology.tissue.read_overview` would read of it.
    """

    arrays: list[Sequence[Any]]
    coarse: list[Any]

    def remember(self, images: Sequence[SectionImage | None]) -> None:
        """Spare what comes next to read the new images for their overviews, where they are lazy."""
        for image, rgb in zip(images, self.coarse, strict=True):
            if image is not None:
                remember_overview(image.levels, np.asarray(rgb))


def change_stain(
    record: SpatialRecord,
    method: str = "patches",
    target: StainReference | None = None,
    *,
    reference_key_added: str = _keys.STAIN_REFERENCE,
    random_state: int = 0,
) -> tuple[Stained, Fields]:
    """The stage of :func:`normalize_histology`: a new image for each section of a record, and the fields beside."""
    refuse_unstained(record)
    slides = _slides(record)
    if method == "patches":
        levels, target = _by_patches(record, slides, target, random_state)
    else:
        levels, target = _by_squidpy(slides, target, method)
    slide_of = [next(slide for slide in slides if section in slide.sections) for section in range(len(record.images))]
    logger.info("%s: stain normalised by %r", ", ".join(sorted({slide.image.key for slide in slides})), method)
    found = Stained([levels[slide.index][:-1] for slide in slide_of], [levels[slide.index][-1] for slide in slide_of])
    return found, {"uns": {_keys.MULTIST: {reference_key_added: target.to_dict()}}}


def given_reference(reference: Any, key: str, method: str) -> StainReference | None:
    """The reference that was given in any form, refused if it is of another method."""
    if reference is None:
        return None
    if isinstance(reference, StainReference):
        found = reference
    elif isinstance(reference, Mapping):
        found = StainReference.from_dict(reference)
    else:
        held = get_table(reference).uns.get(_keys.MULTIST, {})
        if key not in held:
            raise KeyError(
                f"the reference holds no uns[{_keys.MULTIST!r}][{key!r}]; found: "
                f"{', '.join(sorted(held)) or 'nothing'}. Run normalize_histology on it first"
            )
        found = StainReference.from_dict(held[key])
    if found.method != method:
        raise ValueError(f"the reference was fitted by method={found.method!r}, not {method!r}: pass that method")
    return found.from_elsewhere()


class _Slide:
    """One image, with all sections that lie on it."""

    def __init__(self, index: int, image: SectionImage, sections: list[int], record: SpatialRecord) -> None:
        self.index, self.image, self.sections = index, image, sections
        self.rows = np.flatnonzero(np.isin(record.section, sections))
        diameter = typical_diameter(record.diameter[self.rows], record.xy[self.rows])
        check_width(diameter, "a spot", image.key, image.shape)
        self.patch_width = _PATCH_WIDTH * diameter
        self.overview: Overview = read_overview(image.levels, image.downsample, record.xy[self.rows], diameter)
        if not self.overview.tissue.any():
            raise ValueError(
                f"no tissue was found in image {image.key!r}: is it the H&E image, and do the spots lie on it?"
            )

    def levels(self) -> list[tuple[Any, float]]:
        """The pyramid, and as a last level the overview, each with the width of its pixels."""
        pyramid = zip(self.image.levels, self.image.downsample, strict=True)
        return [*pyramid, (self.overview.rgb, self.overview.scale)]


def _slides(record: SpatialRecord) -> list[_Slide]:
    held: dict[tuple[str, str], tuple[SectionImage, list[int]]] = {}
    for section, image in enumerate(record.images):
        if image is not None:
            held.setdefault(image.slide, (image, []))[1].append(section)
    return [_Slide(i, image, sections, record) for i, (image, sections) in enumerate(held.values())]


def _by_patches(
    record: SpatialRecord, slides: list[_Slide], target: StainReference | None, random_state: int
) -> tuple[list[list[Any]], StainReference]:
    """Slide by slide, so that a slide's result is the same in a table with others as alone."""
    width = np.empty(len(record.xy))
    for slide in slides:
        width[slide.rows] = slide.patch_width
    reader = PatchReader(record, size=width, pixels=_PATCH_PIXELS)
    candidates = [_candidates(slide, random_state) for slide in slides]
    levels: list[list[Any]] = []
    with progress_bar(sum(map(len, candidates)), "stain of the patches", "patches") as bar:
        for slide, rows in zip(slides, candidates, strict=True):
            patches = np.empty((len(rows), _PATCH_PIXELS, _PATCH_PIXELS, 3), np.uint8)
            for part, found in reader.batches(_PATCHES_AT_ONCE, rows=rows):
                patches[np.searchsorted(rows, part)] = found
                bar.update(len(part))
            density, stained = patch_densities(patches, slide.overview.white)
            if target is None:
                target = _own_reference(record, slide, rows, density, stained, random_state)
            levels.append(_moved(slide, tissue_moments(density[stained]), target))
    assert target is not None, "the reader refuses a record without a slide"
    return levels, target


def _candidates(slide: _Slide, random_state: int) -> np.ndarray:
    """Sorted rows of the spots whose patches are looked at."""
    if len(slide.rows) <= _MAX_CANDIDATES:
        return slide.rows
    return np.sort(np.random.default_rng(random_state).choice(slide.rows, _MAX_CANDIDATES, replace=False))


def _own_reference(
    record: SpatialRecord, slide: _Slide, rows: np.ndarray, density: np.ndarray, stained: np.ndarray, random_state: int
) -> StainReference:
    """The stain of a slide's best patches."""
    score, features = score_patches(density, stained)
    chosen = choose_patches(score, features, random_state=random_state)
    mean, covariance = tissue_moments(density[chosen][stained[chosen]])
    return StainReference(
        "patches",
        white=slide.overview.white,
        mean=mean,
        covariance=covariance,
        patch_xy=record.xy[rows[chosen]],
        patch_width=np.full(len(chosen), slide.patch_width),
        patch_section=np.array([record.section_names[i] for i in record.section[rows[chosen]]]),
    )


def _moved(slide: _Slide, source: tuple[np.ndarray, np.ndarray], target: StainReference) -> list[Any]:
    assert target.mean is not None and target.covariance is not None and target.white is not None
    matrix, offset = linear_transfer(source, (target.mean, target.covariance))
    change = DensityTransfer(matrix, offset, slide.overview.white, target.white)
    return [recolour(level, step, slide.overview, change) for level, step in slide.levels()]


def _by_squidpy(
    slides: list[_Slide], target: StainReference | None, method: str
) -> tuple[list[list[Any]], StainReference]:
    from multist.pp._squidpy_stains import fit_reference, normalized_level

    if target is None:
        target = fit_reference(slides[0].overview, method)
        logger.info("no reference is given: that of %r itself is taken, and stored", slides[0].image.key)
    levels = [
        [
            recolour(level, step, slide.overview, normalized_level(level, slide.overview, target))
            for level, step in slide.levels()
        ]
        for slide in slides
    ]
    return levels, target
