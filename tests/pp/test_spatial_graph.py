"""Neighbours on lattices and among cells, within sections, in a form that squidpy takes."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy.spatial import cKDTree
from spatialdata import SpatialData

from multist.pp import spatial_graph


def rotated(xy, degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return xy @ np.array([[c, -s], [s, c]]).T


def cells(n=500, seed=0):
    return np.random.default_rng(seed).uniform(0, 1000, (n, 2))


@pytest.mark.slow
def test_sections_over_one_another_are_warned_of_whatever_else_there_is(caplog, toy):
    rng = np.random.default_rng(2)  # by which spots have more neighbours of another phase than of another sample
    xy, at_random = rng.random((400, 2)) * 100, rng.choice(["G1", "S", "G2"], 400)
    gaps = np.where(rng.random(400) < 0.5, None, rng.choice(["x", "y"], 400))
    adata = toy.table(xy, sample=np.repeat(["A", "B"], 200), clone=gaps, phase=at_random)
    spatial_graph(adata)
    assert "give library_key='sample'" in caplog.text


def test_pieces_side_by_side_and_names_with_gaps_are_no_sections_over_one_another(caplog, toy):
    y, x = np.mgrid[:12, :12].reshape(2, -1)
    adata = toy.table(np.c_[x, y] * 10.0, sample=np.where(x < 6, "l", "r"), batch=np.where(x % 2, "odd", None))
    spatial_graph(adata)
    assert "library_key" not in caplog.text


def graph_of(adata):
    graph = adata.obsp["spatial_connectivities"]
    assert (graph != graph.T).nnz == 0
    assert graph.diagonal().sum() == 0
    assert set(graph.data) <= {1.0}
    distances = adata.obsp["spatial_distances"]
    assert (distances != distances.T).nnz == 0
    return graph


def neighbours_within(xy, reach):
    tree = cKDTree(xy)
    return tree.sparse_distance_matrix(tree, reach, output_type="coo_matrix").tocsr() > 0


@pytest.mark.parametrize("jitter", [0, 1.5])
@pytest.mark.parametrize(("lattice", "n_neighbors"), [("hexagons", 6), ("squares", 4)])
def test_a_turned_lattice_is_recognised_and_gives_its_first_ring(lattice, n_neighbors, jitter, toy):
    xy = rotated(getattr(toy, lattice)(), 17)
    clean = neighbours_within(xy, 120)
    adata = toy.table(xy + np.random.default_rng(0).normal(0, 1, xy.shape) * jitter)
    spatial_graph(adata)
    params = adata.uns["spatial_neighbors"]["params"]
    assert params["coord_type"] == "grid"
    assert params["n_neighbors"] == n_neighbors
    assert (graph_of(adata) != clean).nnz == 0


@pytest.mark.parametrize("n_neighbors", [None, 5])
def test_cells_have_their_nearest_neighbours_both_ways(n_neighbors, toy):
    xy = cells()
    adata = toy.table(xy)
    spatial_graph(adata, n_neighbors=n_neighbors)
    k = n_neighbors or 8
    graph = graph_of(adata)
    distance, nearest = cKDTree(xy).query(xy, k + 1)
    expected = np.zeros((500, 500))
    expected[np.repeat(np.arange(500), k), nearest[:, 1:].ravel()] = 1
    np.testing.assert_array_equal(graph.toarray(), np.maximum(expected, expected.T))
    assert adata.uns["spatial_neighbors"]["params"]["coord_type"] == "generic"
    assert adata.obsp["spatial_distances"][0, nearest[0, 1]] == pytest.approx(distance[0, 1])


def test_coord_type_can_be_forced(toy):
    adata = toy.table(toy.hexagons())
    spatial_graph(adata, coord_type="generic", n_neighbors=10)
    assert graph_of(adata).getnnz(axis=1).min() >= 10
    adata = toy.table(toy.squares())
    spatial_graph(adata, coord_type="grid")
    assert graph_of(adata).getnnz(axis=1).max() == 4


def test_delaunay_without_long_edges(toy):
    xy = np.vstack([cells(), [[5000, 5000]]])
    adata = toy.table(xy)
    spatial_graph(adata, delaunay=True)
    graph = graph_of(adata)
    assert graph[-1].nnz == 0
    assert 4 < graph[:-1].getnnz(axis=1).mean() < 6.5
    assert adata.obsp["spatial_distances"].max() < 500


@pytest.mark.parametrize("kind", ["lattice", "cells"])
def test_no_edges_between_sections(kind, toy):
    xy = toy.hexagons() if kind == "lattice" else cells()
    n = len(xy)
    everything = np.vstack([xy, xy + 0.3, [[1.0, 1.0]]])
    section = np.array(["a"] * n + ["b"] * n + ["lonely"])
    order = np.random.default_rng(0).permutation(len(section))
    adata = toy.table(everything[order], library=section[order])
    spatial_graph(adata, library_key="library")
    graph = graph_of(adata).tocoo()
    code = adata.obs["library"].to_numpy()
    assert (code[graph.row] == code[graph.col]).all()
    assert graph_of(adata)[np.flatnonzero(code == "lonely")].nnz == 0
    alone = toy.table(xy)
    spatial_graph(alone)
    rows = np.argsort(order)[:n]
    assert (graph_of(adata)[rows][:, rows] != graph_of(alone)).nnz == 0


@pytest.mark.parametrize("n_obs", [1, 2, 3, 5])
@pytest.mark.parametrize("visium", [True, False])
def test_small_tables(n_obs, visium, toy):
    adata = toy.table(toy.hexagons()[:n_obs])
    if visium:
        adata.uns["spatial"] = {}
    spatial_graph(adata)
    degrees = graph_of(adata).getnnz(axis=1)
    assert (degrees == 0).all() if n_obs == 1 else (degrees > 0).all()


def test_some_spots_at_one_place_do_not_break_it(toy):
    xy = np.random.default_rng(0).uniform(0, 100, (40, 2))
    xy[:20] = 1
    adata = toy.table(xy)
    spatial_graph(adata)
    assert graph_of(adata).getnnz(axis=1).min() >= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "coord_type", "degree"),
    [("dlpfc/151673", "grid", 5.8), ("her2st/A1", "grid", 3.73), ("starmap_by3", "generic", 9.2)],
)
def test_real_sections(real_data, section, coord_type, degree):
    adata = ad.read_h5ad(real_data / f"{section}.h5ad")
    spatial_graph(adata)
    assert adata.uns["spatial_neighbors"]["params"]["coord_type"] == coord_type
    assert graph_of(adata).getnnz(axis=1).mean() == pytest.approx(degree, abs=0.1)


def test_same_graph_as_squidpy_where_squidpy_knows_the_lattice(toy):
    import squidpy as sq

    adata = toy.table(toy.hexagons())
    spatial_graph(adata)
    theirs = sq.gr.spatial_neighbors_grid(adata, n_neighs=6, copy=True)
    assert (theirs.connectivities != graph_of(adata)).nnz == 0


@pytest.mark.slow
def test_squidpy_goes_on_with_a_spatialdata(tissue, tmp_path):
    import squidpy as sq

    adata, spots = tissue["table"], tissue["spots"].get_coordinates()
    xy = spots.loc[adata.obs["spot_id"]].to_numpy()  # the rows of the table have an order of their own
    del adata.obsm["spatial"]
    assert spatial_graph(tissue) is None
    np.testing.assert_allclose(adata.obsm["spatial"], xy)
    assert (graph_of(adata) != neighbours_within(xy, 120)).nnz == 0
    sq.gr.nhood_enrichment(adata, cluster_key="domain", n_perms=10, show_progress_bar=False)
    assert "domain_nhood_enrichment" in adata.uns
    tissue.write(tmp_path / "s.zarr")
    back = SpatialData.read(tmp_path / "s.zarr")["table"]
    assert (back.obsp["spatial_connectivities"] != adata.obsp["spatial_connectivities"]).nnz == 0
    assert back.uns["spatial_neighbors"]["connectivities_key"] == "spatial_connectivities"


def test_h5ad_round_trip_with_several_kinds_of_sections(tmp_path, toy):
    xy = np.vstack([toy.hexagons(), cells()])
    adata = toy.table(xy, library=["a"] * 500 + ["b"] * 500)
    spatial_graph(adata, library_key="library", key_added="near")
    assert list(adata.uns["near_neighbors"]["params"]["coord_type"]) == ["grid", "generic"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert (back.obsp["near_distances"] != adata.obsp["near_distances"]).nnz == 0


def test_copy_leaves_the_input(toy):
    adata = toy.table(cells())
    copied = spatial_graph(adata, copy=True)
    assert not adata.obsp
    assert not adata.uns
    assert graph_of(copied).nnz


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_neighbors": 2.5}, "n_neighbors must be a whole number of at least 1; got 2.5"),
        ({"n_neighbors": True}, "n_neighbors must be a whole number of at least 1; got True"),
        ({"delaunay": True, "n_neighbors": 4}, "leave out n_neighbors"),
        ({"delaunay": True, "coord_type": "grid"}, "leave out n_neighbors and coord_type"),
        ({"key_added": "my graph"}, "cannot be stored in a SpatialData"),
    ],
)
def test_bad_arguments(arguments, message, toy):
    adata = toy.table(cells())
    with pytest.raises(ValueError, match=message):
        spatial_graph(adata, **arguments)
    assert not adata.obsp


def test_points_on_a_line_cannot_be_triangulated(toy):
    adata = toy.table(np.column_stack([np.arange(10.0), np.zeros(10)]))
    with pytest.raises(ValueError, match=r"section 'section' \(10 spots\) cannot be triangulated; use delaunay=False"):
        spatial_graph(adata, delaunay=True)
