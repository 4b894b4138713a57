from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd

from multist.datasets._remote import fetch
from multist.datasets._visium_section import IMAGE, POSITIONS, SCALES, visium_section

if TYPE_CHECKING:
    from spatialdata import SpatialData

BUCKET = "https://spatial-dlpfc.s3.us-east-2.amazonaws.com"
REPOSITORY = "https://raw.githubusercontent.com/LieberInstitute/HumanPilot/044446d6bd8fc154aa74f7be62ec67effb1ec376/10X"
"""At a commit, so that what is there stays as it is."""
COUNTS = {
    "151507": "686521ab02a68dfdd810c3cde26daea2257d016c8047859877ffb8c7ac5bdd01",
    "151508": "48ab74b340c79f19070e433b8b7db67932a6e889d421a691f70293587fff0621",
    "151509": "35a4850aebdfdccb9fdf2f79cebeebc037684a79c03adb4bcdffa7c7c68486fc",
    "151510": "421a77bad2e08326a627d91a8994e1f47afb61b75aba815204b2b37c2aed26e9",
    "151669": "4c92c56291f22c31abdc76eb4d7e638ffc5b72e3c08de1142cd76ca731cbea14",
    "151670": "931f50b5de5aaa6a9e9c9d795f072a1f1f7f42a1602c849c61540b7f2258a5b1",
    "151671": "6b6b86696b377fb44fd367e80c3820209f8977cb62af4b4715c37c6faf80baa5",
    "151672": "a28ad2b88314d16b1bbde612fb80d12460ce84981cf4c00902ca046cafae4009",
    "151673": "216e8010e1c313925afa0f174207da7c8947497c960e81b07edbd16176460413",
    "151674": "0ecbabdb0ea98893f41bf7b557d8de50f1e9833eb2e55b69740b85b985c01880",
    "151675": "eba1f479b85df34dd6b58144c1fcdfbf2ad8fb01fe80caabb9bf64a2ce36394a",
    "151676": "f436605010a0133c96d1135f22fdd789317779287af58ba5af764fc1b28ea041",
}
"""sha256 of the counts of each section, as users of them have published them."""
DONORS = ("Br5292", "Br5595", "Br8100")
LAYERS = [*(f"Layer{i}" for i in range(1, 7)), "WM"]
ABOUT = {
    "reference": "Maynard, Collado-Torres et al., Nature Neuroscience 24, 425-436 (2021), "
    "doi:10.1038/s41593-020-00787-0",
    "licence": "Artistic-2.0, of the repository and package that hold it",
}


def dlpfc(section: str | int = "151673") -> SpatialData:
    """A section of the human dorsolateral prefrontal cortex with its layers, as a person drew them.

    Twelve Visium sections of three donors, two pairs of neighbours of each: 151507 to 151510, 151669 to 151672 and
    151673 to 151676. Layers 1 to 6 and the white matter are known; in 151669 to 151672 layers 1 and 2 are missing.

    Parameters
    ----------
    section
        Number of the section.

    Returns
    -------
    A SpatialData with ``images["he"]`` (about 2,000 pixels wide), circles ``shapes["spots"]`` and ``tables["table"]``:
    raw counts of about 3,600 spots and 33,538 genes, ``obs["layer"]`` (``"Layer1"`` to ``"Layer6"``, ``"WM"``; missing
    where a spot was not named), ``obs["array_row"]``, ``obs["array_col"]``, ``var["gene_ids"]``, and ``uns["source"]``:
    the ``url`` and ``sha256`` of each file, ``donor``, ``reference`` and ``licence``. Coordinates are pixels at full
    resolution.

    Raises
    ------
    ValueError
        There is no such section, or a host gives other files than are known.
    OSError
        A host cannot be reached.

    Notes
    -----
    Some tens of MB are fetched once into ``multist.settings.cache_dir``. The sha256 of the counts is published and
    checked. Of the other files it is not: what comes first is trusted, its hash is recorded beside the file, and from
    then on nothing else is taken.

    Examples
    --------
    >>> sdata = mt.datasets.dlpfc("151673")  # doctest: +SKIP
    >>> mt.tl.multist_domains(sdata, n_domains=7)  # doctest: +SKIP
    >>> mt.metrics.agreement(sdata["table"].obs["layer"], sdata["table"].obs["multist_domain"])  # doctest: +SKIP
    """
    name = str(section)
    if name not in COUNTS:
        raise ValueError(f"section {section!r} is not one of the twelve: {', '.join(COUNTS)}")
    matrix = fetch(f"{BUCKET}/h5/{name}_filtered_feature_bc_matrix.h5", "dlpfc", sha256=COUNTS[name])
    folder = f"dlpfc/{name}"
    image = fetch(f"{BUCKET}/images/{name}_{IMAGE}", folder)
    positions = fetch(f"{REPOSITORY}/{name}/{POSITIONS[-1]}", folder, largest=8)
    scales = fetch(f"{REPOSITORY}/{name}/{SCALES}", folder, largest=1)
    layers = fetch(f"{REPOSITORY}/barcode_level_layer_map.tsv", "dlpfc", largest=16)
    parts = {
        POSITIONS[-1]: positions.path.read_bytes(),
        SCALES: scales.path.read_bytes(),
        IMAGE: image.path.read_bytes(),
    }
    donor = DONORS[list(COUNTS).index(name) // 4]
    sdata = visium_section(matrix.path, parts, (matrix, image, positions, scales, layers), ABOUT | {"donor": donor})
    table = sdata.tables["table"]
    drawn = _layers(layers.path.read_bytes(), name).reindex(table.obs_names)
    table.obs["layer"] = pd.Categorical(drawn, categories=LAYERS).remove_unused_categories()
    return sdata


def _layers(content: bytes, section: str) -> pd.Series:
    """Layer of each barcode of a section; the file says ``L1`` where the paper says ``Layer1``."""
    named = pd.read_csv(io.BytesIO(content), sep="\t", header=None, names=["barcode", "section", "layer"], dtype=str)
    named = named[named["section"] == section]
    return named.set_index("barcode")["layer"].str.replace(r"^L(?:ayer)?(\d)$", r"Layer\1", regex=True)
