"""The spatial graph of a table, whatever form somebody has given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from multist._keys import CONNECTIVITIES
from multist._settings import logger
from multist._words import counted
from multist.access.absent import not_found
from multist.access.tables import in_memory

if TYPE_CHECKING:
    from anndata import AnnData


def read_graph(table: AnnData) -> sparse.csr_matrix:
    """Weights between spots as finite, symmetric CSR; the table keeps its own.

    An edge that is given in one direction, such as one triangle of the matrix or nearest neighbours, joins both ends;
    where both are given the larger weight counts. A spot is no neighbour of its own.

    Parameters
    ----------
    table
        The table; it is only read. Its ``obsp["spatial_connectivities"]`` is dense or sparse, in any order.

    Returns
    -------
    (n_obs, n_obs) float32, sorted, without zeros.

    Raises
    ------
    KeyError
        There is no such graph.
    ValueError
        It does not hold numbers, or holds negative ones.
    """
    if CONNECTIVITIES not in table.obsp:
        raise not_found(CONNECTIVITIES, "obsp", table.obsp)
    held: Any = in_memory(table.obsp[CONNECTIVITIES])
    held = held if sparse.issparse(held) else np.asarray(held)
    if held.dtype.kind not in "biuf":
        raise ValueError(f"obsp[{CONNECTIVITIES!r}] holds {held.dtype}, not numbers")
    edges = sparse.coo_matrix(held)
    finite = np.isfinite(edges.data)
    if not finite.all():
        edges_are = counted(
            int((~finite).sum()), f"edge of obsp[{CONNECTIVITIES!r}] is", f"edges of obsp[{CONNECTIVITIES!r}] are"
        )
        logger.warning("%s NaN or infinite, and left out", edges_are)
    if (edges.data[finite] < 0).any():
        raise ValueError(
            f"obsp[{CONNECTIVITIES!r}] holds negative weights, so it is no graph of neighbours; run pp.spatial_graph"
        )
    kept = finite & (edges.data != 0) & (edges.row != edges.col)
    weights = edges.data[kept].astype(np.float32)
    half = sparse.csr_matrix((weights, (edges.row[kept], edges.col[kept])), shape=edges.shape)
    graph = sparse.csr_matrix(half.maximum(half.T))
    graph.sort_indices()
    return graph
