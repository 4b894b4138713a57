"""Scanpy's neighbours, diffusion map, DPT and PAGA on graphs of our own, away from the user's table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from multist._progress import first_call_compiles, keep_compiled
from multist._settings import logger
from multist._threads import steady_threads

_MAX_EIGENVALUE = 0.999
"""Eigenvalues are brought below this; from 0.9994 on, scanpy's DPT takes a component for a stationary state."""

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


def expression_graph(rep: np.ndarray, n_neighbors: int) -> AnnData:
    """Scanpy's exact nearest neighbours, and their connectivities (UMAP's), on a table of their own.

    Parameters
    ----------
    rep
        (n, d) embedding.
    n_neighbors
        Neighbours of a cell, itself included, as scanpy counts.

    Returns
    -------
    (n, 0) table with ``obsp["connectivities"]`` and ``obsp["distances"]``.
    """
    import scanpy as sc
    from umap import umap_

    first_call_compiles("scanpy's neighbours")
    keep_compiled(umap_.smooth_knn_dist, umap_.compute_membership_strengths)
    scratch = _scratch(len(rep))
    scratch.obsm["rep"] = np.ascontiguousarray(rep, dtype=np.float64)
    # exact: approximate neighbours depend on the number of threads
    sc.pp.neighbors(scratch, n_neighbors, use_rep="rep", transformer="sklearn", random_state=0)
    return scratch


def mixed_graph(
    neighbors: AnnData, rep: np.ndarray, spatial: sparse.csr_matrix | None, weight: float
) -> sparse.csr_matrix:
    """Neighbours in expression and in space as one graph.

    A spatial edge counts as far as its ends are alike, by the self-tuning kernel ``exp(-d^2 / (s_i s_j))`` of
    Zelnik-Manor and Perona (2004), where ``s`` is the distance to the farthest of a cell's neighbours in expression:
    two layers that touch where the tissue is folded are not short-circuited. Among cells that are all alike, a cell has
    as much weight in space as in expression.

    Parameters
    ----------
    neighbors
        What :func:`expression_graph` gave.
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
    expression = sparse.csr_matrix(neighbors.obsp[_CONNECTIVITIES], dtype=np.float64)
    if spatial is None or spatial.nnz == 0 or weight == 0:
        return expression
    reach = neighbors.obsp[_DISTANCES].max(axis=1).toarray().ravel()
    start, end = spatial.nonzero()
    squared = np.zeros(len(start))
    for column in np.asarray(rep, dtype=np.float64).T:
        squared += (column[start] - column[end]) ** 2
    alike = np.exp(-squared / np.maximum(reach[start] * reach[end], np.finfo(float).tiny))
    similarity = sparse.csr_matrix((alike, (start, end)), shape=expression.shape)
    unit = expression.sum() / len(start)
    mixed = sparse.csr_matrix((1 - weight) * expression + weight * unit * similarity.maximum(similarity.T))
    mixed.eliminate_zeros()
    return mixed


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


def domain_graph(neighbors: AnnData, domains: pd.Series) -> dict[str, np.ndarray]:
    """Scanpy's PAGA (Wolf et al. 2019, doi:10.1186/s13059-019-1663-x) of the domains; cells without one are left out.

    Parameters
    ----------
    neighbors
        What :func:`expression_graph` gave.
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
    has_domain = domains.notna().to_numpy()
    groups = domains[has_domain].cat.remove_unused_categories()
    names = groups.cat.categories.to_numpy(dtype=str)
    scratch = neighbors[has_domain].copy()
    edges, codes = scratch.obsp[_DISTANCES].tocoo(), groups.cat.codes.to_numpy()
    if not (codes[edges.row] != codes[edges.col]).any():  # scanpy needs an edge
        empty = np.zeros((len(names),) * 2)
        return {"domains": names, "connectivities": empty, "connectivities_tree": empty.copy()}
    scratch.obs["domain"] = groups.array
    sc.tl.paga(scratch, "domain")
    found = {key: scratch.uns["paga"][key].toarray() for key in ("connectivities", "connectivities_tree")}
    return {"domains": names, **found}


def _scratch(n_obs: int) -> AnnData:
    return AnnData(obs=pd.DataFrame(index=pd.RangeIndex(n_obs).astype(str)))
