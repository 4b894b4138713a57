"""Where one more stroke would tell most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multist import _keys
from multist._described import described
from multist.access import check_whole, not_found, open_part
from multist.tl._glass import lies_on_glass
from multist.tl._graph import ensure_graph
from multist.tl.domains._guided import stroke_names
from multist.tl.domains._inputs import embedding_entry, features_of

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@described
def suggest_labels(
    data: AnnData | SpatialData,
    n: int = 10,
    *,
    key: str = _keys.MULTIST,
    table_key: str | None = None,
    library_key: str | None = None,
) -> list[str]:
    """Name the spots at which one more stroke would tell most about guided domains.

    They stand for much tissue whose class is uncertain, their embeddings differ from those of strokes and from each
    other, and no two lie within two steps. Name them, and run :func:`multist.tl.cluster_domains` with ``labels_key``
    again.

    Parameters
    ----------
    data
        Table with domains that strokes guided (``labels_key``), in it or in the section from which it was recognised.
    n
        How many spots.

    Returns
    -------
    Up to ``n`` names of ``obs_names``, the most telling first. Nothing is written.

    Raises
    ------
    KeyError
        If no strokes guided the domains, or the embedding that they were found on is gone.
    ValueError
        If ``n`` is no whole number above zero.

    Examples
    --------
    >>> mt.tl.multist_domains(adata, labels_key="annotation")
    >>> spots = mt.tl.suggest_labels(adata)
    >>> mt.pl.domains(adata, rings=spots)
    """
    from multist.cluster.suggest import suggest

    check_whole(n=n)
    part = open_part(data, table_key=table_key, library_key=library_key, image=False)
    table, probability_key = part.table, _keys.probability_key(key)
    if probability_key not in table.obsm:
        raise not_found(probability_key, "obsm", table.obsm, key_added=key)
    entry = embedding_entry(table, _keys.embedding_key(key))
    params, classes = entry.get("params", {}), entry.get(_keys.GUIDED, {}).get("classes", [])
    # a section that was recognised has no strokes, and what means that a spot is not named is no class
    named = stroke_names(table, params.get("labels_key", "None")).isin(classes).to_numpy()
    embedding = features_of([part], params.get("use_rep", _keys.embedding_key(key)))
    labels = np.where(named | lies_on_glass(table), 0, -1)  # nobody can name what lies beside the tissue
    rows = suggest(embedding, np.asarray(table.obsm[probability_key]), ensure_graph(part), labels, n)
    return table.obs_names[rows].tolist()
