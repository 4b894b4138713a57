"""One vector per spot from its surroundings in the histology image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist import _keys
from multist._described import described
from multist._device import check_device
from multist._numbers import is_positive
from multist._progress import progress_bar
from multist._settings import logger
from multist.access import Fields, PatchReader, check_whole, run
from multist.access.patches import check_patches, refuse_unstained
from multist.access.scale import check_microns
from multist.access.tables import of_section
from multist.histology.kept import KeptVectors
from multist.histology.registry import BUILT_IN, PatchEncoder, get_encoder
from multist.histology.spots import check_width, typical_diameter

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access.record import SpatialRecord

_BARE, _MOSTLY = 0.1, 0.5  # share of tissue in a patch, and of such spots in a section


@described
def embed_histology(
    data: AnnData | SpatialData,
    encoder: str | Callable[..., Any] = "texture",
    *,
    patch_size: float = 2.0,
    patch_unit: Literal["spot", "um"] = "spot",
    microns_per_pixel: float | None = None,
    image_key: str | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.HISTOLOGY,
    white: float | None = None,
    batch_size: int = 128,
    device: str = "auto",
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Describe the patch of the histology image around every spot.

    The default encoder needs no weights and no download: stain, structure and nuclei, see
    ``multist.histology.texture.texture_features``. A network is frozen and run once over all patches, in evaluation
    mode and without gradients. Each section is embedded on its own image.

    Parameters
    ----------
    data
        Table with spots, and an image for every section.
    encoder
        ``"texture"``; a :class:`torch.nn.Module` or any callable from a (n, 3, h, w) float32 tensor in [0, 1] to a
        (n, d) tensor or array; or a model as ``"timm:NAME_OR_FOLDER"`` (needs ``pip install 'multist[timm]'``) or
        ``"transformers:NAME_OR_FOLDER"`` (needs ``pip install 'multist[encoders]'``), which gets the patches as it was
        trained on them, runs in half precision on a GPU, and whose vectors are kept in ``multist.settings.cache_dir``.
    patch_size
        Width of the square patch in ``patch_unit``. The default covers a Visium spot and half of the gap to the next.
    patch_unit
        ``"spot"`` (spot diameters, the median of the section) or ``"um"`` (micrometres).
    microns_per_pixel
        Width of a pixel of the chosen image (its finest level) in micrometres, for ``patch_unit="um"``; None takes what
        the data says, or the lattice of a Visium section, whose spots are 100 um apart.
    key_added
        ``obsm`` key of the result.
    batch_size
        Patches per call of a network; unused by ``"texture"``.

    Returns
    -------
    None, or the changed copy. Fields written to the table:

    ``obsm[key_added]``
        (n_obs, d) float32, row by row.
    ``uns["multist"]["histology"]``, or ``uns[key_added]["histology"]`` of another key
        The parameters: encoder, patch, image, ``patch_um`` and ``microns_per_pixel`` (by section, in micrometres; NaN
        where they are unknown) and ``feature_names`` (for ``"texture"``). Of a named model also ``model``: the
        ``library`` that ran it, its ``revision`` and ``licence`` as the hub states them, a digest of its ``weights``,
        its ``transform`` and the ``precision``.

    Raises
    ------
    KeyError
        If ``image_key`` or ``table_key`` does not exist, or a section has no image.
    ValueError
        If the patch size is not positive, its unit is unknown, the pixel size in micrometres is needed and unknown or
        impossible, spots or patches are wider than the image, the image is black under all spots, or fluorescence for
        ``"texture"``, or the encoder is unknown or returns something other than one finite vector per patch.
    ImportError
        If the library of a named model is not installed.
    OSError
        If a named model cannot be fetched; the error comes within seconds and says what to do.

    Examples
    --------
    >>> mt.pp.embed_histology(sdata)
    >>> mt.pp.embed_histology(sdata, "timm:resnet18.a1_in1k", patch_size=112, patch_unit="um")  # doctest: +SKIP
    """
    if not is_positive(patch_size):
        raise ValueError(f"patch_size must be positive; got {patch_size!r}")
    if patch_unit not in ("spot", "um"):
        raise ValueError(f"patch_unit must be 'spot' or 'um'; got {patch_unit!r}")
    check_whole(batch_size=batch_size)
    if microns_per_pixel is not None:
        check_microns(microns_per_pixel)
    check_device(device)
    network = None if encoder == BUILT_IN else get_encoder(encoder, device=device)
    keys: dict[str, Any] = {"table_key": table_key, "image_key": image_key, "library_key": library_key}
    with run(data, "embed_histology", copy=copy, image=True, white=white, **keys) as work:
        fields = describe_histology(
            work.part.record.with_scale(microns_per_pixel),
            network,
            patch_size=patch_size,
            patch_unit=patch_unit,
            key_added=key_added,
            batch_size=batch_size,
        )
        work.part.write(**fields)
    return work.result


def describe_histology(
    record: SpatialRecord,
    network: PatchEncoder | None = None,
    *,
    patch_size: float = 2.0,
    patch_unit: str = "spot",
    key_added: str = _keys.HISTOLOGY,
    batch_size: int = 128,
) -> Fields:
    """The stage of :func:`embed_histology`: the fields that it writes; without a network those of ``"texture"``."""
    widths = _patch_widths(record, patch_size, patch_unit)
    check_patches(record, widths)
    refuse_unstained(record, fluorescent=network is None)
    if network is None:
        vectors, names = _texture(record, widths)
        _warn_of_glass(record, vectors[:, names.index("tissue")])
    else:
        vectors, names = _encode(record, widths, network, batch_size), []
    params = {
        "encoder": BUILT_IN if network is None else network.name,
        "patch_size": float(patch_size),
        "patch_unit": patch_unit,
        "image_key": np.array([image.key for image in record.images if image is not None]),
        "section": np.array(record.section_names),
        "microns_per_pixel": np.array(record.microns_per_pixel, dtype=float),
        "key_added": key_added,
    }
    first = np.unique(record.section, return_index=True)[1]
    params["patch_um"] = widths[first] * params["microns_per_pixel"]
    if network is not None and network.pretrained is not None:
        params["model"] = network.pretrained.recorded() | {"precision": network.precision}
    if names:
        params["feature_names"] = np.array(names)
    logger.info("obsm[%r]: %d histology features from %s", key_added, vectors.shape[1], params["encoder"])
    entry = _keys.MULTIST if key_added == _keys.HISTOLOGY else key_added
    return {"obsm": {key_added: vectors}, "uns": {entry: {"histology": params}}}


def _patch_widths(record: SpatialRecord, patch_size: float, patch_unit: str) -> np.ndarray:
    """(n_obs,) widths of the patches in intrinsic pixels, one for each section."""
    widths = np.empty(len(record.xy))
    each = zip(record.section_names, record.images, record.microns_per_pixel, strict=True)
    for section, (name, image, size) in enumerate(each):
        rows = record.section == section
        if patch_unit == "um":
            if size is None:
                raise ValueError(
                    f"patch_unit='um' needs the size of a pixel, which section {name!r} does not say: give "
                    "microns_per_pixel (of the chosen image), or use patch_unit='spot'"
                )
            widths[rows] = patch_size / size
        else:
            diameter = typical_diameter(record.diameter[rows], record.xy[rows])
            widths[rows] = patch_size * diameter
            if image is not None:
                check_width(diameter, "a spot", image.key, image.shape)
    return widths


def _texture(record: SpatialRecord, widths: np.ndarray) -> tuple[np.ndarray, list[str]]:
    from multist.histology.texture import feature_names, texture_features

    names = feature_names()
    vectors = np.zeros((len(record.xy), len(names)), np.float32)
    for section, image in enumerate(record.images):
        rows = np.flatnonzero(record.section == section)
        if image is None:
            continue
        diameter = typical_diameter(record.diameter[rows], record.xy[rows])
        vectors[rows] = texture_features(image.levels, image.downsample, record.xy[rows], diameter, widths[rows])
    return vectors, names


def _warn_of_glass(record: SpatialRecord, tissue: np.ndarray) -> None:
    """Warn of sections where hardly any tissue is under most spots; ``tissue`` is its share of each patch."""
    for code, name in enumerate(record.section_names):
        bare = tissue[record.section == code] < _BARE
        if bare.mean() > _MOSTLY:
            logger.warning(
                "%d of %d spots%s lie on glass: check that the image is of this section "
                "and that the scale factor or the coordinate "
                "system is right, or go without it by use_image=False",
                bare.sum(),
                len(bare),
                of_section(name),
            )


def _encode(record: SpatialRecord, widths: np.ndarray, encoder: PatchEncoder, batch_size: int) -> np.ndarray:
    reader = PatchReader(record, size=widths, pixels=encoder.pixels)
    vectors: np.ndarray | None = None
    kept = _kept(record, widths, encoder)
    order = []
    bar = progress_bar(len(reader), f"patches by {encoder.name}", "patches")
    with encoder.frozen() as encode, bar:
        for rows, patches in _one_ahead(reader.batches(batch_size)):
            batch = encode(patches) if kept is None else kept.encode(patches, encode)
            order.append(rows)
            if vectors is None:
                vectors = np.empty((len(reader), batch.shape[1]), np.float32)
            elif batch.shape[1] != vectors.shape[1]:
                raise ValueError(
                    f"encoder {encoder.name!r} returned {vectors.shape[1]} and then {batch.shape[1]} numbers per patch"
                )
            vectors[rows] = batch
            bar.update(len(batch))
    if vectors is None:
        raise ValueError("there is no spot to embed: the table is empty")
    if kept is not None:
        kept.keep(vectors[np.concatenate(order)])
    return vectors


def _one_ahead(
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same, each read in another thread while the one before is encoded."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _kept(record: SpatialRecord, widths: np.ndarray, encoder: PatchEncoder) -> KeptVectors | None:
    """What is known of the patches of this slide by a named model; of other encoders nobody knows what they will do."""
    model = encoder.pretrained
    if model is None:
        return None
    places = np.column_stack([record.section, record.xy, widths])
    places = places[np.lexsort(places.T)]  # the same file in whatever order the rows are
    return KeptVectors(
        {
            "model": [model.library, model.weights, repr(model.transform), encoder.precision],
            "images": [(image.key, image.shape) for image in record.images if image is not None],
            "places": hashlib.sha256(places.tobytes()).hexdigest(),
        }
    )
