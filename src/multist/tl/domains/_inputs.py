"""What the model reads of one or several objects: every stage that is missing is run, then arrays are gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy import sparse

from multist import _keys
from multist._settings import logger
from multist._words import counted
from multist.access import as_list, get_table, read_features, unstained_sections
from multist.access.tables import of_section
from multist.histology.spots import typical_diameter
from multist.tl._glass import warn_of_glass
from multist.tl._graph import ensure_graph

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.access import Part, SpatialRecord

_WHOLE = 0.9  # of the spots of a section are in the largest piece of its graph
_MIN_SPOT_PIXELS = 10.0  # pixels per spot or cell diameter, about 5 um per pixel on Visium: coarser than any nucleus


class Tissue(NamedTuple):
    """All spots of all parts, row after row.

    Attributes
    ----------
    adjacency
        (n, n) CSR without edges between parts.
    xy
        (n, 2).
    section
        (n,) int64 that counts on from part to part.
    section_names
        Their names; of several parts with the part's number in front.
    """

    adjacency: sparse.csr_matrix
    xy: np.ndarray
    section: np.ndarray
    section_names: tuple[str, ...]


def wanted_image(
    data: Any,
    use_image: bool | Literal["auto"],  # noqa: FBT001
    table_key: str | None,
) -> bool | Literal["auto"]:
    """Whether the images have to be there, to be resolved.

    Raises
    ------
    ValueError
        If ``use_image`` is none of its values.
    """
    if not (isinstance(use_image, bool) or use_image == "auto"):  # 1 is no True
        raise ValueError(f"use_image must be True, False or 'auto'; got {use_image!r}")
    return "auto" if use_image and is_embedded(data, table_key) else use_image


def is_embedded(data: Any, table_key: str | None) -> bool:
    """Whether the images of all objects have been described before."""
    return all(_keys.HISTOLOGY in get_table(each, table_key).obsm for each in as_list(data))


def gather_tissue(parts: Sequence[Part], *, on_image: bool = False) -> Tissue:
    """Graphs, made where there are none, places (on the image, or as without one) and sections of all parts."""
    graphs, places, sections = [], [], []
    names: list[str] = []
    for number, part in enumerate(parts):
        record = part.record if on_image else part.record.without_image()
        graphs.append(ensure_graph(part))
        _warn_of_pieces(graphs[-1], record)
        warn_of_glass(part.table, "" if len(parts) == 1 else f"data[{number}]: ")
        places.append(record.xy)
        sections.append(record.section + len(names))
        names += [name if len(parts) == 1 else f"{number}:{name}" for name in record.section_names]
    if len(parts) == 1:
        return Tissue(graphs[0], places[0], sections[0], tuple(names))
    adjacency = sparse.csr_matrix(sparse.block_diag(graphs, format="csr"))
    return Tissue(adjacency, np.concatenate(places), np.concatenate(sections), tuple(names))


def _warn_of_pieces(graph: sparse.csr_matrix, record: SpatialRecord) -> None:
    """Warn of sections whose graph falls apart, for what lies around a spot is then not known."""
    piece = sparse.csgraph.connected_components(graph, directed=False)[1]
    for code, name in enumerate(record.section_names):
        sizes = np.unique(piece[record.section == code], return_counts=True)[1]
        if sizes.max() < _WHOLE * sizes.sum():
            logger.warning(
                "the spatial graph of section %r is in %d pieces, the largest of %d of %d spots: if "
                "the tissue is whole, make another by "
                "pp.spatial_graph(n_neighbors=), and if these are several sections, name them by library_key",
                name,
                len(sizes),
                sizes.max(),
                sizes.sum(),
            )


def split(parts: Sequence[Part], values: Any) -> list[Any]:
    """Rows of an array, a categorical or a square sparse matrix by part."""
    ends = np.cumsum([part.table.n_obs for part in parts])
    spans = [slice(end - part.table.n_obs, end) for part, end in zip(parts, ends, strict=True)]
    return [values[span][:, span] if sparse.issparse(values) else values[span] for span in spans]


def embedding_entry(table: AnnData, use_rep: str) -> Mapping[str, Any]:
    """What ``uns`` tells of an embedding that this package made; empty of any other."""
    entry = table.uns.get(use_rep.removeprefix(_keys.embedding_key("")), {})
    return entry if isinstance(entry, Mapping) and isinstance(entry.get("params", {}), Mapping) else {}


def features_of(parts: Sequence[Part], key: str) -> np.ndarray:
    """(n, p) rows of an ``obsm`` entry of all parts, checked.

    Raises
    ------
    KeyError
        If a part lacks it.
    ValueError
        If it has values that are not finite, or not as many columns everywhere.
    """
    found = [read_features(part.table, key) for part in parts]
    widths = sorted({features.shape[1] for features in found})
    if len(widths) > 1:
        raise ValueError(
            f"obsm[{key!r}] has {widths} columns in the objects; it has to be one embedding of all of them"
        )
    return found[0] if len(found) == 1 else np.concatenate(found)


def takes_image(parts: Sequence[Part], use_image: bool | Literal["auto"]) -> bool:  # noqa: FBT001
    """Whether histology takes part; if not, the log says why."""
    if use_image is False:
        return False
    lacking = [_without_image(part) for part in parts]
    if all(len(names) == len(part.record.section_names) for names, part in zip(lacking, parts, strict=True)):
        logger.info("no image: domains from expression and space alone")
        return False
    if any(lacking):
        objects = [f"data[{number}]{of_section(*names, word='in')}" for number, names in enumerate(lacking) if names]
        logger.warning(
            "no image%s: domains from expression and space alone, and the other images are not used",
            of_section(*lacking[0], word="for") if len(parts) == 1 else f" for {', '.join(objects)}",
        )
        return False
    for part in parts:
        table, record = part.table, part.record
        embedded = _keys.HISTOLOGY in table.obsm
        foreign = embedded and "histology" not in table.uns.get(_keys.MULTIST, {})
        if use_image != "auto" or foreign or not record.has_image:
            continue
        width = _narrowest_spot(record)
        if width < _MIN_SPOT_PIXELS:
            logger.warning(
                "the image is ignored: a spot is only %.1f pixels wide in it, and below %g it shows no morphology; "
                "use_image=True uses it all the same",
                width,
                _MIN_SPOT_PIXELS,
            )
            return False
        for what, names in {} if embedded else unstained_sections(record).items():
            logger.warning("the image is ignored: it is %s%s; name another by image_key", what, of_section(*names))
            return False
    return True


def _without_image(part: Part) -> list[str]:
    """Sections of an object that have no image, of which nothing is described either."""
    record = part.record
    if _keys.HISTOLOGY in part.table.obsm:
        return []
    return [name for name, image in zip(record.section_names, record.images, strict=True) if image is None]


def _narrowest_spot(record: SpatialRecord) -> float:
    """Pixels across a spot of the section whose image is coarsest.

    Where a diameter is unknown, the spacing of the spots tells it.
    """
    rows = [np.flatnonzero(record.section == section) for section in range(len(record.section_names))]
    return min(typical_diameter(record.diameter[part], record.xy[part]) for part in rows)


def gather_histology(parts: Sequence[Part], image_key: str | None) -> np.ndarray:
    """(n, q) histology of all parts, embedded where there is none; several slides are brought to one stain before.

    Raises
    ------
    ValueError
        If some parts have an embedding and others have not.
    """
    missing = [number for number, part in enumerate(parts) if _keys.HISTOLOGY not in part.table.obsm]
    if 0 < len(missing) < len(parts):
        raise ValueError(
            f"obsm[{_keys.HISTOLOGY!r}] is there in some of the objects and not in number "
            f"{', '.join(map(str, missing))}, whose image may be in another stain: delete it everywhere, and all are "
            "brought to one stain and embedded, or run pp.normalize_histology(..., reference=) and "
            "pp.embed_histology on the others, or leave the image out by use_image=False"
        )
    if not missing:
        logger.info("using the histology embedding in obsm[%r]", _keys.HISTOLOGY)
    else:
        from multist.pp.stages import describe_histology

        _one_stain(parts, image_key)
        logger.info("no histology embedding found; running pp.embed_histology")
        for part in parts:
            part.write(**describe_histology(part.record))
    return features_of(parts, _keys.HISTOLOGY)


def _one_stain(parts: Sequence[Part], image_key: str | None) -> None:
    """Bring slides that are not normalised to the stain of those that are, or else of the first."""
    images = [[image for image in part.record.images if image is not None] for part in parts]
    slides = {image.slide for held in images for image in held}
    done = [any(image.key.endswith(_keys.NORMALIZED_SUFFIX) for image in held) for held in images]
    if len(slides) < 2 or all(done):
        return
    references = [part.table.uns.get(_keys.MULTIST, {}).get(_keys.STAIN_REFERENCE) for part in parts]
    # of images that are named by a key, the normalised ones have another: what they were brought to still holds
    held_references = [
        reference
        for reference, is_done in zip(references, done, strict=True)
        if (is_done or image_key is not None) and reference is not None
    ]
    if any(done) and not held_references:
        raise ValueError(
            f"the image of object number {done.index(True)} is normalised, those of others are not, and its "
            f"uns[{_keys.MULTIST!r}] holds no {_keys.STAIN_REFERENCE!r} to bring them to: run pp.normalize_histology "
            "on all of them, with one reference"
        )
    reference = held_references[0] if held_references else None
    logger.info(
        "several slides, and %s not normalised: running pp.normalize_histology", counted(done.count(False), "object")
    )
    for part, is_done in zip(parts, done, strict=True):
        if not is_done:
            restain(part, reference)
            reference = part.table.uns[_keys.MULTIST][_keys.STAIN_REFERENCE]


def restain(part: Part, reference: Mapping[str, Any] | None) -> None:
    """Bring the images of a part to a stored stain, or to the stain of its first.

    Its record then has the new images.
    """
    from multist.pp.stages import change_stain, given_reference

    method = "patches" if reference is None else str(reference["method"])
    record = part.without_normalized()
    found, fields = change_stain(record, method, given_reference(reference, _keys.STAIN_REFERENCE, method))
    part.write(**fields)
    found.remember(part.write_images(record, found.arrays))
