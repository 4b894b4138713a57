from __future__ import annotations

from typing import TYPE_CHECKING

from multist.datasets._tenx import tenx_section

if TYPE_CHECKING:
    from spatialdata import SpatialData


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
    return tenx_section("V1_Breast_Cancer_Block_A_Section_1", "1.1.0", "breast_cancer")
