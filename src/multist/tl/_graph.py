"""The spatial graph that every topic reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from multist import _keys
from multist._settings import logger
from multist.access import read_graph

if TYPE_CHECKING:
    import scipy.sparse as sp

    from multist.access import Part


def ensure_graph(part: Part) -> sp.csr_matrix:
    """The graph, made where there is none; it joins sections only if they were aligned for that.

    Returns
    -------
    (n_obs, n_obs) float32, finite and symmetric, whatever form the table keeps; see :func:`multist.access.read_graph`.
    """
    if part.graph is None:
        part.graph = _read(part) if _keys.CONNECTIVITIES in part.table.obsp else _made(part)
    return part.graph


def _read(part: Part) -> sp.csr_matrix:
    logger.info("using the graph in obsp[%r]", _keys.CONNECTIVITIES)
    graph = read_graph(part.table)
    edges = graph.tocoo()
    crossing = int((part.record.section[edges.row] != part.record.section[edges.col]).sum())
    made = part.table.uns.get(f"{_keys.SPATIAL}_neighbors", {})
    params = made.get("params", {}) if isinstance(made, Mapping) else {}
    if crossing and "aligned_key" not in params:
        raise ValueError(
            f"obsp[{_keys.CONNECTIVITIES!r}] has {crossing} edges between different sections; "
            "run pp.spatial_graph with library_key first (and aligned_key, if they are to touch in z)"
        )
    return graph


def _made(part: Part) -> sp.csr_matrix:
    logger.info("no spatial graph found; running pp.spatial_graph")
    from multist.pp.stages import join_neighbors

    part.write(**join_neighbors(part.record.without_image()))
    return read_graph(part.table)
