"""The histology image before and after normalisation, and the patches that are seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from multist._keys import MULTIST, NORMALIZED_SUFFIX, STAIN_REFERENCE
from multist.access import PatchReader, resolve
from multist.pl import _base

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
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
    crop
        Show the spots and a margin around them rather than the whole image.
    show
        Show the figure; by default if it is neither saved nor returned. With False, the axes are returned.
    save
        File to save the figure to.
    return_fig
        Return the figure.

    Returns
    -------
    The figure with ``return_fig=True``; the axes with ``show=False``: images, reference patches, spots' patches; else None.

    Raises
    ------
    KeyError
        If the section, a spot or the image does not exist; the error lists those that do.
    ValueError
        If ``spots`` or ``patch_size`` is not positive, or most spots lie off the image.
    """
    if not patch_size > 0:
        raise ValueError(f"patch_size is a positive number of spot diameters, got {patch_size}")
    if image_key is None:
        raise ValueError("pl.histology draws patches of an image: name it by image_key, or leave that out")
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image": True, "strays": True}
    before = resolve(data, image_key=None if image_key == "auto" else image_key, prefer_normalized=False, **keys)
    index = _section_index(before, section)
    rows = _chosen_rows(before, index, spots)
    after = _normalized(data, before, index, keys)
    reference = _reference_patches(before, index, reference_key)
    shown = [before] if after is None else [before, after]
    columns = max(len(rows), 5 if reference is None else _MAX_REFERENCE)
    window = _base.section_window(before, index, crop=crop)
    figure, grids = _figure(len(shown), columns, window.aspect, with_reference=reference is not None)
    diameter = _base.spot_diameters(before, np.flatnonzero(before.section == index))
    width = patch_size * float(np.median(diameter))

    axes = _draw_images(grids["images"], shown, index, window)
    for panel in axes:
        _mark_squares(panel, before.xy[rows], np.full(len(rows), width), _SPOT_COLOR, numbered=True)
        if reference is not None:
            _mark_squares(panel, reference.xy, reference.width, _REFERENCE_COLOR)
    if reference is not None:
        axes += _draw_reference(grids["reference"], before, index, reference, columns)
    axes += _draw_spot_patches(grids["spots"], shown, rows, width, columns)
    if return_fig:
        _base.finish(figure, axes, ax=None, show=bool(show), save=save)
        return figure
    result = _base.finish(figure, axes, ax=None, show=show, save=save)
    return result if result is None or isinstance(result, list) else [result]


def _section_index(record: SpatialRecord, section: str | None) -> int:
    if section is None:
        return 0
    if section not in record.section_names:
        raise KeyError(f"section {section!r} not found; found: {', '.join(map(repr, record.section_names))}")
    return record.section_names.index(section)


def _chosen_rows(record: SpatialRecord, section: int, spots: int | Sequence[str]) -> np.ndarray:
    here = np.flatnonzero(record.section == section)
    if isinstance(spots, int):
        if spots < 1:
            raise ValueError(f"spots is at least 1, got {spots}")
        # slices from left to right, of each the spot nearest to its middle, a bit above and below by turns
        slices = np.array_split(here[np.argsort(record.xy[here, 0], kind="stable")], min(spots, len(here)))
        chosen = []
        for i, part in enumerate(slices):
            target = np.median(record.xy[part, 0]), np.quantile(record.xy[part, 1], (0.3, 0.7)[i % 2])
            chosen.append(part[np.argmin(np.hypot(*(record.xy[part] - target).T))])
        return np.array(chosen)
    positions = record.table.obs_names.get_indexer(list(spots))
    missing = [name for name, row in zip(spots, positions, strict=True) if row < 0 or record.section[row] != section]
    if missing or len(positions) == 0:
        raise KeyError(
            f"no spot {missing} in section {record.section_names[section]!r}; its spots are those of obs_names"
        )
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
    here = np.asarray(held["patch_section"]).astype(str) == record.section_names[section]
    if not here.any():
        return None
    return _Reference(np.asarray(held["patch_xy"])[here], np.asarray(held["patch_width"])[here])


def _figure(n_images: int, columns: int, aspect: float, *, with_reference: bool) -> tuple[Figure, dict[str, Any]]:
    import matplotlib.pyplot as plt

    height = 4.0
    width = max(n_images * height * min(max(aspect, 0.5), 2.2), 6.5)
    side = min(width / columns, 1.5)
    heights = {"images": height, "spots": n_images * side + 0.45}
    if with_reference:
        heights = {"images": height, "reference": side + 0.3, "spots": heights["spots"]}
    figure = plt.figure(figsize=(width, sum(heights.values())), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=list(heights.values()), squeeze=False)
    return figure, dict(zip(heights, parts[:, 0], strict=True))


def _draw_images(part: Any, shown: list[SpatialRecord], section: int, window: _base.Window) -> list[Axes]:
    axes = list(np.atleast_1d(part.subplots(1, len(shown))))
    for panel, record in zip(axes, shown, strict=True):
        _base.draw_section(panel, record, section, window)
        image = record.images[section]
        panel.set_title("" if image is None else image.key, fontsize="medium")
    return axes


def _mark_squares(panel: Axes, xy: np.ndarray, width: np.ndarray, color: str, *, numbered: bool = False) -> None:
    from matplotlib import patheffects
    from matplotlib.patches import Rectangle

    line = 1.2 if len(xy) <= 30 else 0.7
    for i, ((x, y), w) in enumerate(zip(xy, width, strict=True), start=1):
        panel.add_patch(Rectangle((x - w / 2, y - w / 2), w, w, fill=False, edgecolor=color, linewidth=line, zorder=3))
        if numbered:
            halo = [patheffects.withStroke(linewidth=2, foreground="black")]
            text = panel.annotate(str(i), (x, y - w / 2), (0, 2), textcoords="offset points", ha="center", color=color)
            text.set(fontsize="small", fontweight="bold", path_effects=halo, zorder=4)


def _draw_reference(part: Any, record: SpatialRecord, section: int, reference: _Reference, columns: int) -> list[Axes]:
    from dataclasses import replace

    count = min(_MAX_REFERENCE, len(reference.xy))
    chosen = np.linspace(0, len(reference.xy) - 1, count).round().astype(int)
    places = replace(record, xy=reference.xy[chosen], section=np.full(count, section), diameter=reference.width[chosen])
    patches = PatchReader(places, size=reference.width[chosen], pixels=_PATCH_PIXELS)[np.arange(count)]
    title = f"{count} of {len(reference.xy)} reference patches" if count < len(reference.xy) else "reference patches"
    part.suptitle(title, fontsize="medium", x=0.01, ha="left")
    axes = list(part.subplots(1, columns))
    for panel, patch in zip(axes, patches, strict=False):
        panel.imshow(patch)
        _frame(panel, _REFERENCE_COLOR)
    for panel in axes[count:]:
        panel.remove()
    return axes[:count]


def _draw_spot_patches(
    part: Any, shown: list[SpatialRecord], rows: np.ndarray, width: float, columns: int
) -> list[Axes]:
    from matplotlib.patches import Circle

    times = " before and after" if len(shown) > 1 else ""
    part.suptitle(f"patches of the numbered spots{times}", fontsize="medium", x=0.01, ha="left")
    axes = part.subplots(len(shown), columns, squeeze=False)
    middle = (_PATCH_PIXELS - 1) / 2
    for line, record in enumerate(shown):
        patches = PatchReader(record, size=width, pixels=_PATCH_PIXELS)[rows]
        diameters = _base.spot_diameters(record, rows) / width * _PATCH_PIXELS
        for i, (patch, diameter) in enumerate(zip(patches, diameters, strict=True)):
            panel = axes[line, i]
            panel.imshow(patch)
            panel.add_patch(Circle((middle, middle), diameter / 2, fill=False, edgecolor="white", linewidth=1.2))
            _frame(panel, _SPOT_COLOR)
            if line == 0:
                panel.set_title(str(i + 1), fontsize="small", pad=2)
        for panel in axes[line, len(rows) :]:
            panel.remove()
    return list(axes[:, : len(rows)].ravel())


def _frame(panel: Axes, color: str) -> None:
    panel.set(xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set(color=color, linewidth=1.5)
