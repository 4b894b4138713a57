"""Any input as one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from multist._keys import SPATIAL
from multist.access.check import check_apart, warn_of_depth
from multist.access.elements import resolve_spatialdata
from multist.access.record import SpatialRecord
from multist.access.sections import ResolveOptions
from multist.access.tables import get_table, given_or_remembered, is_spatialdata
from multist.access.visium import resolve_anndata

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


def resolve(
    data: AnnData | SpatialData,
    *,
    table_key: str | None = None,
    image_key: str | None = None,
    library_key: str | None = None,
    image: bool | Literal["auto"] = "auto",
    prefer_normalized: bool = True,
    strays: bool = False,
    white: float | None = None,
    instead: str = "go without an image",
) -> SpatialRecord:
    """Table, row-aligned spots and lazy images of an AnnData or SpatialData.

    Nothing is changed and no pixel is read, except where only the pixels tell how large white is (images that are not
    uint8).

    Parameters
    ----------
    data
        AnnData with ``obsm["spatial"]`` (x, y; a third column is left aside) and, for an image, ``uns["spatial"]`` as
        Space Ranger's readers make it; or SpatialData with a table that annotates shapes, labels or points. A view of
        an AnnData is fine; it becomes a copy when results are written to it, as always in AnnData.
    table_key
        Table of a SpatialData; may be left out where there is one.
    image_key
        Image. Left out, of an AnnData: ``"hires_normalized"``, ``"hires"``, ``"lowres_normalized"``, ``"lowres"``, the
        first that is there. Of a SpatialData: the RGB image that shares a coordinate system with the section's spots;
        an image and its ``"<key>_normalized"`` count as one, and of ``"<id>_full_image"``, ``"<id>_hires_image"``
        and ``"<id>_lowres_image"`` the finest is taken; ``"<id>_cytassist_image"``, which is no H&E, only if it is
        named.
    library_key
        Column of ``obs`` that names the sections. Left out, it is that of an earlier call, else the one that holds the
        names of the several sections in ``uns["spatial"]``; else the regions of a SpatialData's table are the sections.
    image
        ``True`` needs an image for every section, ``False`` never looks at images, ``"auto"`` takes what is there.
    prefer_normalized
        Without ``image_key``, take the ``"<key>_normalized"`` of an image if there is one.
    strays
        Warn of spots that lie off the image instead of refusing them; where most do, an image that is not named is left
        out.
    white
        Value of a white pixel; None tells it by the type or, of images that are not uint8, by the pixels.
    instead
        What else than mending the data can be done where an image is missing or does not fit, for the error.

    Returns
    -------
    The record.

    Raises
    ------
    TypeError
        ``data`` is neither an AnnData nor a SpatialData.
    KeyError
        A key is not there; the message says which are.
    ValueError
        The table is empty, rows or columns share a name, coordinates are not finite, all spots of a section lie at one
        place, an instance is missing or named by two rows, several images fit, spots lie off the image, or
        pixels do not tell what is white.
    """
    if not (image is True or image is False or image == "auto"):
        raise ValueError(f"image must be True, False or 'auto', not {image!r}")
    table = get_table(data, table_key)
    options = ResolveOptions(
        image_key=image_key,
        library_key=given_or_remembered(table, library_key),
        image=image,
        prefer_normalized=prefer_normalized,
        strays=strays,
        white=white,
        instead=instead,
    )
    if is_spatialdata(data):
        record = resolve_spatialdata(data, table, options)
    else:
        record = resolve_anndata(table, options)
        if not strays:  # a plot knows no neighbours
            warn_of_depth(record, SPATIAL)
    check_apart(record)
    return record


def resolve_shown(
    data: AnnData | SpatialData, *, image_key: str | None, table_key: str | None, library_key: str | None
) -> SpatialRecord:
    """The record of what a plot or a report shows.

    Spots off the image are drawn where they are, with a warning; where most are off an image that is not named, it is
    left out.

    Parameters
    ----------
    data, table_key, library_key
        As :func:`resolve` takes them.
    image_key
        Name of an image, ``"auto"`` for the only one, as it was scanned, or None for none.
    """
    named = image_key not in (None, "auto")
    return resolve(
        data,
        table_key=table_key,
        image_key=image_key if named else None,
        library_key=library_key,
        image=False if image_key is None else "auto",
        prefer_normalized=False,
        strays=True,
    )
