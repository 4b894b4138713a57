"""Pseudotime over the tissue, from a domain outwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist._numbers import is_number
from multist._settings import logger
from multist._words import counted
from multist.access import (
    check_whole,
    domain_params,
    plain,
    read_domains,
    read_features,
    run,
    versions,
)
from multist.tl._glass import warn_of_glass
from multist.tl._graph import ensure_graph
from multist.tl.trajectory._diffusion import (
    diffusion_map,
    diffusion_time,
    domain_graph,
    mixed_graph,
    nearest_in_expression,
    one_thread,
)
from multist.tl.trajectory._landmarks import carry_over, choose_landmarks, landmark_graph, nearest_landmarks
from multist.tl.trajectory._parts import STRAY, describe_parts, find_parts, root_part
from multist.tl.trajectory._roots import (
    Root,
    read_root,
    root_cell,
    root_domain,
    warn_of_crowd,
    warn_of_middle,
    warn_of_sections,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy import sparse
    from spatialdata import SpatialData

    from multist.access import SpatialRecord

OnDisconnected = Literal["error", "separate", "missing"]


class _Choices(NamedTuple):
    spatial_weight: float
    n_neighbors: int
    n_dcs: int
    on_disconnected: OnDisconnected
    max_cells: int
    random_state: int


@described
def pseudotime(
    data: AnnData | SpatialData,
    root: str = "auto",
    *,
    use_rep: str | None = None,
    cluster_key: str = _keys.domain_key(),
    spatial_weight: float = 0.5,
    n_neighbors: int = 15,
    n_dcs: int = 10,
    on_disconnected: OnDisconnected = "error",
    max_cells: int = 50_000,
    table_key: str | None = None,
    library_key: str | None = None,
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Order spots or cells along the tissue by diffusion pseudotime, starting from a root.

    Scanpy's diffusion map and DPT (Haghverdi et al. 2016, doi:10.1038/nmeth.3971) on the nearest neighbours in an
    embedding, with neighbours in space mixed in, so that the order follows the tissue. An edge counts as far as its
    ends are alike, on a scale of each cell's own. All sections of a table share one graph and one scale; neighbours in
    space are sought within, those in expression across sections. Beside it, scanpy's PAGA (Wolf et al. 2019,
    doi:10.1186/s13059-019-1663-x) of the domains.

    Parameters
    ----------
    data
        Table with an embedding and domains; not changed but for the fields below.
    root
        A domain, or the name of an observation; what is both is taken for a domain. Inside a domain, the cell farthest
        from the other domains along the leading diffusion component is taken. ``"auto"`` takes the domain whose median
        lies farthest from the median of all cells along that component, among those of at least ``n_neighbors`` cells:
        one end of the longest path. Which of the two ends a process starts from is biology, and nothing in the data
        says it.
    use_rep
        ``obsm`` key of the embedding; None takes the one with the name of the domains, ``X_name`` for ``name_domain``,
        if it is there, else ``X_multist``.
    cluster_key
        ``obs`` column of the domains. Spots without one get a pseudotime all the same.
    spatial_weight
        Share of neighbours in space, from 0, the expression alone, to below 1.
    n_neighbors
        Neighbours in expression, the cell itself included, at least 4.
    n_dcs
        Diffusion components, at least 2, without the stationary state.
    on_disconnected
        If parts of the graph are joined by no path: ``"error"`` names them, ``"separate"`` gives each a root of its own
        and scales each from 0 to 1, ``"missing"`` gives NaN to all but the root's part. The root of a part without the
        given one is the extreme cell of the same domain if the part has it, else it follows the rule of ``"auto"``.
        Parts of less than ``n_neighbors`` cells are too small for a diffusion and get NaN, with a warning.
    max_cells
        With more cells than this, as many landmarks are drawn, evenly from the domains of each section but rare
        domains more densely; the others get the mean of the nearest landmarks, weighted by their distance in the
        embedding. Of more than 5,000 landmarks, the nearest are found in the groups around a cell: nineteen of twenty.

    Returns
    -------
    None, or the changed copy. Fields written to the table, for the default ``key_added``:

    ``obs["multist_pseudotime"]``
        From 0, the root, to 1, the farthest from it; NaN where there is none; never infinite.
    ``uns["multist"]["pseudotime"]``
        ``"params"``; ``"versions"``; ``"roots"``, ``"root_domains"`` and ``"part_sizes"`` of each part of the graph;
        ``"n_landmarks"``, 0 for none; ``"paga"`` with ``"domains"``, ``"connectivities"`` and
        ``"connectivities_tree"``, empty where the extra ``multist[paga]`` is not installed.

    Where there is no spatial graph, :func:`multist.pp.spatial_graph` makes it.

    Raises
    ------
    KeyError
        If the embedding, the domains or the root are not there; the message lists what is.
    TypeError
        If ``root`` is no name, such as a bare index.
    ValueError
        If a number is out of range, the embedding is not finite, or the graph falls apart.

    Notes
    -----
    Scanpy's DPT leaves components with eigenvalues above 0.9994 unweighted. Along a tissue the leading ones lie there
    from a few thousand cells on, so they are scaled first, which changes no ratio of distances.

    Examples
    --------
    >>> mt.tl.multist_domains(adata, 7)
    >>> mt.tl.pseudotime(adata, root="3")
    >>> mt.pl.pseudotime(adata)
    """
    choices = _Choices(spatial_weight, n_neighbors, n_dcs, on_disconnected, max_cells, random_state)
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    with (
        run(data, "pseudotime", random_state=random_state, key_added=key_added, copy=copy, image=False, **keys) as work,
        one_thread(),
    ):
        part, table = work.part, work.part.table
        _check(choices, table.n_obs)
        warn_of_glass(table)
        use_rep = use_rep or _embedding_of(table, cluster_key)
        rep, domains = read_features(table, use_rep), read_domains(table, cluster_key)
        asked = read_root(root, table.obs_names, domains, cluster_key)
        near = ensure_graph(part) if spatial_weight > 0 and table.n_obs <= max_cells else None
        time, found = _run(part.record, near, rep, domains, asked, choices)
        params = {"root": root, "use_rep": use_rep, **domain_params(table, cluster_key), **choices._asdict(), **keys}
        found |= {"params": plain({**params, "shape": list(table.shape)}), "versions": versions()}
        part.write(obs={_keys.pseudotime_key(key_added): time}, uns={key_added: {_keys.PSEUDOTIME: found}})
    return work.result


def _embedding_of(table: AnnData, cluster_key: str) -> str:
    """Key of the embedding that bears the name of the domains, else of the default one."""
    own = _keys.embedding_key(str(cluster_key).removesuffix(_keys.domain_key("")))
    return own if own in table.obsm else _keys.embedding_key()


def _run(
    record: SpatialRecord,
    spatial: sparse.csr_matrix | None,
    rep: np.ndarray,
    domains: pd.Series,
    asked: Root,
    choices: _Choices,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Pseudotime of every cell, and the entry for ``uns``."""
    n_obs, k = len(rep), choices.n_neighbors
    rows, few = np.arange(n_obs), n_obs <= choices.max_cells
    if not few:
        strata = pd.factorize(pd.MultiIndex.from_arrays([record.section, domains.cat.codes]))[0]
        rows = choose_landmarks(
            strata, choices.max_cells, at_least=2 * k, always=asked.cell, random_state=choices.random_state
        )
        logger.info("%d landmarks stand for %d cells", len(rows), n_obs)
        if choices.spatial_weight > 0:
            spatial = landmark_graph(record.xy[rows], record.section[rows])
    neighbors = nearest_in_expression(rep[rows], k)
    graph = mixed_graph(neighbors, rep[rows], spatial, choices.spatial_weight)
    parts = find_parts(graph, k)
    names = domains.astype(object).where(domains.notna(), None).to_numpy()
    near, distance = rows[:, None], np.zeros((n_obs, 1))
    if not few:
        near, distance = nearest_landmarks(rep, rows, k, random_state=choices.random_state)
    all_parts = parts[near[:, 0]]
    _refuse_parts(all_parts, names, record, choices)
    home = root_part(asked, all_parts, names)
    if asked.cell is not None:
        asked = asked._replace(cell=int(np.searchsorted(rows, asked.cell)))
    time, roots = _part_times(graph, parts, names[rows], asked, home, choices)
    found: dict[str, Any] = {
        "roots": np.array([record.table.obs_names[rows[cell]] for cell in roots], dtype=str),
        "root_domains": np.array([names[rows[cell]] or "" for cell in roots], dtype=str),
        "part_sizes": np.bincount(all_parts[all_parts != STRAY]),
        "n_landmarks": 0 if few else len(rows),
        "paga": domain_graph(neighbors, domains.iloc[rows]),
    }
    starts = [
        f"{cell!r}" + (f" of domain {domain!r}" if domain else "")
        for cell, domain in zip(found["roots"].tolist(), found["root_domains"].tolist(), strict=True)
    ]
    logger.info("pseudotime starts from %s", ", ".join(starts))
    if not few:
        exact, time = time, carry_over(time, parts, near, distance)
        time[rows] = exact
    warn_of_sections(time, record.section, record.section_names)
    return time, found


def _part_times(
    graph: sparse.csr_matrix, parts: np.ndarray, domains: np.ndarray, asked: Root, home: int, choices: _Choices
) -> tuple[np.ndarray, list[int]]:
    """Pseudotime, and the root of each part that has one."""
    time, roots = np.full(len(parts), np.nan), []
    for part in [home] if choices.on_disconnected == "missing" else range(parts.max() + 1):
        members = np.flatnonzero(parts == part)
        diffusion = diffusion_map(graph[members][:, members], choices.n_neighbors, choices.n_dcs, choices.random_state)
        leading, domain_of = diffusion.vectors[:, 0], domains[members]
        if asked.cell is not None and part == home:
            cell = int(np.searchsorted(members, asked.cell))
        else:
            given = asked.domain is not None and (domain_of == asked.domain).any()
            cell = root_cell(
                leading, domain_of, asked.domain if given else root_domain(leading, domain_of, choices.n_neighbors)
            )
        if part == home:
            warn_of_middle(leading, domain_of, cell)
        time[members] = diffusion_time(diffusion, cell)
        if part == home:
            warn_of_crowd(time[members])
        roots.append(int(members[cell]))
    return time, roots


def _refuse_parts(parts: np.ndarray, domains: np.ndarray, record: SpatialRecord, choices: _Choices) -> None:
    """Refuse a graph of several parts, or warn of what is in which."""
    stray = parts == STRAY
    if stray.any():
        logger.warning(
            "%s no pseudotime, in parts of less than n_neighbors=%d that no path joins to the others: %s...",
            counted(int(stray.sum()), "cell gets", "cells get"),
            choices.n_neighbors,
            ", ".join(map(repr, record.table.obs_names[stray][:3])),
        )
    count = parts.max() + 1
    if count == 1:
        return
    sections = np.array(record.section_names, dtype=object)[record.section]
    described = describe_parts(parts, domains, sections)
    what = f"the graph of neighbours falls into {count} parts that no path joins: {described}"
    if choices.on_disconnected == "error":
        raise ValueError(
            f"{what}. Increase n_neighbors or spatial_weight, or pass on_disconnected='separate' for a root and a "
            "scale in each part, or 'missing' for NaN in all but the root's"
        )
    logger.warning("%s", what)


def _check(choices: _Choices, n_obs: int) -> None:
    check_whole(4, n_neighbors=choices.n_neighbors, max_cells=choices.max_cells)
    check_whole(2, n_dcs=choices.n_dcs)
    if choices.n_neighbors >= min(n_obs, choices.max_cells):
        raise ValueError(
            f"n_neighbors={choices.n_neighbors} must be less than the number of cells, {n_obs}, and than "
            f"max_cells={choices.max_cells}"
        )
    if not (is_number(choices.spatial_weight) and 0 <= choices.spatial_weight < 1):
        raise ValueError(f"spatial_weight must be at least 0 and below 1, not {choices.spatial_weight!r}")
    if choices.on_disconnected not in get_args(OnDisconnected):
        choosable = ", ".join(map(repr, get_args(OnDisconnected)))
        raise ValueError(f"on_disconnected must be one of {choosable}, not {choices.on_disconnected!r}")
