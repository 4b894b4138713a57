"""Input that cannot work gets an error that says why, and is left as it was."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import multist as mt
from multist.access import get_table


def no_coordinates(table):
    del table.obsm["spatial"]


def missing_coordinate(table):
    table.obsm["spatial"] = table.obsm["spatial"].astype(float)
    table.obsm["spatial"][5, 0] = np.nan


def one_coordinate(table):
    table.obsm["spatial"] = table.obsm["spatial"][:, :1]


def no_image(table):
    del table.uns["spatial"], table.obsm["X_histology"]


def off_the_image(table):
    table.obsm["spatial"] = table.obsm["spatial"] * 10


def decimals(table):
    del table.obsm["X_pca"]
    table.X = table.X.toarray() / 3


def twice(table):
    table.obs_names = ["same", "same", *table.obs_names[2:]]


def embedding_with_nan(table):
    table.obsm["X_pca"][3, 1] = np.nan


def histology_with_infinity(table):
    table.obsm["X_histology"][3, 1] = np.inf


def nothing(table):
    pass


CASES = {
    "no coordinates": (no_coordinates, {}, KeyError, r"obsm\['spatial'\] not found; obsm holds: .*'X_pca'"),
    "missing coordinate": (missing_coordinate, {}, ValueError, "NaN or infinite coordinates for 1 of 250"),
    "one coordinate": (one_coordinate, {}, ValueError, r"shape \(250, 1\); expected \(n_obs, 2\)"),
    "no image": (no_image, {"use_image": True}, KeyError, "no image; uns"),
    "unknown image": (nothing, {"image_key": "mid"}, KeyError, "'mid' not found .*found: 'hires', 'lowres'"),
    "off the image": (off_the_image, {}, ValueError, "of 250 spots of section 'section1' lie off image 'hires'"),
    "counts with decimals": (decimals, {}, ValueError, "X holds decimals that are neither counts nor log-normalised"),
    "duplicate names": (twice, {}, ValueError, "1 duplicate name .*obs_names_make_unique"),
    "embedding with NaN": (embedding_with_nan, {}, ValueError, r"obsm\['X_pca'\] has values that are not finite"),
    "histology with infinity": (histology_with_infinity, {}, ValueError, r"obsm\['X_histology'\] has values that are"),
    "unknown embedding": (
        nothing,
        {"use_rep": "X_umap"},
        KeyError,
        "use_rep 'X_umap' not found in obsm; found: .*'X_pca'",
    ),
    "unknown section column": (
        nothing,
        {"library_key": "slide"},
        KeyError,
        "library_key 'slide' not found in obs; found",
    ),
    "table of an AnnData": (nothing, {"table_key": "table"}, ValueError, "table_key='table' .* data is an AnnData"),
    "use_image": (nothing, {"use_image": "yes"}, ValueError, "use_image must be True, False or 'auto'; got 'yes'"),
    "device": (nothing, {"device": "abacus"}, ValueError, "abacus"),
    "name that cannot be stored": (nothing, {"key_added": "my result"}, ValueError, "'my result.*cannot be stored"),
}


@pytest.mark.parametrize(("spoil", "kwargs", "error", "message"), CASES.values(), ids=CASES)
def test_anndata(embedded_table, quick, unchanged, spoil, kwargs, error, message):
    spoil(embedded_table)
    with unchanged(embedded_table), pytest.raises(error, match=message):
        mt.tl.multist_domains(embedded_table, 7, **{"config": quick} | kwargs)


@pytest.mark.parametrize(
    ("n_domains", "error"),
    [
        (0, ValueError),
        (-3, ValueError),
        (401, ValueError),
        (2.5, TypeError),
        ("many", (TypeError, ValueError)),
        (True, TypeError),
    ],
)
def test_numbers_of_domains(embedded_table, quick, unchanged, n_domains, error):
    with unchanged(embedded_table), pytest.raises(error, match="n_domains"):
        mt.tl.multist_domains(embedded_table, n_domains, config=quick)


def test_more_domains_than_spots_says_how_many_there_are(embedded_table, quick):
    with pytest.raises(ValueError, match="250"):
        mt.tl.multist_domains(embedded_table, 500, config=quick)


def test_stages_that_ran_before_the_error_leave_nothing(tissue, tissue_table, quick, unchanged):
    # the embedding and the graph are made first; then the image turns out not to fit
    tissue_table.uns["spatial"]["section1"]["images"]["hires"] = np.zeros((600, 600), dtype="U3")
    with unchanged(tissue_table), pytest.raises((ValueError, TypeError)):
        mt.tl.multist_domains(tissue_table, 7, config=quick)
    with unchanged(tissue), pytest.raises(ValueError, match="cannot be stored"):
        mt.tl.multist_domains(tissue, 7, config=quick, key_added="a/b")


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing(tissue, quick, unchanged, monkeypatch):
    from multist.model.fitted import Averaging

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Averaging, "fit", interrupted)
    with unchanged(tissue), pytest.raises(KeyboardInterrupt):
        mt.tl.multist_domains(tissue, 7, config=quick)


@pytest.mark.slow
def test_results_from_before_survive_an_error(embedded, quick, unchanged):
    mt.tl.multist_domains(embedded, 7, config=quick)
    get_table(embedded).obsm["X_pca"][0, 0] = np.nan
    with unchanged(embedded), pytest.raises(ValueError, match="not finite"):
        mt.tl.multist_domains(embedded, 5, config=quick)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"table_key": "cells"}, KeyError, "table_key 'cells' not found in sdata.tables; found: 'table'"),
        ({"image_key": "hires"}, KeyError, "image_key 'hires' not found in sdata.images; found: 'he'"),
        ({"use_rep": "X_umap"}, KeyError, "use_rep 'X_umap' not found"),
        ({"layer": "counts"}, KeyError, "layer 'counts' not found in layers; found: none"),
        ({"library_key": "slide"}, KeyError, "library_key 'slide' not found"),
    ],
)
def test_spatialdata(tissue, quick, unchanged, kwargs, error, message):
    with unchanged(tissue), pytest.raises(error, match=message):
        mt.tl.multist_domains(tissue, 7, **{"config": quick} | kwargs)


def test_spatialdata_without_an_image(tissue, quick, unchanged):
    del tissue.images["he"]
    with unchanged(tissue), pytest.raises(KeyError, match="image"):
        mt.tl.multist_domains(tissue, 7, config=quick, use_image=True)


def test_a_table_without_spots(embedded_table, quick):
    empty = embedded_table[:0].copy()
    with pytest.raises(ValueError, match="no observations"):
        mt.tl.multist_domains(empty, 1, config=quick)


@pytest.mark.parametrize("kind", ["counts", "embedding"])
def test_a_table_of_one_spot(tissue_table, embedded_table, quick, unchanged, kind):
    one = (tissue_table if kind == "counts" else embedded_table)[:1].copy()
    if kind == "counts":
        for key in list(one.obsm):
            if key != "spatial":
                del one.obsm[key]
    with unchanged(one), pytest.raises(ValueError, match="1 spot|one spot|at least"):
        mt.tl.multist_domains(one, 1, config=quick)


def test_neither_an_anndata_nor_a_spatialdata(quick):
    with pytest.raises(TypeError, match="AnnData or a SpatialData, not ndarray"):
        mt.tl.multist_domains(np.ones((5, 5)), 2, config=quick)


@pytest.mark.parametrize(
    ("path", "reader"),
    [
        ("my.h5ad", r"scanpy.read_h5ad\('my.h5ad'\)"),
        (Path("my.zarr"), r"spatialdata.read_zarr\('my.zarr'\)"),
        ("outs", "spatialdata_io"),
    ],
)
@pytest.mark.parametrize("call", [mt.tl.multist_domains, mt.pp.spatial_graph, mt.pl.domains])
def test_a_path_is_to_be_read_first(path, reader, call):
    with pytest.raises(TypeError, match=f"not a path: read it first, by .*{reader}"):
        call(path)


def test_a_graph_that_joins_sections(embedded_table, quick, unchanged):
    embedded_table.obs["half"] = np.where(np.arange(250) % 2, "a", "b")
    del embedded_table.uns["spatial"]
    with unchanged(embedded_table), pytest.raises(ValueError, match="edges between different sections.*spatial_graph"):
        mt.tl.multist_domains(embedded_table, 3, config=quick, library_key="half")


@pytest.mark.slow
@pytest.mark.filterwarnings("error::anndata.ImplicitModificationWarning")
def test_a_view_gets_the_result_and_what_it_is_a_view_of_does_not(embedded_table, quick, unchanged):
    with unchanged(embedded_table):
        view = embedded_table[:200]
        mt.tl.multist_domains(view, 3, config=quick)
        assert view.obs["multist_domain"].nunique() == 3
        broken = embedded_table[200:]
        with pytest.raises(KeyError, match="use_rep"):
            mt.tl.multist_domains(broken, 3, config=quick, use_rep="X_umap")
        assert "multist_domain" not in broken.obs


@pytest.mark.slow
def test_few_spots_and_odd_graphs_work(embedded_table, quick):
    few = embedded_table[:6].copy()
    few.obsp["spatial_connectivities"] = sp.csr_matrix((6, 6))
    mt.tl.multist_domains(few, 6, config=quick)
    assert few.obs["multist_domain"].nunique() == 6
    pair = ad.AnnData(obsm={"spatial": np.array([[0.0, 0], [1, 1]]), "X_pca": np.array([[0.0, 1], [2, 5]])})
    mt.tl.multist_domains(pair, 2, config=quick)
    assert sorted(pair.obs["multist_domain"]) == ["0", "1"]
