"""Lattices that are half empty, given as places in an array, or shared by several cells; distances in one unit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from multist.pp import spatial_graph


def edges(adata):
    """Pairs of joined spots and how far they are apart."""
    graph = adata.obsp["spatial_distances"].tocoo()
    return set(zip(graph.row.tolist(), graph.col.tolist(), strict=True)), graph.data


def within(xy, reach):
    tree = cKDTree(xy)
    pairs = tree.query_pairs(reach)
    return pairs | {(j, i) for i, j in pairs}


@pytest.mark.parametrize(("degrees", "share"), [(0, 0.3), (30, 0.5), (45, 0.65)])
@pytest.mark.parametrize("lattice", ["hexagons", "squares"])
def test_no_edge_runs_over_a_hole(lattice, degrees, share, toy):
    xy = getattr(toy, lattice)(40, 40)
    xy = xy[np.random.default_rng(int(100 * share)).random(len(xy)) > share]
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    adata = toy.table(xy @ np.array([[c, s], [-s, c]]))
    spatial_graph(adata)
    assert adata.uns["spatial_neighbors"]["params"]["coord_type"] == "grid"
    assert edges(adata)[0] == within(xy, 110)


@pytest.mark.parametrize(
    ("lattice", "wanted", "reach"),
    [
        ("squares", 8, 150),
        ("squares", 12, 210),
        ("hexagons", 12, 180),
        ("hexagons", 7, 180),
        ("hexagons", 18, 210),
    ],
)
def test_whole_rings(lattice, wanted, reach, toy):
    xy = getattr(toy, lattice)()
    xy = xy[np.random.default_rng(0).random(len(xy)) > 0.4]
    adata = toy.table(xy)
    spatial_graph(adata, n_neighbors=wanted)
    assert edges(adata)[0] == within(xy, reach)


def array_places(rows, columns):
    """Columns and rows of Visium's array, and the centres of the spots in pixels."""
    row, col = np.mgrid[:rows, :columns]
    taken = (row + col) % 2 == 0
    place = np.column_stack([col[taken], row[taken]])
    return place, place * [50, 50 * np.sqrt(3)]


@pytest.mark.parametrize(("kind", "order", "holes"), [(int, [0, 1], 0), (float, [1, 0], 0.3), (np.int16, [0, 1], 0.3)])
def test_columns_and_rows_of_visiums_array_are_a_hexagonal_lattice(order, kind, holes, caplog, toy):
    place, pixels = array_places(16, 30)
    kept = np.random.default_rng(0).random(len(place)) >= holes
    adata = toy.table(place[kept][:, order].astype(kind))
    spatial_graph(adata)
    assert edges(adata)[0] == within(pixels[kept], 120)
    assert "columns and rows of a hexagonal array" in caplog.text
    np.testing.assert_allclose(edges(adata)[1], 100)  # um, as the pitch is Visium's
    assert adata.uns["spatial_neighbors"]["params"]["unit"] == "um"
    np.testing.assert_array_equal(adata.obsm["spatial"], place[kept][:, order])


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_column_of_obs_says_which_axis_holds_the_columns(order, toy):
    place, pixels = array_places(40, 20)  # a piece of tissue that is higher than wide
    adata = toy.table(place[:, order].astype(float), array_col=place[:, 0], array_row=place[:, 1])
    spatial_graph(adata)
    assert edges(adata)[0] == within(pixels, 120)


@pytest.mark.parametrize(
    ("rows", "columns", "pitch", "kind"), [(20, 25, 1, float), (20, 25, 2, float), (9, 20, 1, int)]
)
def test_a_square_lattice_of_whole_numbers_stays_one(rows, columns, pitch, kind, toy):
    adata = toy.table(toy.squares(rows, columns, pitch).astype(kind))
    spatial_graph(adata)
    assert adata.uns["spatial_neighbors"]["params"]["n_neighbors"] == 4


def test_cells_that_share_places_of_a_lattice_are_joined_along_it(toy):
    xy = np.repeat(toy.squares(8, 8), 10, axis=0)
    adata = toy.table(xy)
    spatial_graph(adata)
    assert adata.uns["spatial_neighbors"]["params"]["coord_type"] == "grid"
    graph = adata.obsp["spatial_connectivities"]
    assert graph.getnnz(axis=1).max() == 9 + 4 * 10
    assert graph[0, 10] == graph[0, 1] == 1


def visium(toy, xy, pitch=100.0, spot=0.65, **factors):
    adata = toy.table(xy)
    adata.uns["spatial"] = {"s": {"images": {}, "scalefactors": {"spot_diameter_fullres": spot * pitch, **factors}}}
    return adata


@pytest.mark.parametrize("pitch", [50.0, 273.0])
def test_distances_between_visiums_spots_are_micrometres(pitch, toy):
    adata = visium(toy, toy.hexagons(pitch=pitch), pitch)
    spatial_graph(adata)
    np.testing.assert_allclose(edges(adata)[1], 100)
    assert adata.uns["spatial_neighbors"]["params"]["unit"] == "um"


def test_a_stated_scale_counts_for_more_and_an_unknown_one_is_not_guessed(toy):
    adata = visium(toy, toy.hexagons(), microns_per_pixel=0.5)
    spatial_graph(adata)
    np.testing.assert_allclose(edges(adata)[1], 50)
    adata = visium(toy, toy.hexagons(), spot=0.95)  # no spots of Visium
    spatial_graph(adata)
    np.testing.assert_allclose(edges(adata)[1], 100)
    assert adata.uns["spatial_neighbors"]["params"]["unit"] == "coordinates"
    spatial_graph(adata, microns_per_pixel=2.0)
    np.testing.assert_allclose(edges(adata)[1], 200)
    assert adata.uns["spatial_neighbors"]["params"]["unit"] == "um"
    with pytest.raises(ValueError, match="microns_per_pixel must be positive, not -1"):
        spatial_graph(adata, microns_per_pixel=-1)


def test_distances_across_aligned_sections_are_in_the_unit_of_those_within(toy):
    xy = toy.hexagons()
    adata = toy.table(np.concatenate([xy, xy + 9000]), section=["a"] * 500 + ["b"] * 500)
    adata.obsm["aligned"] = np.concatenate([xy, xy + [20, 0]]) / 100  # in steps of the lattice
    spatial_graph(adata, library_key="section", aligned_key="aligned")
    np.testing.assert_allclose(adata.obsp["spatial_distances"][:500, 500:].diagonal(), 20)
    np.testing.assert_allclose(adata.obsp["spatial_distances"][:500, :500].data, 100)
