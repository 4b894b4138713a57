"""Square patches around spots, read lazily and returned in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from multist._chunks import ChunkCache, strip_width
from multist.access.absent import listed
from multist.access.record import SectionImage, SpatialRecord
from multist.access.tables import of_section
from multist.histology.spots import check_width

BLACK = "black under all spots"
FLUORESCENT = "fluorescence by its colours under the spots"
_PLACES_LOOKED_AT, _PLACES_LIT = 40, 5  # places of a section at which the image is looked at, and of these not black
_MAX_BLACK = 12  # what JPEG makes of 0, at most
_MIN_PALE = 0.25  # darkest channel of stained tissue as a share of the brightest: .7 to .9 on eleven slides


class PatchReader:
    """Patches of the histology around the spots of a record.

    Patches are cut from the coarsest level of the pyramid that is still as fine as the patches' own pixels, so a patch
    never loses detail, and little more is read than is needed. A patch pixel is the mean of the image over its area.
    Where the level is as fine as the patch or finer, the patch starts on a whole pixel of the level, so that equal
    spots are sampled alike; a patch finer than the image is interpolated.

    The image is read by chunks, each kept until newer ones fill the cache; the image as a whole is never in memory.
    A reader is not to be shared between threads.

    Parameters
    ----------
    record
        Spots and their images; every section needs one.
    size
        Width of the patches in intrinsic pixels: one for all spots, or one per spot, (n_obs,).
    pixels
        Width and height of the returned patches.
    fill
        Value, 0-255, of pixels beyond the border of the image.

    Raises
    ------
    ValueError
        A section has no image, a size is not positive and finite, or ``pixels`` or ``fill`` is out of range.

    Examples
    --------
    >>> reader = PatchReader(record, size=1.5 * record.diameter, pixels=224)  # doctest: +SKIP
    >>> reader[[5, 2]].shape  # doctest: +SKIP
    (2, 224, 224, 3)
    """

    def __init__(self, record: SpatialRecord, *, size: float | np.ndarray, pixels: int, fill: int = 255) -> None:
        n_obs = len(record.xy)
        without = [name for name, image in zip(record.section_names, record.images, strict=True) if image is None]
        if without:
            raise ValueError(f"no image{of_section(*without, word='for')}: there are no patches to read")
        sizes = np.asarray(size, dtype=np.float64)
        if sizes.shape not in ((), (n_obs,)):
            raise ValueError(f"size has shape {sizes.shape}; expected one number or ({n_obs},), one per spot")
        if not (np.isfinite(sizes) & (sizes > 0)).all():
            raise ValueError(
                "size must be positive and finite for every spot; where a diameter is unknown, give the size"
            )
        if pixels < 1 or not 0 <= fill <= 255:
            raise ValueError(f"pixels must be at least 1 and fill between 0 and 255, not {pixels} and {fill}")
        self.record = record
        self.size = np.broadcast_to(sizes, (n_obs,))
        self.pixels = int(pixels)
        self.fill = int(fill)
        self._images = tuple(image for image in record.images if image is not None)
        self._chunks = ChunkCache()
        self._level = np.array(
            [_pick_level(self._images[s], w / pixels) for s, w in zip(record.section, self.size, strict=True)],
            dtype=int,
        )

    def __len__(self) -> int:
        return len(self.record.xy)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Patches (len(rows), pixels, pixels, 3) uint8 of the given rows, in their order.

        Of one row, without the first axis.
        """
        chosen = np.arange(len(self))[rows]
        if chosen.ndim == 0:
            return self[chosen[None]][0]
        patches = np.empty((len(chosen), self.pixels, self.pixels, 3), dtype=np.uint8)
        order = self._spatial_order(chosen)
        section, level = self.record.section[chosen[order]], self._level[chosen[order]]
        for run in np.split(order, np.flatnonzero(np.diff(section) | np.diff(level)) + 1):
            if len(run) == 0:
                continue
            array = self._array(chosen[run[0]])
            windows = [self._window(row) for row in chosen[run]]
            for group in self._chunks.groups(array, [_extent(*window, self.pixels) for window in windows]):
                for i in group:
                    patches[run[i]] = self._cut(array, *windows[i])
        return patches

    def batches(self, batch_size: int, *, rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All patches, or those of some rows, batch by batch.

        Batches go through the image from place to place and each chunk is read about once, however the rows are
        ordered.

        Parameters
        ----------
        batch_size
            Patches in a batch; the last may have fewer.
        rows
            (n,) rows to read; None reads all.

        Yields
        ------
        Rows (n,) int64 and, in their order, the patches (n, pixels, pixels, 3) uint8.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        order = np.arange(len(self)) if rows is None else np.asarray(rows)
        order = order[self._spatial_order(order)]
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            yield batch, self[batch]

    def _array(self, row: int) -> Any:
        return self._images[self.record.section[row]].levels[self._level[row]]

    def _spatial_order(self, rows: np.ndarray) -> np.ndarray:
        """Order in which rows share chunks: strip by strip, and in a snake from top to bottom of each."""
        section, level = self.record.section[rows], self._level[rows]
        place = np.zeros((len(rows), 3), dtype=np.int64)  # strip, row and column of chunks
        for s, k in {(int(s), int(k)) for s, k in zip(section, level, strict=True)}:
            here = np.flatnonzero((section == s) & (level == k))
            array, downsample = self._images[s].levels[k], self._images[s].downsample[k]
            xy = self.record.xy[rows[here]] / downsample
            place[here, 0] = xy[:, 0] // strip_width(array, float(self.size[rows[here]].max()) / downsample)
            for axis, sizes in enumerate(array.chunks[:2]):
                place[here, 1 + axis] = np.searchsorted(np.cumsum(sizes), xy[:, 1 - axis], side="right")
        snake = np.where(place[:, 1] % 2 == 0, place[:, 2], -place[:, 2])
        return np.lexsort((np.arange(len(rows)), snake, place[:, 1], place[:, 0], level, section))

    def _window(self, row: int) -> tuple[np.ndarray, float]:
        """Upper left corner (x, y) and width of the patch in pixels of its level."""
        downsample = self._images[self.record.section[row]].downsample[self._level[row]]
        width = self.size[row] / downsample
        corner = self.record.xy[row] / downsample - width / 2
        return (np.rint(corner) if width >= self.pixels else corner), width

    def _cut(self, array: Any, corner: np.ndarray, width: float) -> np.ndarray:
        top, bottom, left, right = _extent(corner, width, self.pixels)
        (y0, y1), (x0, x1) = (
            np.clip(ends, 0, n) for ends, n in zip([(top, bottom), (left, right)], array.shape, strict=False)
        )
        window = self._chunks.read(array, (int(y0), int(y1), int(x0), int(x1)))
        if window.shape[:2] != (bottom - top, right - left):
            inside, window = window, np.full((bottom - top, right - left, 3), self.fill, dtype=np.uint8)
            window[y0 - top : y1 - top, x0 - left : x1 - left] = inside
        return _resample(window, corner - [left, top], width, self.pixels)


def check_patches(record: SpatialRecord, widths: np.ndarray) -> None:
    """Raise a ValueError if a patch of (n_obs,) widths would reach over the whole image, wherever its spot is."""
    for section, image in enumerate(record.images):
        if image is not None:
            width = widths[record.section == section].max(initial=0.0)
            check_width(width / 2, "half a patch", image.key, image.shape)


def unstained_sections(record: SpatialRecord) -> dict[str, tuple[str, ...]]:
    """What images are that show no stained tissue under the spots, :data:`BLACK` or not, and in which sections.

    Looked at are up to a few dozen places of each section, until enough are lit.
    """
    found: dict[str, tuple[str, ...]] = {}
    for section, image in enumerate(record.images):
        rows = np.flatnonzero(record.section == section)
        if image is None or len(rows) == 0:
            continue
        rows = rows[np.argsort(record.xy[rows, 1], kind="stable")]
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, _PLACES_LOOKED_AT).round().astype(int))]
        side = max(image.shape) / 100
        looks = replace(
            record,
            xy=record.xy[rows],
            diameter=record.diameter[rows],
            section=np.zeros(len(rows), np.int64),
            section_names=record.section_names[section : section + 1],
            images=(image,),
        )
        reader = PatchReader(looks, size=side, pixels=8, fill=0)
        patches = (reader[row] for row in range(len(reader)))
        lit = list(islice((patch for patch in patches if patch.max() >= _MAX_BLACK), _PLACES_LIT))
        if not lit:
            found[BLACK] = (*found.get(BLACK, ()), record.section_names[section])
        elif np.median([patch.min(axis=-1).mean() / patch.max(axis=-1).mean() for patch in lit]) < _MIN_PALE:
            found[FLUORESCENT] = (*found.get(FLUORESCENT, ()), record.section_names[section])
    return found


def refuse_unstained(record: SpatialRecord, *, fluorescent: bool = True) -> None:
    """Raise a ValueError if the image of a section is black under the spots, or fluorescence unless that is allowed."""
    for what, names in unstained_sections(record).items():
        if fluorescent or what == BLACK:
            keys = sorted({image.key for image in record.images if image is not None})
            raise ValueError(
                f"the image ({listed(keys)}) is {what}{of_section(*names)}: name another by image_key, or find domains "
                "without it (use_image=False)"
            )


def _pick_level(image: SectionImage, pixel: float) -> int:
    """Coarsest level whose pixels are no wider than ``pixel`` intrinsic pixels."""
    fitting = [k for k, factor in enumerate(image.downsample) if factor <= pixel * 1.001]
    return max(fitting, key=lambda k: image.downsample[k], default=0)


def _extent(corner: np.ndarray, width: float, pixels: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the whole pixels that a patch touches, with what interpolation needs."""
    margin = max(1 - width / pixels, 0) / 2
    left, top = np.floor(corner - margin + 1e-9).astype(int)
    right, bottom = np.ceil(corner + width + margin - 1e-9).astype(int)
    return int(top), int(bottom), int(left), int(right)


def _resample(window: np.ndarray, corner: np.ndarray, width: float, pixels: int) -> np.ndarray:
    """Mean of the window over the area of each patch pixel, first along y, then along x."""
    if width == pixels and (corner == 0).all() and window.shape[:2] == (pixels, pixels):
        return window
    height, breadth, n_channels = window.shape
    # rows of pixels and channels, so that every step goes through memory in order
    rows = window.reshape(height, -1).astype(np.float32)
    index, weight = _area_weights(float(corner[1]), width / pixels, pixels, height)
    rows = _weighted_sum(rows, index, weight[..., None], axis=0)
    index, weight = _area_weights(float(corner[0]), width / pixels, pixels, breadth)
    channels = (n_channels * index[:, None] + np.arange(n_channels)[:, None]).reshape(-1, index.shape[1])
    rows = _weighted_sum(rows, channels, np.repeat(weight, n_channels, axis=0), axis=1)
    return np.rint(rows, out=rows).astype(np.uint8).reshape(pixels, pixels, n_channels)


def _weighted_sum(rows: np.ndarray, index: np.ndarray, weight: np.ndarray, *, axis: int) -> np.ndarray:
    """Sum of the rows or columns (m, taps) by their weights."""
    total = rows.take(index[:, 0], axis=axis)
    total *= weight[:, 0]
    for tap in range(1, index.shape[1]):
        part = rows.take(index[:, tap], axis=axis)
        part *= weight[:, tap]
        total += part
    return total


def _area_weights(start: float, step: float, pixels: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Window pixels (pixels, taps) under each patch pixel and the share, summing to 1, that each of them has."""
    # at least one window pixel wide, which makes it linear interpolation where the patch is finer than the image
    span = max(step, 1.0)
    low = start + (np.arange(pixels) + 0.5) * step - span / 2
    first = np.floor(low + 1e-9).astype(np.int64)
    index = first[:, None] + np.arange(int(np.ceil(span)) + 1)
    overlap = np.minimum(index + 1, (low + span)[:, None]) - np.maximum(index, low[:, None])
    weight = np.clip(overlap, 0, None)
    return np.clip(index, 0, n - 1), (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
