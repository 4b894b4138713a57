"""What Space Ranger wrote of a section as a SpatialData."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._keys import SPATIAL
from multist._words import counted
from multist.datasets._remote import Fetched

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

POSITIONS = ("tissue_positions.csv", "tissue_positions_list.csv", "tissue_positions_list.txt")
"""Names of the list of spots, of which later versions have a header."""
SCALES, IMAGE = "scalefactors_json.json", "tissue_hires_image.png"
_COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", "y", "x"]
_MAX_FILE_BYTES = 64 * 2**20
"""Bytes of a file in an archive."""


def read_archive(archive: Fetched) -> dict[str, bytes]:
    """The three files of an archive that are needed, by name.

    Nothing is unpacked to disk, so it does not matter what paths an archive holds.

    Raises
    ------
    ValueError
        One is missing or too large, or the archive is broken.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive.path, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if name not in (*POSITIONS, SCALES, IMAGE) or not member.isfile():
                    continue
                if member.size > _MAX_FILE_BYTES:
                    raise ValueError(f"{name} in {archive.path} has {member.size} bytes, more than a section needs")
                content = tar.extractfile(member)
                if content is not None:
                    found[name] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{archive.path} is no archive that can be read: {error}") from error
    missing = [name for name in (SCALES, IMAGE) if name not in found]
    if missing or not any(name in found for name in POSITIONS):
        raise ValueError(
            f"{archive.path} lacks {', '.join(missing or POSITIONS[:1])}; it holds {', '.join(found) or 'none'}"
        )
    return found


def visium_section(
    matrix: Path, parts: dict[str, bytes], files: Sequence[Fetched], about: dict[str, str]
) -> SpatialData:
    """Counts, spots and image of a section.

    Parameters
    ----------
    matrix
        Filtered counts, HDF5.
    parts
        The list of spots, the scale factors and the image, by their names.
    files
        Where all of it is from.
    about
        What else is to be known of it, such as the licence.

    Returns
    -------
    ``images["he"]``, circles ``shapes["spots"]``, ``tables["table"]`` in the coordinate system ``"global"``, pixels at
    full resolution.

    Raises
    ------
    ValueError
        A spot of the counts has no place.
    """
    from geopandas import GeoDataFrame
    from PIL import Image
    from shapely import points
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    scales = json.loads(parts[SCALES])
    table = _counts(matrix)
    spots = _spots(next(parts[name] for name in POSITIONS if name in parts), table.obs_names)
    xy = spots[["x", "y"]].to_numpy(np.float64)
    table.obs = spots[["in_tissue", "array_row", "array_col"]].assign(
        region=pd.Categorical(["spots"] * len(spots)), spot_id=np.arange(len(spots))
    )
    table.obsm[SPATIAL] = xy
    table.uns["source"] = about | {
        "url": np.array([file.url for file in files]),
        "sha256": np.array([file.sha256 for file in files]),
    }
    circles = GeoDataFrame({"radius": np.full(len(xy), scales["spot_diameter_fullres"] / 2)}, geometry=points(xy))
    pixels = np.moveaxis(np.asarray(Image.open(io.BytesIO(parts[IMAGE])).convert("RGB")), -1, 0)
    step = 1 / float(scales["tissue_hires_scalef"])
    image = Image2DModel.parse(
        pixels,
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        transformations={"global": Scale([step, step], ("x", "y"))},
    )
    return SpatialData(
        images={"he": image},
        shapes={"spots": ShapesModel.parse(circles, transformations={"global": Identity()})},
        tables={"table": TableModel.parse(table, region="spots", region_key="region", instance_key="spot_id")},
    )


def _counts(matrix: Path) -> AnnData:
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")  # they are made so
        table = sc.read_10x_h5(matrix)
        table.var_names_make_unique()
    return table


def _spots(content: bytes, barcodes: pd.Index) -> pd.DataFrame:
    """Places of the spots in the order of the counts."""
    headed = content.lstrip().startswith(b"barcode")
    options: dict[str, Any] = {"header": 0 if headed else None, "names": _COLUMNS, "index_col": "barcode"}
    spots = pd.read_csv(io.BytesIO(content), **options)
    lost = barcodes.difference(spots.index)
    if len(lost):
        raise ValueError(
            f"{counted(len(lost), 'spot of the counts has', 'spots of the counts have')} no place, such as {lost[0]!r}"
        )
    return spots.loc[barcodes]
