"""The result comes out of a file in both forms, and goes on into squidpy and scanpy as it stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd

import multist as mt
from multist.access import get_table
from multist.access.tables import copy_data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def solved(embedded_tissue, shorten_training):
    """SpatialData with seven domains, as other tests have, since squidpy's test is compiled for each number anew."""
    sdata = copy_data(embedded_tissue)
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        mt.tl.multist_domains(sdata, 7, config=mt.tl.MultiSTConfig(epochs=2))
    return sdata


@pytest.fixture(scope="module")
def written(solved, tmp_path_factory) -> Callable[[str], Path]:
    """The result in a file of each kind, which is written once."""

    @cache
    def write(kind: str) -> Path:
        path = tmp_path_factory.mktemp("written") / "result"
        if kind == "zarr":
            copy_data(solved).write(path)
            return path
        table = solved.tables["table"].copy()
        del table.uns["spatialdata_attrs"]
        if kind == "h5ad":
            table.write_h5ad(path)
        else:
            table.write_zarr(path)
        return path

    return write


@pytest.fixture
def result(request, written):
    """The result read back."""
    read = {"zarr": sd.read_zarr, "h5ad": ad.read_h5ad, "zarr of an AnnData": ad.read_zarr}[request.param]
    return read(written(request.param))


@pytest.mark.parametrize("result", ["zarr", "h5ad", "zarr of an AnnData"], indirect=True)
def test_what_was_written_comes_back(result, solved):
    table, before = get_table(result), solved.tables["table"]
    for column in ("multist_domain", "multist_image_weight", "multist_confidence"):
        pd.testing.assert_series_equal(table.obs[column], before.obs[column], check_index_type=False)
    assert table.obs["multist_domain"].cat.categories.tolist() == list("0123456")
    for key in ("X_multist", "X_pca", "X_histology"):
        np.testing.assert_array_equal(table.obsm[key], before.obsm[key])
    assert (table.obsp["spatial_connectivities"] != before.obsp["spatial_connectivities"]).nnz == 0
    assert list(table.uns["multist_domain_colors"]) == list(before.uns["multist_domain_colors"])
    params, wanted = table.uns["multist"]["params"], before.uns["multist"]["params"]
    assert set(params) == set(wanted)
    assert all(np.array_equal(params[name], wanted[name]) for name in wanted)
    for name, values in before.uns["multist"]["losses"].items():
        np.testing.assert_array_equal(table.uns["multist"]["losses"][name], values)
    assert dict(table.uns["multist"]["versions"]) == before.uns["multist"]["versions"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("result", ["zarr", "h5ad"], indirect=True)
def test_squidpy_and_scanpy_take_it_unchanged(result):
    import scanpy as sc
    import squidpy as sq

    table = get_table(result)
    kwargs = {} if isinstance(result, ad.AnnData) else {"table_key": "table"}
    places = {} if isinstance(result, ad.AnnData) else {"elements_to_coordinate_systems": {"spots": "global"}}
    interactions = table.uns["interactions"][["source", "target"]].astype(str)
    genes, domains = table.var_names.copy(), table.obs["multist_domain"].copy()

    quiet = {"n_jobs": 1, "show_progress_bar": False}
    sq.gr.nhood_enrichment(result, "multist_domain", n_perms=20, seed=0, **quiet, **kwargs)
    scores = table.uns["multist_domain_nhood_enrichment"]["zscore"]
    assert scores.shape == (7, 7) and np.nanmin(np.diag(scores)) > 2  # domains keep to themselves

    found = sq.gr.ligrec(
        result,
        "multist_domain",
        interactions=interactions,
        use_raw=False,
        n_perms=10,
        threshold=0.01,
        copy=True,
        **quiet,
        **kwargs,
    )
    assert found["means"].shape == (len(interactions), 49)

    counts = table.copy()
    sc.pp.normalize_total(counts)
    sc.pp.log1p(counts)
    sc.tl.rank_genes_groups(counts, "multist_domain", method="t-test")
    assert set(counts.uns["rank_genes_groups"]["names"].dtype.names) == set("0123456")
    sc.tl.rank_genes_groups(table, "multist_domain", method="wilcoxon", n_genes=5)

    # last, because of a SpatialData squidpy takes the circles in their own order, whatever the order of the rows
    sq.gr.spatial_neighbors(result, coord_type="generic", n_neighs=6, **places, **kwargs)
    assert table.obsp["spatial_connectivities"].nnz >= 6 * table.n_obs

    assert table.var_names.equals(genes)
    pd.testing.assert_series_equal(table.obs["multist_domain"], domains)
