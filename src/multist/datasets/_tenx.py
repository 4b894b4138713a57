"""Sections that 10x Genomics gives away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multist.datasets._remote import RemoteFile, fetch
from multist.datasets._visium_section import read_archive, visium_section

if TYPE_CHECKING:
    from spatialdata import SpatialData

HOST = "https://cf.10xgenomics.com/samples/spatial-exp"


def tenx_section(sample: str, version: str, dataset: str) -> SpatialData:
    """A section by its name and the version of Space Ranger that wrote it.

    See :func:`visium_section` for what is in it.
    """
    start = f"{HOST}/{version}/{sample}/{sample}"
    matrix = fetch(RemoteFile(f"{start}_filtered_feature_bc_matrix.h5"), dataset)
    archive = fetch(RemoteFile(f"{start}_spatial.tar.gz"), dataset)
    about = {"reference": f"10x Genomics, {sample}, Space Ranger {version}", "licence": "CC BY 4.0"}
    return visium_section(matrix.path, read_archive(archive), (matrix, archive), about)
