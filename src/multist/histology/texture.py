"""Texture of stained tissue without any learned weight."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from multist.histology.stains import stain_amounts
from multist.histology.texture_maps import (
    HALO,
    N_LEVELS,
    QUANTILES,
    SlideScale,
    block_mean,
    octaves,
    scaled_stains,
    texture_maps,
)
from multist.histology.tissue import Overview, read_overview
from multist.histology.windows import WorkingImage, window_means, working_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da

_TILE = 512  # working pixels, a multiple of 16; the features do not depend on it
_SAMPLES = 16
_SAMPLE_SIDE = 256
_NUCLEUS = 0.05  # standard deviation of a nucleus in diameters of a 55 um spot
_BACKGROUND = 4.0  # standard deviation, in spot diameters, of what counts as uneven stain


def texture_features(
    levels: Sequence[da.Array],
    downsample: Sequence[float],
    xy: np.ndarray,
    diameter: float,
    width: np.ndarray,
) -> np.ndarray:
    """Describe the patch around every spot by its stain, its structure and its nuclei.

    The slide is turned into feature maps once, tile by tile and only where spots are, and the maps are averaged over
    each spot's patch: time is linear in pixels, memory is that of one tile. Amounts of haematoxylin and eosin are
    unmixed in optical density (Ruifrok and Johnston, 2001) and divided by their spread on the slide; the filter bank
    is a Laplacian pyramid (Burt and Adelson, 1983) with gradients, structure tensors and second-order scattering
    (Bruna and Mallat, 2013). Glass, black frames and ink do not count.

    Parameters
    ----------
    levels
        RGB pyramid of one section: (h, w, 3) uint8 arrays, dask or numpy, finest first.
    downsample
        Width of a pixel of each level in intrinsic pixels, those of the first level.
    xy
        (n, 2) centres of the spots (x, y) in intrinsic pixels.
    diameter
        Diameter of a spot in intrinsic pixels; it sets the working resolution, at which a spot is 24 to 48 pixels
        wide if the image is fine enough.
    width
        (n,) widths of the square patches in intrinsic pixels.

    Returns
    -------
    (n, d) float32, finite, as :func:`feature_names` has them. A spot without any tissue in its patch gets the median of
    the others.
    """
    overview = read_overview(levels, downsample, xy, diameter)
    image = working_image(levels, downsample, diameter)
    scale = _slide_scale(image, overview, xy, diameter / image.scale)
    cell = 4 if diameter / image.scale >= 16 else 1
    pooled = window_means(
        image,
        xy / image.scale,
        width / image.scale,
        lambda rgb, weight: texture_maps(rgb, weight, scale, cell),
        mask=overview.tissue_at,
        halo=HALO,
        cell=cell,
        tile=_TILE,
    )
    background = _background(overview, xy, diameter, scale)
    spot_area = np.pi / 4 * (diameter / image.scale) ** 2
    return _assemble(pooled, background, spot_area)


def feature_names() -> list[str]:
    """Names of the columns of :func:`texture_features`."""
    octave = range(N_LEVELS)
    names = [f"{s}_{what}" for s in "HER" for what in ("mean", "sd")]
    names += [f"{s}_above_q{int(100 * q)}" for s in "HE" for q in QUANTILES]
    names += [f"{s}_{what}_{k}" for what in ("edge", "band") for s in "HE" for k in octave]
    names += [f"{s}_contrast_{k}" for s in "HE" for k in octave if k]
    names += [f"H_scatter_{i}{j}" for i in octave for j in octave if j > i]
    names += [f"coherence_{k}" for k in octave]
    names += ["nuclei_density", "nuclei_area", "nuclei_H", "nuclei_E", "clear", "tissue"]
    return [*names, "H_above_surroundings", "E_above_surroundings", "R_above_surroundings"]


def _slide_scale(image: WorkingImage, overview: Overview, xy: np.ndarray, diameter: float) -> SlideScale:
    """Yardstick of the slide, from windows around a few spots spread over it."""
    level = int(np.clip(round(np.log2(max(_NUCLEUS * diameter, 1e-3))), 0, N_LEVELS - 1))
    order = np.lexsort((xy[:, 1], xy[:, 0]))  # the same spots whatever the order of the rows
    chosen = xy[order[np.unique(np.linspace(0, len(xy) - 1, _SAMPLES).round().astype(int))]] / image.scale
    one = np.ones(3)
    corners = [tuple(int(v) // 16 * 16 - _SAMPLE_SIDE // 2 for v in (y, x)) for x, y in chosen]
    # from top to bottom, so that chunks as wide as the slide are read once
    places = [(y0, x0, _SAMPLE_SIDE, _SAMPLE_SIDE) for y0, x0 in sorted(corners)]
    samples, blobs = [], []
    for position in chain.from_iterable(image.chunks.groups(image.level, [image.box(place) for place in places])):
        rgb, weight = image.window(places[position], overview.tissue_at)
        stains, weight = scaled_stains(rgb, weight, overview.white, one)
        samples.append(np.stack([s[weight] for s in stains]))
        blobs.append(octaves(stains[0])[1][level][block_mean(weight.astype(np.float32), 2**level) > 0.5])
    values, blob = np.concatenate(samples, axis=1), np.concatenate(blobs)
    if values.shape[1] == 0:
        return SlideScale(overview.white, one, np.zeros((2, len(QUANTILES))), np.inf, level)
    high, low, *below = np.quantile(values, [0.95, 0.05, *QUANTILES], axis=1)
    unit = np.maximum(high - low, 0.05)
    middle = np.median(blob)
    spread = 1.4826 * np.median(np.abs(blob - middle))
    nucleus = float(middle + 2 * max(spread, 1e-3)) / unit[0]
    quantiles = np.stack(below, axis=1)[:2] / unit[:2, None]
    return SlideScale(overview.white, unit, quantiles, nucleus, level)


def _background(overview: Overview, xy: np.ndarray, diameter: float, scale: SlideScale) -> np.ndarray:
    """(n, 3) amounts of the stains around every spot, several diameters wide: what an uneven stain adds."""
    block = max(1, int(diameter / overview.scale / 2))
    height, width = (side // block * block for side in overview.tissue.shape)
    weight = block_mean(overview.tissue[:height, :width].astype(np.float32), block)
    sigma = _BACKGROUND * diameter / (overview.scale * block)
    total = ndimage.gaussian_filter(weight, sigma, mode="constant")
    at = (xy[:, ::-1] / (overview.scale * block) - 0.5).T
    out = []
    for amount, unit in zip(stain_amounts(overview.rgb[:height, :width], overview.white), scale.unit, strict=True):
        masked = block_mean(amount * overview.tissue[:height, :width], block)
        mean = ndimage.gaussian_filter(masked, sigma, mode="constant") / np.maximum(total, 1e-6)
        out.append(ndimage.map_coordinates(mean, at, order=1, mode="nearest") / unit)
    return np.stack(out, axis=1)


def _assemble(pooled: dict[str, np.ndarray], background: np.ndarray, spot_area: float) -> np.ndarray:
    """Columns in the order of :func:`feature_names` from the maps' averages over the patches."""
    share = pooled["weight"]
    covered = share > 0.02
    mean = {name: value / np.where(covered, share, 1) for name, value in pooled.items()}
    columns: dict[str, np.ndarray] = {name: mean[name] for name in feature_names() if name in mean}
    for stain in "HER":
        columns[f"{stain}_sd"] = _deviation(mean[f"{stain}_square"], mean[f"{stain}_mean"])
    for stain in "HE":
        for k in range(1, N_LEVELS):
            columns[f"{stain}_contrast_{k}"] = _deviation(mean[f"{stain}_low_square_{k}"], mean[f"{stain}_low_{k}"])
    for k in range(N_LEVELS):
        xx, yy = mean[f"xx_{k}"], mean[f"yy_{k}"]
        along = np.sqrt((xx - yy) ** 2 + 4 * mean[f"xy_{k}"] ** 2)
        columns[f"coherence_{k}"] = along / np.maximum(xx + yy, 1e-6)
    area = mean["nuclei_area"]
    columns["nuclei_density"] = mean["nuclei"] * spot_area
    for stain in "HE":  # where there is no nucleus, the patch itself
        inside = mean[f"nuclei_{stain}"] / np.maximum(area, 1e-6)
        columns[f"nuclei_{stain}"] = np.where(area > 1e-3, inside, mean[f"{stain}_mean"])
    for i, stain in enumerate("HER"):
        columns[f"{stain}_above_surroundings"] = mean[f"{stain}_mean"] - background[:, i]
    columns["tissue"] = share
    out = np.stack([columns[name] for name in feature_names()], axis=1)
    empty = np.median(out[covered], axis=0) if covered.any() else np.zeros(out.shape[1])
    out[~covered, :-4] = empty[:-4]  # all but "tissue" and what is measured against the surroundings
    out[~covered, -3:] = 0
    return out.astype(np.float32)


def _deviation(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(square - mean**2, 0))
