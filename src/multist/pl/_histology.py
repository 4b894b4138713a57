"""The histology image before and after normalisation, and the patches that are seen of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np

from multist._keys import MULTIST, NORMALIZED_SUFFIX, STAIN_REFERENCE
from multist._numbers import is_positive
from multist.access import PatchReader, check_whole, listed, resolve, section_code
from multist.pl import _base
from multist.pl._canvas import PAGE, Canvas, halo, user_canvas
from multist.pl._look import FigureOptions, Look, drawn
from multist.pl._slides import Slides, of_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

    from multist.access.record import SpatialRecord

_REFERENCE_COLOR, _SPOT_COLOR = "#ffb000", "#00c8ff"
_PATCH_PIXELS = 224
_MAX_REFERENCE = 8


class _Reference(NamedTuple):
    """Places of the section's reference patches in intrinsic pixels."""

    xy: np.ndarray
    width: np.ndarray


@drawn(FigureOptions)
def histology(
    data: AnnData | SpatialData,
    *,
    spots: int | Sequence[str] = 8,
    patch_size: float = 2.0,
    section: str | None = None,
    image_key: str = "auto",
    table_key: str | None = None,
    library_key: str | None = None,
    reference_key: str = STAIN_REFERENCE,
    crop: bool = True,
    microns_per_pixel: float | None = None,
    **look: Unpack[FigureOptions],
) -> Figure | Axes | list[Axes] | None:
    """Draw a section's image before and after normalisation, its reference patches, and the patches of a few spots.

    Squares mark where the patches lie, in their true size. Each spot's patch is drawn as the encoder sees it, before
    and, if there is a normalised image, after, with the spot's outline to scale.

    Parameters
    ----------
    data
        Annotated spots with an image; what :func:`multist.pp.normalize_histology` wrote is shown if it is there.
    spots
        How many spots to show, spread over the section from left to right, or their names.
    patch_size
        Width of a patch in spot diameters, as in :func:`multist.pp.embed_histology`.
    section
        Section to show; by default the first.
    image_key
        Image before normalisation; ``"auto"`` takes the only one.
    table_key, library_key
        Which table to take, and the column of ``obs`` that names the section; needed only where there is more than one.
    reference_key
        Entry of ``uns["multist"]`` that holds the reference.

    Returns
    -------
    The figure with ``return_fig=True``; the list of axes if ``show=False`` or ``ax`` is given: images, reference
    patches, spots' patches; else None.

    Raises
    ------
    KeyError
        If the section, a spot or the image does not exist; the error lists those that do.
    ValueError
        If ``spots`` or ``patch_size`` is not positive, or most spots lie off the image.

    Examples
    --------
    >>> mt.pl.histology(sdata, spots=6, save="histology.png")
    """
    options = Look.of({**look, "microns_per_pixel": microns_per_pixel})
    if not is_positive(patch_size):
        raise ValueError(f"patch_size is a positive number of spot diameters, got {patch_size}")
    if image_key is None:
        raise ValueError("pl.histology draws patches of an image: name it by image_key, or leave that out")
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image": True, "strays": True}
    before = resolve(data, image_key=None if image_key == "auto" else image_key, prefer_normalized=False, **keys)
    index = 0 if section is None else section_code(before.section_names, section)
    rows = _chosen_rows(before, index, spots)
    after = _normalized(data, before, index, keys)
    reference = _reference_patches(before, index, reference_key)
    shown = [before] if after is None else [before, after]
    tissues = [of_records([data], [record]) for record in shown]
    window = _base.section_window(tissues[0], index, crop=crop)
    n_reference = 0 if reference is None else min(_MAX_REFERENCE, len(reference.xy))
    canvas, parts = _panels(options, len(shown), n_reference, len(rows), window.aspect)
    images, patches = canvas.axes[: len(shown)], canvas.axes[len(shown) :]
    width = patch_size * float(np.median(tissues[0].diameters(index)))

    for panel, tissue in zip(images, tissues, strict=True):
        _base.draw_section(panel, tissue, index, window, options)
        _mark_squares(panel, before.xy[rows], np.full(len(rows), width), _SPOT_COLOR, numbered=True)
        if reference is not None:
            _mark_squares(panel, reference.xy, reference.width, _REFERENCE_COLOR)
    headings = {"spots": f"patches of the numbered spots{' before and after' if len(shown) > 1 else ''}"}
    if reference is not None:
        headings["reference"] = _draw_reference(patches[:n_reference], before, index, reference)
    of_spots = patches[n_reference:]
    for line, tissue in enumerate(tissues):
        _draw_spot_patches(of_spots[line * len(rows) :][: len(rows)], tissue, index, rows, width, numbered=line == 0)
    for name in headings.keys() & parts.keys():
        parts[name].suptitle(headings[name], fontsize=8, x=0.01, ha="left")
    canvas.set_titles(["as scanned", "normalized"][: len(tissues)])
    return canvas.finish("histology", listed=True)


def _chosen_rows(record: SpatialRecord, section: int, spots: int | Sequence[str]) -> np.ndarray:
    here = np.flatnonzero(record.section == section)
    if not isinstance(spots, Iterable):
        check_whole(spots=spots)
        # slices from left to right, of each the spot nearest to its middle, a bit above and below by turns
        slices = np.array_split(here[np.argsort(record.xy[here, 0], kind="stable")], min(spots, len(here)))
        chosen = []
        for i, part in enumerate(slices):
            target = np.median(record.xy[part, 0]), np.quantile(record.xy[part, 1], (0.3, 0.7)[i % 2])
            chosen.append(part[np.argmin(np.hypot(*(record.xy[part] - target).T))])
        return np.array(chosen)
    spots = [spots] if isinstance(spots, str) else list(spots)
    positions = record.table.obs_names.get_indexer(spots)
    missing = [name for name, row in zip(spots, positions, strict=True) if row < 0 or record.section[row] != section]
    if missing or len(positions) == 0:
        asked = f"no spot {listed(missing)}" if missing else "spots names none"
        raise KeyError(f"{asked} in section {record.section_names[section]!r}; its spots are those of obs_names")
    return np.asarray(positions)


def _normalized(
    data: AnnData | SpatialData, before: SpatialRecord, section: int, keys: dict[str, Any]
) -> SpatialRecord | None:
    """The record with the normalised image of the same size, or None if there is none."""
    image = before.images[section]
    if image is None or image.key.endswith(NORMALIZED_SUFFIX):
        return None
    wanted = image.key + NORMALIZED_SUFFIX
    after = resolve(data, **keys, prefer_normalized=True)
    found = after.images[section]
    if found is None or found.key != wanted:
        return None
    return after


def _reference_patches(record: SpatialRecord, section: int, key: str) -> _Reference | None:
    held = record.table.uns.get(MULTIST, {}).get(key, {})
    if "patch_xy" not in held:
        return None
    here = np.array([str(name) == record.section_names[section] for name in held["patch_section"]])
    if not here.any():
        return None
    return _Reference(np.asarray(held["patch_xy"])[here], np.asarray(held["patch_width"])[here])


def _panels(look: Look, n_images: int, n_reference: int, n_spots: int, aspect: float) -> tuple[Canvas, dict[str, Any]]:
    """Axes of images, reference patches and spots' patches, and the parts of a new figure that hold them."""
    import matplotlib.pyplot as plt

    given = user_canvas(look, n_images * (1 + n_spots) + n_reference)
    if given is not None:
        return given, {}
    columns = max(n_spots, _MAX_REFERENCE if n_reference else 5)
    width = 0.8 * PAGE if n_images > 1 else 0.6 * PAGE
    heights = {"images": min(width / n_images / aspect, 4.0) + 0.3}
    side = width / columns
    if n_reference:
        heights["reference"] = side + 0.25
    heights["spots"] = n_images * side + 0.4
    size = (width, sum(heights.values()) + 0.25 * isinstance(look.title, str))
    figure = plt.figure(figsize=look.figsize or size, layout="constrained")
    held = figure.subfigures(len(heights), 1, height_ratios=list(heights.values()), squeeze=False)
    parts = dict(zip(heights, held[:, 0], strict=True))
    axes = list(np.atleast_1d(parts["images"].subplots(1, n_images)))
    for name, lines, count in (("reference", 1, n_reference), ("spots", n_images, n_spots)):
        if count:
            grid = parts[name].subplots(lines, columns, squeeze=False)
            for panel in grid[:, count:].ravel():
                panel.remove()
            axes += list(grid[:, :count].ravel())
    return Canvas(figure, axes, look), parts


def _mark_squares(panel: Axes, xy: np.ndarray, width: np.ndarray, color: str, *, numbered: bool = False) -> None:
    from matplotlib.patches import Rectangle

    line = 1.2 if len(xy) <= 30 else 0.7
    for i, ((x, y), w) in enumerate(zip(xy, width, strict=True), start=1):
        panel.add_patch(Rectangle((x - w / 2, y - w / 2), w, w, fill=False, edgecolor=color, linewidth=line, zorder=3))
        if numbered:
            text = panel.annotate(str(i), (x, y - w / 2), (0, 2), textcoords="offset points", ha="center", color=color)
            text.set(fontsize=7, fontweight="bold", path_effects=halo(2, "black"), zorder=4)


def _draw_reference(axes: list[Axes], record: SpatialRecord, section: int, reference: _Reference) -> str:
    """Draw as many reference patches as there are axes, evenly chosen, and say of how many."""
    count = len(axes)
    chosen = np.linspace(0, len(reference.xy) - 1, count).round().astype(int)
    places = replace(record, xy=reference.xy[chosen], section=np.full(count, section), diameter=reference.width[chosen])
    patches = PatchReader(places, size=reference.width[chosen], pixels=_PATCH_PIXELS)[np.arange(count)]
    for panel, patch in zip(axes, patches, strict=True):
        panel.imshow(patch)
        _frame(panel, _REFERENCE_COLOR)
    return f"{count} of {len(reference.xy)} reference patches" if count < len(reference.xy) else "reference patches"


def _draw_spot_patches(
    axes: list[Axes], tissue: Slides, section: int, rows: np.ndarray, width: float, *, numbered: bool
) -> None:
    from matplotlib.patches import Circle

    middle = (_PATCH_PIXELS - 1) / 2
    patches = PatchReader(tissue.records[0], size=width, pixels=_PATCH_PIXELS)[rows]
    drawn = dict(zip(tissue.rows(section), tissue.diameters(section), strict=True))
    for number, (panel, patch, row) in enumerate(zip(axes, patches, rows, strict=True), start=1):
        panel.imshow(patch)
        panel.add_patch(
            Circle(
                (middle, middle), drawn[row] / width * _PATCH_PIXELS / 2, fill=False, edgecolor="white", linewidth=1.0
            )
        )
        _frame(panel, _SPOT_COLOR)
        if numbered:
            panel.set_title(str(number), fontsize=7, pad=2)


def _frame(panel: Axes, color: str) -> None:
    panel.set(xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set(color=color, linewidth=1.5)
