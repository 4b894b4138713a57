"""Where on the slide the tissue is: arrays in, mask out."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from multist._progress import progress_bar
from multist.histology.stains import optical_density, unstained_pixels, white_point

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da

_OVERVIEW_SIDE = 1200
_BAND_CHUNKS = 128
_THRESHOLD_RANGE = (0.04, 0.12)  # optical density; between the noise of glass and the palest fat


@dataclass(frozen=True)
class Overview:
    """A slide at a size that fits the memory of any machine.

    Attributes
    ----------
    rgb
        (h, w, 3) uint8.
    scale
        Width of a pixel in intrinsic pixels of the slide.
    white
        (3,) colour of the glass.
    tissue
        (h, w) bool.
    """

    rgb: np.ndarray
    scale: float
    white: np.ndarray
    tissue: np.ndarray

    def tissue_at(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(len(y), len(x)) bool mask at intrinsic rows ``y`` and columns ``x``; nothing is tissue off the slide."""
        height, width = self.tissue.shape
        row, column = np.floor(y / self.scale).astype(int), np.floor(x / self.scale).astype(int)
        # many rows fall into one row of the mask, and rows are copied faster than pixels are looked up
        held, which = np.unique(np.clip(row, 0, height - 1), return_inverse=True)
        mask = self.tissue[held][:, np.clip(column, 0, width - 1)][which]
        if ((row >= 0) & (row < height)).all() and ((column >= 0) & (column < width)).all():
            return mask
        return mask & ((row >= 0) & (row < height))[:, None] & ((column >= 0) & (column < width))


_REMEMBERED: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
_MAX_REMEMBERED = 8  # overviews, of 4 MB each


def remember_overview(levels: Sequence[da.Array], rgb: np.ndarray) -> None:
    """Spare the next :func:`read_overview` of a lazy slide that was made from another one to read all of it.

    Parameters
    ----------
    levels
        (h, w, 3) uint8 dask arrays, finest first. Dask names an array after what it is made from, and by this name
        the overview is found again.
    rgb
        (h, w, 3) uint8: what :func:`read_overview` would read.
    """
    level, step = _overview_level(levels)
    if rgb.shape[:2] != tuple(-(-side // step) for side in levels[level].shape[:2]):
        raise ValueError(f"an overview of shape {rgb.shape} is not that of a slide of {levels[level].shape}")
    _REMEMBERED[levels[level].name, step] = rgb
    while len(_REMEMBERED) > _MAX_REMEMBERED:
        _REMEMBERED.popitem(last=False)


def _overview_level(levels: Sequence[da.Array]) -> tuple[int, int]:
    """The level that is read for an overview, and the step from one pixel to the next."""
    fits = [i for i, level in enumerate(levels) if max(level.shape[:2]) >= _OVERVIEW_SIDE]
    level = fits[-1] if fits else 0
    return level, max(1, -(-max(levels[level].shape[:2]) // _OVERVIEW_SIDE))


def read_overview(levels: Sequence[da.Array], downsample: Sequence[float], xy: np.ndarray, diameter: float) -> Overview:
    """Read a slide coarsely and find its glass and its tissue.

    Parameters
    ----------
    levels
        (h, w, 3) uint8 dask arrays, finest first.
    downsample
        Width of a pixel of each level in intrinsic pixels.
    xy
        (n, 2) spot centres in intrinsic pixels; tissue without a spot on it is left out.
    diameter
        Spot diameter in intrinsic pixels.
    """
    level, step = _overview_level(levels)
    # Every step-th pixel: what follows smooths it, and no chunk has to be held for a mean.
    rgb = _REMEMBERED.get((levels[level].name, step))
    rgb = _every(levels[level], step) if rgb is None else rgb
    scale = float(downsample[level]) * step
    white = white_point(rgb)
    return Overview(rgb, scale, white, tissue_mask(rgb, white, xy / scale, diameter / scale))


def _every(level: da.Array, step: int) -> np.ndarray:
    """Every ``step``-th pixel, read in bands so that the time left can be told."""
    # bands end where chunks do, and hold enough of them to keep a cluster busy
    ends, n_columns = np.cumsum(level.chunks[0]), len(level.chunks[1])
    ends = ends[[*range(max(1, _BAND_CHUNKS // n_columns) - 1, len(ends) - 1, max(1, _BAND_CHUNKS // n_columns)), -1]]
    parts, start = [], 0
    with progress_bar(len(ends), "overview of the slide", "bands") as bar:
        for end in ends:
            first = -(-start // step) * step
            parts.append(np.asarray(level[first:end:step, ::step]) if first < end else None)
            start = end
            bar.update()
    return np.concatenate([part for part in parts if part is not None])


def tissue_mask(rgb: np.ndarray, white: np.ndarray, xy: np.ndarray, diameter: float) -> np.ndarray:
    """Tell tissue from glass, black frames, ink, dust and insets.

    Smoothed optical density is thresholded a third of the way from the glass to Otsu's threshold, which itself lies
    above pale stroma and fat wherever nuclei are dense. Holes smaller than a spot belong to the tissue.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8, coarse.
    white
        (3,) colour of the glass.
    xy
        (n, 2) spot centres in pixels of ``rgb``: only parts under a spot are kept, which drops dust, fiducials and
        insets.
    diameter
        Spot diameter in pixels of ``rgb``.

    Returns
    -------
    (h, w) bool.
    """
    from skimage.filters import threshold_otsu

    excluded = unstained_pixels(rgb, white)
    density = optical_density(rgb, white).mean(axis=-1)
    density[excluded] = 0
    sigma = max(diameter / 4, 1.0)
    weight = ndimage.gaussian_filter((~excluded).astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(density, sigma) / np.maximum(weight, 0.05)
    levels = np.minimum(smooth[weight > 0.5], 1.0)
    if levels.size == 0 or np.ptp(levels) == 0:
        return np.zeros(rgb.shape[:2], bool)
    otsu = threshold_otsu(levels)
    glass = float(np.median(levels[levels <= otsu]))
    mask = (smooth > np.clip((2 * glass + otsu) / 3, *_THRESHOLD_RANGE)) & (weight > 0.3)
    return _fill_small_holes(_with_spots(mask, xy, diameter), diameter) & ~excluded


def _with_spots(mask: np.ndarray, xy: np.ndarray, diameter: float) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    spots = np.ones(mask.shape, bool)
    column, row = np.floor(xy).astype(int).T
    on = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    spots[row[on], column[on]] = False
    keep = np.zeros(count + 1, bool)
    if on.any():
        keep[np.unique(labels[ndimage.distance_transform_edt(spots) <= diameter / 2])] = True
    keep[0] = False
    return keep[labels]


def _fill_small_holes(mask: np.ndarray, diameter: float) -> np.ndarray:
    holes, count = ndimage.label(~mask)
    if count == 0:
        return mask
    small = np.bincount(holes.ravel()) <= np.pi / 4 * diameter**2
    small[0] = False
    return mask | small[holes]
