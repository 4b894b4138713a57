"""Domains into files that other programs open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multist import _keys
from multist._described import described
from multist._files import whole_file
from multist._settings import logger
from multist._words import counted
from multist.access import find_sections, get_table, listed, not_found, read_domains, resolve_drawn, section_code
from multist.tl.borders._domain_outlines import section_frames

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access import SpatialRecord

_BARCODE = "barcode"


@described
def write_domains(
    data: AnnData | SpatialData,
    path: str | Path,
    cluster_key: str = _keys.domain_key(),
    *,
    section: str | None = None,
    image_key: str | None = None,
    table_key: str | None = None,
    library_key: str | None = None,
) -> None:
    """Write domains to a file: ``.geojson`` for QuPath, ``.csv`` for Loupe Browser.

    :func:`multist.pp.read_labels` reads both back, and every spot gets the name that it had.

    Parameters
    ----------
    data
        Table with domains; not changed.
    path
        The file, whose folder is made if it is not there, and which is replaced once the new one is whole. Its ending
        chooses: ``.geojson``, an annotation with class and colour for each domain, as :func:`multist.tl.domain_shapes`
        outlines them, in pixels of the image; ``.csv``, one row ``Barcode,<cluster_key>`` per spot that has a domain,
        where the barcodes are those of a column ``obs["barcode"]``, or ``obs_names`` where there is none, or one that
        names two spots alike or one not at all.
    section
        The section to be written, where there are several: a ``.geojson`` belongs to one image. A ``.csv`` holds all
        without it.
    image_key
        The image that will be opened in QuPath. None takes, of an AnnData, the full-resolution image, in whose pixels
        ``obsm["spatial"]`` is; of a SpatialData the section's image.

    Returns
    -------
    None.

    Raises
    ------
    KeyError
        There is no such column, section, image or table.
    ValueError
        The ending is neither, no spot has a domain, or there are several sections and none is named.

    Examples
    --------
    >>> mt.tl.write_domains(adata, "domains.geojson")
    >>> mt.tl.write_domains(adata, "domains.csv")
    """
    path = Path(path).expanduser()
    form = path.suffix.lower()
    if form not in (".geojson", ".csv"):
        raise ValueError(f"{path.name!r} ends in {form!r}; give a .geojson for QuPath or a .csv for Loupe Browser")
    if form == ".csv" and image_key is not None:
        raise ValueError("image_key is for a .geojson; a .csv holds no coordinates")
    names = {"table_key": table_key, "library_key": library_key}
    if form == ".csv":
        text, count = _as_csv(get_table(data, table_key), cluster_key, section, library_key)
    else:
        text, count = _as_geojson(resolve_drawn(data, image_key=image_key, **names), cluster_key, section)
    with whole_file(path) as file:
        file.write_text(text, encoding="utf-8")
    written = counted(count, "spot" if form == ".csv" else "domain")
    logger.info("%s of obs[%r] written to %s", written, cluster_key, path)


def _as_csv(table: AnnData, cluster_key: str, section: str | None, library_key: str | None) -> tuple[str, int]:
    domains = read_domains(table, cluster_key)
    rows = domains.notna().to_numpy()
    if section is not None:
        codes, names = find_sections(table, library_key)
        rows = rows & (codes == section_code(names, section))  # pandas 3 gives its own memory, to be read only
    elif library_key is not None and library_key not in table.obs:
        raise not_found(library_key, "obs", table.obs, argument="library_key")
    if not rows.any():
        raise ValueError(f"obs[{cluster_key!r}] names no domain for any spot")
    groups = domains[rows]
    if _BARCODE in table.obs:
        barcodes = table.obs.loc[rows, _BARCODE]
        groups.index = barcodes if barcodes.is_unique and barcodes.notna().all() else groups.index
    return groups.to_csv(index_label="Barcode", header=[cluster_key], lineterminator="\n"), len(groups)


def _as_geojson(record: SpatialRecord, cluster_key: str, section: str | None) -> tuple[str, int]:
    if section is None and len(record.section_names) > 1:
        raise ValueError(
            f"the table holds several sections; pass the section to be written, one of: {listed(record.section_names)}"
        )
    number = 0 if section is None else section_code(record.section_names, section)
    frames = section_frames(record, cluster_key, [number])
    if number not in frames:
        raise ValueError(f"obs[{cluster_key!r}] names no domain for any spot of section {section!r}")
    features = [_feature(*row) for row in frames[number][["name", "colour", "geometry"]].itertuples(index=False)]
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False), len(features)


def _feature(name: str, colour: str, geometry: Any) -> dict[str, Any]:
    """An annotation as QuPath's own export has it."""
    from shapely import to_geojson

    rgb = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    properties = {"objectType": "annotation", "name": name, "classification": {"name": name, "color": rgb}}
    return {"type": "Feature", "geometry": json.loads(to_geojson(geometry)), "properties": properties}
