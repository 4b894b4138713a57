"""Input that cannot work gets an error that says why, and is left as it was."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import multist as mt


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"table_key": "cells"}, "table_key 'cells' not found in sdata.tables; found: 'table'"),
        ({"image_key": "hires"}, "image_key 'hires' not found in sdata.images; found: 'he'"),
    ],
)
def test_what_a_spatialdata_does_not_hold_is_named(tissue, quick, unchanged, kwargs, message):
    with unchanged(tissue), pytest.raises(KeyError, match=message):
        mt.tl.multist_domains(tissue, 7, config=quick, **kwargs)


def test_a_table_of_one_spot(tissue_table, quick, unchanged):
    one = tissue_table[:1].copy()
    with unchanged(one), pytest.raises(ValueError, match="the table has one spot"):
        mt.tl.multist_domains(one, 1, config=quick)


@pytest.mark.parametrize(
    ("call", "path", "reader"),
    [
        (mt.tl.multist_domains, "my.h5ad", r"scanpy.read_h5ad\('my.h5ad'\)"),
        (mt.pp.spatial_graph, Path("my.zarr"), r"spatialdata.read_zarr\('my.zarr'\)"),
        (mt.pl.domains, "outs", "spatialdata_io"),
    ],
)
def test_a_path_is_to_be_read_first(call, path, reader):
    with pytest.raises(TypeError, match=f"not a path: read it first, by .*{reader}"):
        call(path)


@pytest.mark.slow
def test_few_spots_and_odd_graphs_work(embedded_table, quick):
    few = embedded_table[:6].copy()
    few.obsp["spatial_connectivities"] = sp.csr_matrix((6, 6))
    mt.tl.multist_domains(few, 6, config=quick)
    assert few.obs["multist_domain"].nunique() == 6
    pair = ad.AnnData(obsm={"spatial": np.array([[0.0, 0], [1, 1]]), "X_pca": np.array([[0.0, 1], [2, 5]])})
    mt.tl.multist_domains(pair, 2, config=quick)
    assert sorted(pair.obs["multist_domain"]) == ["0", "1"]
