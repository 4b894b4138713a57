"""Scanpy's diffusion map, DPT and PAGA on graphs of our own, away from the user's table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._settings import logger
from multist._threads import steady_threads

_MAX_EIGENVALUE = 0.999
"""Eigenvalues are brought below this; from 0.9994 on, scanpy's DPT takes a component for a stationary state."""

_TOO_FAR = 10
"""Times the distance to the farthest of a cell's own neighbours, or the usual one, beyond which it is nobody else's."""

_WIDEST = 3
"""Times the usual scale of a cell, beyond which a scale says only that a cell is like none."""

_LEAST_SIMILARITY = 1e-3
"""Weight of an edge in space at least: through weaker ones a diffusion hardly comes, and what they join is lost."""

_NEIGHBORS, _CONNECTIVITIES, _DISTANCES = "neighbors", "connectivities", "distances"
_KEYS = {"connectivities_key": _CONNECTIVITIES, "distances_key": _DISTANCES}


class Diffusion(NamedTuple):
    """Diffusion map of a connected graph, without its stationary state.

    Attributes
    ----------
    values
        (n_dcs,) eigenvalues of the transition matrix, the leading one first.
    vectors
        (n, n_dcs) diffusion components.
    """

    values: np.ndarray
    vectors: np.ndarray


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order whatever the machine, and what scanpy sets for the whole process put back."""
    with steady_threads("scanpy", "sklearn.neighbors", limit=1), np.printoptions():
        yield


class Neighbors(NamedTuple):
    """Nearest cells in expression.

    Attributes
    ----------
    distances
        (n, n) from each cell to those nearest to it.
    scale
        (n,) distance to the farthest of these; of cells that have none, or as many copies, the median of all.
    usual
        Median of ``scale``.
    """

    distances: sparse.csr_matrix
    scale: np.ndarray
    usual: float


def nearest_in_expression(rep: np.ndarray, n_neighbors: int) -> Neighbors:
    """Exact nearest neighbours in expression: approximate ones depend on the number of threads.

    A handful of cells that lie apart have neighbours among the others only because they are too few; such are left out.

    Parameters
    ----------
    rep
        (n, d) embedding.
    n_neighbors
        Neighbours of a cell, itself included, as scanpy counts; at most n.
    """
    from sklearn.neighbors import NearestNeighbors

    centred = np.asarray(rep, dtype=np.float64) - np.mean(rep, axis=0, dtype=np.float64)
    search = NearestNeighbors(n_neighbors=n_neighbors - 1).fit(centred)
    found = search.kneighbors(return_distance=False)
    start, end = np.repeat(np.arange(len(rep)), found.shape[1]), found.ravel()
    distance = _apart(centred, start, end)  # those of the search are rounded, and copies are not at zero
    reach, usual = _or_usual(distance.reshape(found.shape).max(axis=1))
    near = distance <= _TOO_FAR * np.maximum(reach[end], usual)
    kept = (distance[near], (start[near], end[near]))
    distances = sparse.csr_matrix(kept, shape=(len(rep), len(rep)))
    return Neighbors(distances, *_or_usual(distances.max(axis=1).toarray().ravel()))


def _apart(rep: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(m,) distances between rows of the (n, d) embedding."""
    squared = np.zeros(len(start))
    for column in np.asarray(rep, dtype=np.float64).T:
        squared += (column[start] - column[end]) ** 2
    return np.sqrt(squared)


def _or_usual(reach: np.ndarray) -> tuple[np.ndarray, float]:
    """(n,) distances, of which those of zero are replaced by the median of the others, and that median."""
    usual = float(np.median(reach[reach > 0])) if reach.any() else 1.0
    return np.where(reach > 0, reach, usual), usual


def mixed_graph(
    neighbors: Neighbors, rep: np.ndarray, spatial: sparse.csr_matrix | None, weight: float
) -> sparse.csr_matrix:
    """Neighbours in expression and in space as one graph.

    To a cell, another is alike by ``exp(-(d / s)^2)``, where ``s`` is the distance to the farthest of its neighbours in
    expression: a scale of each cell's own, as Zelnik-Manor and Perona (2004) have it. An edge of either kind counts as
    likely as one of its ends at least takes the other for alike, as in UMAP (McInnes et al. 2018). So neighbours in
    expression always count, and two layers that touch where the tissue is folded are not short-circuited. An edge in
    space whose ends are too far from alike for a number is none; all others count at least a thousandth, so that sharp
    domains are joined. Among cells that are all alike, a cell has as much weight in space as in expression.

    Parameters
    ----------
    neighbors
        Neighbours in expression.
    rep
        (n, d) embedding.
    spatial
        (n, n) graph in space, of which only the pattern counts; None for none.
    weight
        Share of space, from 0 to below 1.

    Returns
    -------
    (n, n) symmetric connectivities.
    """
    found = neighbors.distances.tocoo()
    in_expression = _either_end(found.row, found.col, found.data, neighbors.scale)
    if spatial is None or spatial.nnz == 0 or weight == 0:
        return in_expression
    start, end = spatial.nonzero()
    # cells that are like none have the widest scale, and would take whatever lies around them for alike
    scale = np.minimum(neighbors.scale, _WIDEST * neighbors.usual)
    in_space = _either_end(start, end, _apart(rep, start, end), scale)
    in_space.eliminate_zeros()
    in_space.data = in_space.data.clip(_LEAST_SIMILARITY)
    unit = in_expression.sum() / len(start)
    return sparse.csr_matrix((1 - weight) * in_expression + weight * unit * in_space)


def _either_end(start: np.ndarray, end: np.ndarray, distance: np.ndarray, scale: np.ndarray) -> sparse.csr_matrix:
    """(n, n) chance that one end at least of each of m edges takes the other for alike."""
    alike = np.exp(-((distance / scale[start]) ** 2))
    to_cell = sparse.csr_matrix((alike, (start, end)), shape=(len(scale),) * 2)
    return sparse.csr_matrix(to_cell + to_cell.T - to_cell.multiply(to_cell.T))


def diffusion_map(graph: sparse.csr_matrix, n_neighbors: int, n_dcs: int, random_state: int) -> Diffusion:
    """Scanpy's diffusion map of a connected graph.

    Parameters
    ----------
    graph
        (n, n) symmetric connectivities, n of at least 4.
    n_neighbors
        Neighbours the graph was made with.
    n_dcs
        Diffusion components, without the stationary state.
    random_state
        Seed of the vector from which the eigenvectors are sought.
    """
    import scanpy as sc

    scratch = _scratch(graph.shape[0])
    scratch.obsp[_CONNECTIVITIES] = graph
    scratch.uns[_NEIGHBORS] = {**_KEYS, "params": {"n_neighbors": n_neighbors, "method": "umap"}}
    sc.tl.diffmap(scratch, n_comps=min(n_dcs + 1, len(scratch) - 1), random_state=random_state)
    # a value that rounds to 1 would be an infinite distance
    values = np.minimum(scratch.uns["diffmap_evals"][1:].astype(np.float64), 1 - 1e-7)
    return Diffusion(values, scratch.obsm["X_diffmap"][:, 1:].astype(np.float64))


def diffusion_time(diffusion: Diffusion, root: int) -> np.ndarray:
    """Scanpy's diffusion pseudotime (Haghverdi et al. 2016, doi:10.1038/nmeth.3971) from a root, 0 to 1.

    Scanpy takes components with an eigenvalue above 0.9994 for stationary states and does not weigh them. On graphs of
    some thousand cells that follow a tissue, these are the leading ones. The distance depends on the ratios of
    ``v / (1 - v)`` only, so eigenvalues with the same ratios and below that bound are handed over.

    Parameters
    ----------
    diffusion
        What :func:`diffusion_map` gave.
    root
        Row of the root.

    Returns
    -------
    (n,) pseudotime.
    """
    import scanpy as sc

    odds = diffusion.values / (1 - diffusion.values)
    odds *= min(1.0, _MAX_EIGENVALUE / (1 - _MAX_EIGENVALUE) / np.abs(odds).max())
    scratch = _scratch(len(diffusion.vectors))
    # no edges: scanpy needs none for this, and would look for parts in them
    scratch.uns[_NEIGHBORS] = {**_KEYS, "params": {"n_neighbors": 0}}
    scratch.obsm["X_diffmap"], scratch.uns["diffmap_evals"] = diffusion.vectors, odds / (1 + odds)
    scratch.uns["iroot"] = int(root)
    sc.tl.dpt(scratch, n_dcs=len(odds))
    return scratch.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)


def domain_graph(neighbors: Neighbors, domains: pd.Series) -> dict[str, np.ndarray]:
    """Scanpy's PAGA (Wolf et al. 2019, doi:10.1186/s13059-019-1663-x) of the domains; cells without one are left out.

    Parameters
    ----------
    neighbors
        Neighbours in expression.
    domains
        (n,) categorical.

    Returns
    -------
    ``"domains"``, their names; ``"connectivities"`` and ``"connectivities_tree"``, (k, k) each in that order, zero
    where no two domains are joined. Nothing where igraph is not installed: scanpy needs it, and its
    licence keeps it an extra here.
    """
    import scanpy as sc

    if find_spec("igraph") is None:
        logger.info("no PAGA of the domains: it needs igraph, pip install 'multist[paga]'")
        return {}
    has_domain = np.flatnonzero(domains.notna())
    groups = domains.iloc[has_domain].cat.remove_unused_categories()
    names = groups.cat.categories.to_numpy(dtype=str)
    distances = neighbors.distances[has_domain][:, has_domain]
    edges, codes = distances.tocoo(), groups.cat.codes.to_numpy()
    if not (codes[edges.row] != codes[edges.col]).any():  # scanpy needs an edge
        empty = np.zeros((len(names),) * 2)
        return {"domains": names, "connectivities": empty, "connectivities_tree": empty.copy()}
    scratch = _scratch(len(has_domain))
    scratch.obsp[_DISTANCES] = scratch.obsp[_CONNECTIVITIES] = distances
    scratch.uns[_NEIGHBORS] = {**_KEYS, "params": {"n_neighbors": 0}}  # PAGA counts edges, and does not read this
    scratch.obs["domain"] = groups.array
    sc.tl.paga(scratch, "domain")
    found = {key: scratch.uns["paga"][key].toarray() for key in ("connectivities", "connectivities_tree")}
    return {"domains": names, **found}


def _scratch(n_obs: int) -> AnnData:
    return AnnData(obs=pd.DataFrame(index=pd.RangeIndex(n_obs).astype(str)))
