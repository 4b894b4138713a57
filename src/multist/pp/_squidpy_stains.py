"""The boundary to squidpy's stain functions: lazy arrays in, lazy arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from multist.access.pyramid import image_element
from multist.histology.stain_reference import StainReference
from multist.histology.stains import look_up, optical_density

if TYPE_CHECKING:
    import dask.array as da

    from multist.histology.tissue import Overview

_KEY = "image"
_STAINED = 0.15  # optical density that a pixel needs in every channel to tell a stain's colour (Macenko et al., 2009)
_MIN_PIXELS = 50
_FIT_PIXELS = 400_000  # enough for three colour vectors, and vahadane's factorisation stays within a second or two


def fit_reference(overview: Overview, method: str) -> StainReference:
    """Fit a slide's stain by squidpy's :func:`fit_stain_reference`, on its tissue and against its own glass.

    The tissue is that of :func:`multist.histology.tissue.tissue_mask` rather than squidpy's ``detect_tissue``, which
    takes the darker half of a slide for tissue, and so the black frame of a cut-out scan.

    Raises
    ------
    RuntimeError
        If squidpy finds no plausible haematoxylin and eosin (its ``StainFittingError``).
    """
    from squidpy.experimental import im

    white = None if method == "reinhard" else overview.white
    sdata = _slide(overview, [], overview.white)
    with _explained(method):
        fit = im.fit_stain_reference(sdata, _KEY, method=method, white_point=white)
    return StainReference(
        method,
        white=fit.white_point,
        stain_matrix=fit.stain_matrix,
        max_concentrations=fit.max_concentrations,
        mu=fit.mu,
        sigma=fit.sigma,
    )


def normalized_level(level: da.Array, overview: Overview, reference: StainReference) -> da.Array:
    """A level of a slide in the colours of a reference, by squidpy's :func:`normalize_stains`; lazy, glass included."""
    import dask.array as da
    from squidpy.experimental import im

    target = im.StainReference(
        method=reference.method,
        stain_matrix=reference.stain_matrix,
        mu=reference.mu,
        sigma=reference.sigma,
        white_point=None if reference.method == "reinhard" else reference.white,
        max_concentrations=reference.max_concentrations,
    )
    white = overview.white if reference.white is None else reference.white
    sdata = _slide(overview, [level], white)
    with _explained(reference.method):
        result = im.normalize_stains(
            sdata, _KEY, target, inplace=False, preserve_background=False, output_dtype=np.uint8
        )
    return da.moveaxis(da.asarray(result.transpose("c", "y", "x").data), 0, 2)


@contextmanager
def _explained(method: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # squidpy's StainFittingError, which it does not export
        raise RuntimeError(
            f"method={method!r} finds no plausible haematoxylin and eosin on this slide ({error}); try method='patches'"
        ) from error


def _slide(overview: Overview, levels: list[Any], white: np.ndarray) -> Any:
    """A SpatialData of the given levels over the overview, from which squidpy takes the slide's statistics.

    Its glass is made that of ``white``, for squidpy measures a slide against the reference's.
    """
    import dask.array as da
    import spatialdata as sd
    from spatialdata.models import Labels2DModel
    from spatialdata.transformations import Identity

    stained = overview.tissue & (optical_density(overview.rgb, overview.white).min(axis=-1) > _STAINED)
    if stained.sum() < _MIN_PIXELS:
        raise RuntimeError(f"only {stained.sum()} stained pixels were found: too few to tell stains apart")
    step = max(1, int(np.ceil(np.sqrt(stained.sum() / _FIT_PIXELS))))
    table = _rewhitening(overview.white, white)
    scales = [da.asarray(level) for level in [*levels, overview.rgb[::step, ::step]]]
    balanced = [scale.map_blocks(look_up, table=table, dtype=np.uint8) for scale in scales]
    labels = Labels2DModel.parse(stained[::step, ::step].astype(np.int32), dims=("y", "x"))
    image = image_element(balanced, ["r", "g", "b"], {"global": Identity()})
    return sd.SpatialData(images={_KEY: image}, labels={f"{_KEY}_tissue": labels})


def _rewhitening(white: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(256, 3) uint8 table that scales intensities so that ``white`` becomes ``target``, and densities stay."""
    values = np.arange(256)[:, None] * target / white
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
