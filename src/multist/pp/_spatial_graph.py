"""Which spots are neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from multist import _keys
from multist._described import described
from multist._settings import logger
from multist._spacing import Lattice, find_lattice, lattice_pairs, spacing
from multist._words import counted
from multist.access import (
    Fields,
    SpatialRecord,
    check_whole,
    not_found,
    read_coordinates,
    run,
)
from multist.pp._aligned_edges import across_sections

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

N_NEIGHBORS_CELLS = 8
"""Neighbours of a cell where the user asks for no number."""

LONG_EDGES_PERCENTILE = 99.0
"""Delaunay edges longer than this percentile of all edges of their section are cut."""

_SECTION_COLUMNS = ("batch", "library_id", "sample", "sample_id", "section", "section_id", "slide", "slide_id")
_MOST_OVERLAID = 50  # sections that a column is taken to name
_MIN_MIXED = 0.8  # share of neighbours in another section, of what there would be by chance
_MANY_PLACES = 0.75  # places for each spot, below which many spots share theirs
_FEW_SPOTS = 8  # with less a lattice cannot be seen


@described
def spatial_graph(
    data: AnnData | SpatialData,
    *,
    n_neighbors: int | None = None,
    coord_type: Literal["auto", "grid", "generic"] = "auto",
    delaunay: bool = False,
    library_key: str | None = None,
    aligned_key: str | None = None,
    microns_per_pixel: float | None = None,
    table_key: str | None = None,
    key_added: str = _keys.SPATIAL,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Connect neighbouring spots or cells.

    Spots on a lattice (Visium, Visium HD, the older arrays) are connected to the spots around them, cells to the
    nearest ones by squidpy's builders. The graph is symmetric, and has no edges between sections unless they are
    aligned. Spots with no other within reach stay without edges.

    Parameters
    ----------
    data
        AnnData with ``obsm["spatial"]``, or SpatialData with a table that annotates shapes, labels or points, whose
        centres are taken in the coordinate system ``"global"``, or in the first that they have.
    n_neighbors
        Spots on a lattice: those in as many whole rings as have this number, 6 on a hexagonal lattice and 4 on a square
        one if left out (8 takes in the diagonals); places without a spot are not filled by spots farther away. Cells:
        nearest neighbours, 8 if left out; as the graph is made symmetric, a cell may get more.
    coord_type
        ``"grid"``: a lattice. ``"generic"``: cells. ``"auto"`` looks at each section: on a lattice, at least half of
        the spots have their nearest neighbour at one and the same distance, in few directions. Columns and rows of
        Visium's array are taken to the places of its spots first. A section of less than 8 spots counts as a
        lattice if ``uns["spatial"]`` is there.
    delaunay
        Connect cells by Delaunay triangulation instead, without the longest 1 % of its edges.
    aligned_key
        ``obsm`` key of coordinates (x, y) in which the sections have been aligned, by `PASTE`, `moscot` or by hand:
        each spot is then joined to the nearest one of the section before and after its own, in the order in which the
        sections appear in the table, where that is no farther than the next spot of its own. Left out, sections do not
        touch.
    key_added
        Prefix of the written keys.

    Returns
    -------
    None, or with ``copy=True`` the copy. Written to the table:

    ``obsp[f"{key_added}_connectivities"]``
        (n_obs, n_obs) float32 CSR of ones.
    ``obsp[f"{key_added}_distances"]``
        (n_obs, n_obs) float64 CSR: distances, in micrometres where the scale of every section is known, else in the
        unit of the coordinates.
    ``uns[f"{key_added}_neighbors"]``
        The keys above and the parameters, as squidpy writes them; ``"unit"`` among them is ``"um"`` or
        ``"coordinates"``.
    ``obsm["spatial"]``
        (n_obs, 2) the coordinates, where a SpatialData's table lacked them: squidpy looks for them there.

    Raises
    ------
    KeyError
        There are no coordinates, or a key does not exist.
    ValueError
        Coordinates are not finite, a number is out of range, there is one section to align, an option does not fit the
        others, or a section cannot be triangulated.

    Examples
    --------
    >>> mt.pp.spatial_graph(adata)
    >>> adata.obsp["spatial_connectivities"].shape == (adata.n_obs, adata.n_obs)
    True
    >>> mt.pp.spatial_graph(adata, delaunay=True)
    """
    if coord_type not in ("auto", "grid", "generic"):
        raise ValueError(f"coord_type must be 'auto', 'grid' or 'generic', not {coord_type!r}")
    if n_neighbors is not None:
        check_whole(n_neighbors=n_neighbors)
    if delaunay and (coord_type == "grid" or n_neighbors is not None):
        raise ValueError(
            "delaunay=True has no number of neighbours and no lattice: leave out n_neighbors and coord_type"
        )
    with run(data, "spatial_graph", copy=copy, table_key=table_key, library_key=library_key, image=False) as work:
        options: dict[str, Any] = {"n_neighbors": n_neighbors, "coord_type": coord_type, "delaunay": delaunay}
        record = work.part.record.with_scale(microns_per_pixel)
        work.part.write(**join_neighbors(record, aligned_key=aligned_key, key_added=key_added, **options))
    return work.result


def join_neighbors(
    record: SpatialRecord,
    *,
    n_neighbors: int | None = None,
    coord_type: Literal["auto", "grid", "generic"] = "auto",
    delaunay: bool = False,
    aligned_key: str | None = None,
    key_added: str = _keys.SPATIAL,
) -> Fields:
    """The stage of :func:`spatial_graph`: its fields, for spots in the units of their own coordinates."""
    places, unit = record.in_microns()
    visium = _keys.SPATIAL in record.table.uns
    adjacency, distances, params = [], [], []
    rows = [np.flatnonzero(record.section == code) for code in range(len(record.section_names))]
    for name, members in zip(record.section_names, rows, strict=True):
        xy = places[members]
        lattice = None
        if not delaunay and coord_type != "generic":
            lattice = _lattice(xy, visium=visium, forced=coord_type == "grid")
        graph = _section_graph(xy, lattice, n_neighbors, name, delaunay=delaunay)
        adjacency.append(graph[0])
        distances.append(graph[1])
        params.append(graph[2])
    obsm = {} if _keys.SPATIAL in record.table.obsm else {_keys.SPATIAL: record.xy}
    keys = {"connectivities_key": f"{key_added}_connectivities", "distances_key": f"{key_added}_distances"}
    connectivities, apart = _assemble(adjacency, rows).astype(np.float32), _assemble(distances, rows)
    summary = _summary(params) | {"unit": unit}
    if aligned_key is not None:
        across = across_sections(_aligned(record, aligned_key), places, record.section)
        connectivities, apart = connectivities + (across > 0).astype(np.float32), apart + across
        summary = summary | {"aligned_key": aligned_key}
    if len(rows) == 1:
        _warn_of_overlaid(record.table, places, connectivities)
    alone = int((connectivities.getnnz(axis=1) == 0).sum())
    edges, lonely = counted(connectivities.nnz // 2, "edge"), counted(alone, "spot")
    how = " or ".join(dict.fromkeys(map(_described, params)))
    logger.info("spatial graph: %s, %s, %s without a neighbour", how, edges, lonely)
    return {
        "obsm": obsm,
        "obsp": {keys["connectivities_key"]: connectivities, keys["distances_key"]: apart},
        "uns": {f"{key_added}_neighbors": {**keys, "params": summary}},
    }


def _warn_of_overlaid(table: AnnData, xy: np.ndarray, connectivities: sparse.csr_matrix) -> None:
    """Warn of sections that nobody named, and that lie over one another: neighbours are of another as of their own."""
    edges = connectivities.tocoo()
    mixed: dict[Any, float] = {}
    for name, column in table.obs.items():
        may_name = isinstance(column.dtype, pd.CategoricalDtype) or name in _SECTION_COLUMNS
        if not (may_name and edges.nnz) or column.isna().any():  # sections have names everywhere
            continue
        codes = pd.factorize(column)[0]
        sizes = np.bincount(codes)
        if not 2 <= len(sizes) <= _MOST_OVERLAID:
            continue
        by_chance = 1 - float(((sizes / sizes.sum()) ** 2).sum())
        share = float(np.mean(codes[edges.row] != codes[edges.col])) / by_chance
        if share >= _MIN_MIXED and (
            name in _SECTION_COLUMNS or _coincides(xy) or _on_lattices(xy, codes == sizes.argmax())
        ):
            mixed[name] = share
    if mixed:
        name = max(mixed, key=lambda name: mixed[name])
        logger.warning(
            "obs[%r] has %d values whose spots lie over one another, as sections do that share coordinates: if they "
            "are sections, give library_key=%r",
            name,
            table.obs[name].nunique(),
            name,
        )


def _coincides(xy: np.ndarray) -> bool:
    """Whether many spots share their places with others."""
    return len(np.unique(xy, axis=0)) < _MANY_PLACES * len(xy)


def _on_lattices(xy: np.ndarray, group: np.ndarray) -> bool:
    """Whether a group of spots lies on a lattice, and all of them do not."""
    return find_lattice(xy) is None and find_lattice(xy[group]) is not None


def _aligned(record: SpatialRecord, key: str) -> np.ndarray:
    """(n_obs, 2) coordinates that the sections share."""
    obsm = record.table.obsm
    if key not in obsm:
        raise not_found(key, "obsm", obsm, argument="aligned_key")
    if len(record.section_names) < 2:
        raise ValueError("aligned_key joins sections, but there is one: name the sections by library_key")
    return read_coordinates(record.table, key)


def _lattice(xy: np.ndarray, *, visium: bool, forced: bool) -> Lattice | None:
    """The lattice of a section; where it must be one and none is seen, a hexagonal one."""
    lattice = find_lattice(xy)
    if lattice is not None or not (forced or (visium and len(xy) < _FEW_SPOTS)) or len(xy) < 2:
        return lattice
    pitch = spacing(xy)
    return Lattice("hexagonal", pitch, np.nan) if np.isfinite(pitch) else None


def _section_graph(
    xy: np.ndarray, lattice: Lattice | None, n_neighbors: int | None, name: str, *, delaunay: bool
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, dict[str, Any]]:
    """Symmetric connectivities and distances of one section, and how they were made."""
    kind = "generic" if lattice is None else "grid"
    wanted = n_neighbors or (N_NEIGHBORS_CELLS if lattice is None else lattice.n_neighbors)
    params: dict[str, Any] = {"coord_type": kind, "delaunay": delaunay}
    params |= {"percentile": LONG_EDGES_PERCENTILE} if delaunay else {"n_neighbors": int(wanted)}
    n_obs = len(xy)
    if n_obs == 1:
        return sparse.csr_matrix((1, 1)), sparse.csr_matrix((1, 1)), params
    if lattice is not None:
        return *_joined(xy, lattice_pairs(xy, lattice, wanted)), params
    from scipy.spatial import QhullError
    from squidpy.gr.neighbors import DelaunayBuilder, KNNBuilder

    if delaunay:
        builder = DelaunayBuilder(percentile=LONG_EDGES_PERCENTILE)
    else:
        builder = KNNBuilder(n_neighs=min(wanted, n_obs - 1))
    try:
        adjacency, distance = builder.build(xy)
    except QhullError as error:
        raise ValueError(f"section {name!r} ({n_obs} spots) cannot be triangulated; use delaunay=False") from error
    return adjacency.maximum(adjacency.T), distance.maximum(distance.T), params


def _joined(xy: np.ndarray, pairs: np.ndarray) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Connectivities and distances of pairs (m, 2) of rows, both ways."""
    start, end = np.concatenate([pairs, pairs[:, ::-1]]).T
    apart = np.linalg.norm(xy[start] - xy[end], axis=1)
    shape = (len(xy), len(xy))
    return (
        sparse.csr_matrix((np.ones(len(start), dtype=np.float32), (start, end)), shape=shape),
        sparse.csr_matrix((apart, (start, end)), shape=shape),
    )


def _assemble(blocks: list[sparse.csr_matrix], rows: list[np.ndarray]) -> sparse.csr_matrix:
    """Blocks of sections as one matrix in the order of the table."""
    order = np.argsort(np.concatenate(rows))
    result = sparse.block_diag(blocks, format="csr")[order][:, order]
    result.sort_indices()
    return sparse.csr_matrix(result)


def _described(params: dict[str, Any]) -> str:
    """How the neighbours of a section were sought, in words."""
    if params["delaunay"]:
        return "a Delaunay triangulation"
    lattice = params["coord_type"] == "grid"
    return f"{params['n_neighbors']} neighbours on a lattice" if lattice else f"{params['n_neighbors']} nearest"


def _summary(params: list[dict[str, Any]]) -> dict[str, Any]:
    """Parameters of all sections: one value where they agree, otherwise one per section."""
    if all(each == params[0] for each in params):
        return params[0]
    return {key: np.array([str(each.get(key, "")) for each in params]) for key in params[0]}
