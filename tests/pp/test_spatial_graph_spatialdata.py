"""The graph of a SpatialData, in a form that squidpy takes."""

from __future__ import annotations

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree
from shapely import Point
from spatialdata import SpatialData
from spatialdata.models import ShapesModel, TableModel
from spatialdata.transformations import Identity

from multist.pp import spatial_graph


def hexagons(rows=20, columns=25, pitch=100.0):
    y, x = np.mgrid[:rows, :columns].astype(float)
    return np.column_stack([((x + (y % 2) / 2) * pitch).ravel(), (y * pitch * np.sqrt(3) / 2).ravel()])


def spots_sdata(xy, seed=0):
    order = np.random.default_rng(seed).permutation(len(xy))
    spots = ShapesModel.parse(
        gpd.GeoDataFrame({"radius": np.full(len(xy), 30.0)}, geometry=[Point(*p) for p in xy]),
        transformations={"global": Identity()},
    )
    obs = pd.DataFrame(
        {"region": pd.Categorical(["spots"] * len(xy)), "instance": order, "kind": pd.Categorical(order % 2)},
        index=[f"r{i}" for i in range(len(xy))],
    )
    adata = ad.AnnData(np.ones((len(xy), 2), dtype=np.float32), obs=obs)
    parsed = TableModel.parse(adata, region="spots", region_key="region", instance_key="instance")
    return SpatialData(shapes={"spots": spots}, tables={"table": parsed}), order


@pytest.mark.slow
def test_squidpy_goes_on_with_a_spatialdata(tmp_path):
    import squidpy as sq

    xy = hexagons()
    sdata, order = spots_sdata(xy)
    assert spatial_graph(sdata) is None
    adata = sdata["table"]
    np.testing.assert_allclose(adata.obsm["spatial"], xy[order])
    tree = cKDTree(xy[order])
    near = tree.sparse_distance_matrix(tree, 120, output_type="coo_matrix").tocsr() > 0
    assert (adata.obsp["spatial_connectivities"] != near).nnz == 0
    sq.gr.nhood_enrichment(adata, cluster_key="kind", n_perms=10, show_progress_bar=False)
    assert "kind_nhood_enrichment" in adata.uns
    sdata.write(tmp_path / "s.zarr")
    back = SpatialData.read(tmp_path / "s.zarr")["table"]
    assert (back.obsp["spatial_connectivities"] != adata.obsp["spatial_connectivities"]).nnz == 0
    assert back.uns["spatial_neighbors"]["connectivities_key"] == "spatial_connectivities"
