"""Components that somebody else made are reused; of raw counts with a warning."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest
import scanpy as sc

import multist as mt

WARNED = "obsm['X_pca'] seems to be of raw counts"


def counted() -> ad.AnnData:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:8, :8].reshape(2, -1)
    counts = rng.poisson(np.where(x[:, None] < 4, 2.0, 6.0), (64, 20)).astype(np.float32)
    return ad.AnnData(counts, obsm={"spatial": np.c_[x, y] * 10.0})


def raw(adata: ad.AnnData) -> None:
    sc.pp.pca(adata, n_comps=5)


def logged_in_place(adata: ad.AnnData) -> None:
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=5)


def counts_put_back(adata: ad.AnnData) -> None:
    counts = adata.X.copy()
    logged_in_place(adata)
    adata.X = counts


def of_a_layer(adata: ad.AnnData) -> None:
    adata.layers["log"] = np.log1p(adata.X)
    sc.pp.pca(adata, n_comps=5, layer="log")


def own(adata: ad.AnnData) -> None:
    mt.pp.embed_expression(adata, n_comps=5)


def of_another_program(adata: ad.AnnData) -> None:
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(64, 5))


@pytest.mark.parametrize(
    ("make", "use_rep", "warned"),
    [
        (raw, None, True),
        (raw, "X_pca", True),
        (logged_in_place, None, False),
        (counts_put_back, None, False),
        (of_a_layer, None, False),
        (own, None, False),
        (of_another_program, None, False),
    ],
)
def test_components_of_raw_counts_are_warned_of(make, use_rep, warned, caplog):
    adata = counted()
    make(adata)
    before = adata.obsm["X_pca"].copy()
    with caplog.at_level(logging.WARNING):
        mt.tl.multist_domains(adata, 2, use_image=False, use_rep=use_rep, config=mt.tl.MultiSTConfig(epochs=0))
    assert (WARNED in caplog.text) == warned
    assert any(WARNED in line for line in adata.uns["multist"]["decisions"]["multist_domains"]) == warned
    np.testing.assert_array_equal(adata.obsm["X_pca"], before)


def test_components_of_spots_that_are_gone_are_warned_of(caplog, quick):
    adata = counted()
    own(adata)
    part = adata[:56].copy()
    mt.tl.multist_domains(part, 2, use_image=False, config=quick)
    assert "obsm['X_pca'] was made from 64 spots, of which data holds 56" in caplog.text
    caplog.clear()
    mt.tl.multist_domains([part, adata[56:].copy()], 2, use_image=False, config=quick)
    own(part)
    mt.tl.multist_domains(part, 2, use_image=False, config=quick)
    assert "of which data holds" not in caplog.text
