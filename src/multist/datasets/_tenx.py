"""Sections that 10x Genomics gives away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multist.datasets._remote import fetch
from multist.datasets._visium_section import read_archive, visium_section

if TYPE_CHECKING:
    from spatialdata import SpatialData

HOST = "https://cf.10xgenomics.com/samples/spatial-exp"


def breast_cancer() -> SpatialData:
    """A section of invasive ductal carcinoma of the human breast (block A, section 1), Visium.

    Returns
    -------
    A SpatialData with ``images["he"]`` (about 2,000 pixels wide), circles ``shapes["spots"]`` and ``tables["table"]``:
    raw counts of 3,798 spots, ``obs["array_row"]``, ``obs["array_col"]``, ``var["gene_ids"]``, and ``uns["source"]``:
    the ``url`` and ``sha256`` of each file, ``reference`` and ``licence``. Coordinates are pixels at full resolution.

    Raises
    ------
    OSError
        The host cannot be reached.
    ValueError
        It gives other files than it gave before, or broken ones.

    Notes
    -----
    Some tens of MB are fetched once into ``multist.settings.cache_dir``. The host publishes no hash: what comes first
    is trusted, its hash is recorded beside the file, and from then on nothing else is taken.

    Examples
    --------
    >>> sdata = mt.datasets.breast_cancer()  # doctest: +SKIP
    >>> mt.tl.multist_domains(sdata, n_domains=12)  # doctest: +SKIP
    """
    return _section("V1_Breast_Cancer_Block_A_Section_1", "1.1.0", "breast_cancer")


def olfactory_bulb() -> SpatialData:
    """A section of the olfactory bulb of an adult mouse, whose layers lie around one another, Visium.

    Returns
    -------
    A SpatialData with ``images["he"]`` (about 2,000 pixels wide), circles ``shapes["spots"]`` and ``tables["table"]``:
    raw counts, ``obs["array_row"]``, ``obs["array_col"]``, ``var["gene_ids"]``, and ``uns["source"]``: the ``url`` and
    ``sha256`` of each file, ``reference`` and ``licence``. Coordinates are pixels at full resolution.

    Raises
    ------
    OSError
        The host cannot be reached.
    ValueError
        It gives other files than it gave before, or broken ones.

    Notes
    -----
    Some tens of MB are fetched once into ``multist.settings.cache_dir``. The host publishes no hash: what comes first
    is trusted, its hash is recorded beside the file, and from then on nothing else is taken.

    Examples
    --------
    >>> sdata = mt.datasets.olfactory_bulb()  # doctest: +SKIP
    >>> mt.tl.multist_domains(sdata, n_domains=5)  # doctest: +SKIP
    """
    return _section("Visium_Mouse_Olfactory_Bulb", "2.0.0", "olfactory_bulb")


def _section(sample: str, version: str, dataset: str) -> SpatialData:
    """A section by its name and the version of Space Ranger that wrote it.

    See :func:`visium_section` for what is in it.
    """
    start = f"{HOST}/{version}/{sample}/{sample}"
    matrix = fetch(f"{start}_filtered_feature_bc_matrix.h5", dataset)
    archive = fetch(f"{start}_spatial.tar.gz", dataset)
    about = {"reference": f"10x Genomics, {sample}, Space Ranger {version}", "licence": "CC BY 4.0"}
    return visium_section(matrix.path, read_archive(archive), (matrix, archive), about)
