"""Sections that touch in z, where their coordinates have been aligned."""

from __future__ import annotations

import numpy as np
import pytest

from multist.pp import spatial_graph


def stacked(toy, shift=(0.0, 0.0)):
    """Two sections of one lattice, the second moved on the slide, and where it belongs."""
    xy = toy.hexagons(10, 10)
    adata = toy.table(np.concatenate([xy, xy + [5000, 300]]), section=["a"] * 100 + ["b"] * 100)
    adata.obsm["aligned"] = np.concatenate([xy, xy + np.asarray(shift)])
    return adata


def test_aligned_sections_touch_at_the_nearest_spots(toy):
    adata = stacked(toy, shift=(20.0, 0.0))
    spatial_graph(adata, library_key="section", aligned_key="aligned")
    graph = adata.obsp["spatial_connectivities"]
    across = graph[:100, 100:].toarray()
    np.testing.assert_array_equal(across, np.eye(100))
    alone = spatial_graph(stacked(toy), library_key="section", copy=True).obsp["spatial_connectivities"]
    assert (graph[:100, :100] != alone[:100, :100]).nnz == 0
    distances = adata.obsp["spatial_distances"]
    np.testing.assert_allclose(distances[:100, 100:].diagonal(), 20.0)
    assert (distances > 0).nnz == graph.nnz
    assert adata.uns["spatial_neighbors"]["params"]["aligned_key"] == "aligned"


def test_where_the_other_section_has_no_tissue_nothing_touches(toy):
    adata = stacked(toy, shift=(500.0, 0.0))  # five columns of ten overlap
    spatial_graph(adata, library_key="section", aligned_key="aligned")
    touching = np.asarray(adata.obsp["spatial_connectivities"][:100, 100:].sum(axis=1)).ravel() > 0
    x = adata.obsm["aligned"][:100, 0]
    assert touching[x >= 500].all() and not touching[x < 390].any()


def test_only_neighbouring_sections_touch(toy):
    xy = toy.hexagons(6, 6)
    adata = toy.table(np.tile(xy, (3, 1)), section=np.repeat(["a", "b", "c"], 36))
    adata.obsm["aligned"] = adata.obsm["spatial"]
    spatial_graph(adata, library_key="section", aligned_key="aligned")
    graph = adata.obsp["spatial_connectivities"]
    assert graph[:36, 36:72].nnz == graph[36:72, 72:].nnz == 36 and graph[:36, 72:].nnz == 0
    assert (adata.obsp["spatial_distances"] > 0).nnz == graph.nnz  # although the spots lie on each other


def test_every_spot_of_a_denser_section_is_joined(toy):
    dense, sparse = toy.hexagons(10, 10), toy.hexagons(5, 5, pitch=200.0)
    adata = toy.table(np.concatenate([sparse, dense]), section=["a"] * 25 + ["b"] * 100)
    adata.obsm["aligned"] = adata.obsm["spatial"]
    spatial_graph(adata, library_key="section", aligned_key="aligned")
    across = adata.obsp["spatial_connectivities"][25:, :25]
    assert (
        across.getnnz(axis=1) >= 1
    ).sum() > 60  # those a step from a spot of the other; 25 would be the nearest of it
    assert (across.getnnz(axis=1) <= 4).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"aligned_key": "there"}, KeyError, "aligned_key 'there' not found in obsm; found: 'spatial', 'aligned'"),
        ({"library_key": None}, ValueError, "there is one: name the sections by library_key"),
        ({"aligned_key": "flat"}, ValueError, r"obsm\['flat'\] has shape"),
    ],
)
def test_an_alignment_that_does_not_fit_is_refused(change, error, message, toy):
    adata = stacked(toy)
    if change.get("aligned_key") == "flat":
        adata.obsm["flat"] = adata.obsm["aligned"][:, :1]
    with pytest.raises(error, match=message):
        spatial_graph(adata, **{"library_key": "section", "aligned_key": "aligned"} | change)
    assert not len(adata.obsp)
