from __future__ import annotations

from typing import TYPE_CHECKING

from multist.datasets._tenx import tenx_section

if TYPE_CHECKING:
    from spatialdata import SpatialData


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
    return tenx_section("Visium_Mouse_Olfactory_Bulb", "2.0.0", "olfactory_bulb")
