"""Counts of another section on the axes of one that was embedded."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from multist.access import get_table
from multist.datasets import layered_tissue
from multist.pp import embed_expression
from multist.pp._expression_axes import _leading


@pytest.fixture(scope="module")
def embedded():
    """A section with its components; not to be changed."""
    table = layered_tissue(n_spots=300, n_genes=300, image_size=800, with_image=False, format="anndata")
    embed_expression(table, n_comps=20, n_top_genes=200)
    return table


def bare(table):
    """The same without components."""
    other = table.copy()
    del other.obsm["X_pca"], other.uns["pca"]
    return other


def test_the_same_counts_come_out_where_they_were(embedded):
    other = bare(embedded)
    embed_expression(other, reference=embedded)
    np.testing.assert_allclose(other.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)
    assert other.obsm["X_pca"].dtype == np.float32
    assert other.uns["pca"]["params"] == {
        "n_comps": 20,
        "reference": True,
        "source": "X",
        "kind": "counts",
        "n_obs": other.n_obs,
    }
    assert other.uns["pca"]["genes"].tolist() == embedded.uns["pca"]["genes"].tolist()


def test_square_roots_are_projected_as_such_whatever_the_call_says(embedded):
    deeper = bare(embedded)
    deeper.X = deeper.X * 3
    embed_expression(deeper, reference=embedded, transform="log")
    np.testing.assert_allclose(deeper.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)
    assert embedded.uns["pca"]["power"] == 0.5
    assert embedded.uns["pca"]["depth"] == pytest.approx(np.median(embedded.X.toarray().sum(axis=1)))


def test_the_library_size_is_the_same_total_where_much_lies_in_rare_genes(embedded):
    table = bare(embedded)
    counts = table.X.toarray()
    counts[:, 250:] = 0
    counts[np.arange(50), 250 + np.arange(50)] = 400  # each seen in one spot only, which is too rare
    table.X = sparse.csr_matrix(counts)
    embed_expression(table, n_comps=10)
    assert len(table.uns["pca"]["genes"]) == 250 and len(table.uns["pca"]["library"]) == 300
    other = bare(table)
    embed_expression(other, reference=table)
    np.testing.assert_allclose(other.obsm["X_pca"], table.obsm["X_pca"], atol=1e-4)


def test_genes_that_the_reference_has_not_seen_are_no_part_of_the_library(embedded):
    other = bare(embedded)
    rng = np.random.default_rng(0)
    new = sparse.csr_matrix(rng.poisson(5.0, (other.n_obs, 100)).astype(np.float32))
    wider = ad.AnnData(sparse.hstack([new, other.X], format="csr"))
    wider.var_names = [*(f"new{i}" for i in range(100)), *other.var_names]
    embed_expression(wider, reference=embedded)
    np.testing.assert_allclose(wider.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)


def test_one_may_follow_the_other_in_a_chain(embedded):
    second, third = bare(embedded)[:100].copy(), bare(embedded)[100:].copy()
    embed_expression(second, reference=embedded)
    embed_expression(third, reference=second)
    np.testing.assert_allclose(third.obsm["X_pca"], embedded.obsm["X_pca"][100:], atol=1e-3)


def test_the_order_of_the_genes_and_the_form_of_the_matrix_do_not_matter(embedded):
    other = bare(embedded)[:, ::-1].copy()
    other.X = sparse.csc_matrix(other.X)
    embed_expression(other, reference=embedded)
    np.testing.assert_allclose(other.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)


def test_blocks_of_spots_are_one_table(embedded, monkeypatch):
    monkeypatch.setattr("multist.access.blocks._ROWS_AT_ONCE", 7)
    other = bare(embedded)
    embed_expression(other, reference=embedded)
    np.testing.assert_allclose(other.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)


def test_components_are_fitted_to_the_genes_that_are_there_and_the_log_says_so(embedded, caplog):
    axes, other = embedded.uns["pca"], bare(embedded)
    gone = set(axes["genes"][:30])
    fewer = other[:, [name not in gone for name in other.var_names]].copy()
    with caplog.at_level(logging.INFO, "multist"):
        embed_expression(fewer, reference=embedded)
    assert "30 of 200 genes of the reference are missing; components are fitted to the others" in caplog.text
    # the library size is what it would be with the missing genes' share
    share = dict(zip(axes["library"], axes["share"], strict=True))
    total = np.asarray(fewer.X.sum(axis=1)) / (1 - sum(share[name] for name in gone))
    level = fewer[:, axes["genes"][30:]].X.toarray() / total * axes["depth"]
    expected = np.linalg.lstsq(axes["loadings"][30:], (np.sqrt(level) - axes["mean"][30:]).T, rcond=None)[0].T
    np.testing.assert_allclose(fewer.obsm["X_pca"], expected, atol=2e-3)
    assert np.corrcoef(fewer.obsm["X_pca"][:, 0], embedded.obsm["X_pca"][:, 0])[0, 1] > 0.9


def test_an_entry_of_uns_will_do_and_another_key(embedded):
    table, other = embedded.copy(), bare(embedded)
    embed_expression(other, reference=embedded.uns["pca"])
    np.testing.assert_allclose(other.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)
    embed_expression(table, n_comps=4, key_added="X_mine")
    embed_expression(other, reference=table, key_added="X_mine")
    np.testing.assert_allclose(other.obsm["X_mine"], table.obsm["X_mine"], atol=1e-3)
    assert other.obsm["X_pca"].shape[1] == 20


def test_counts_in_a_layer(embedded):
    other = bare(embedded)
    other.layers["mine"] = other.X.copy()
    other.X = np.log1p(other.X)
    with pytest.raises(ValueError, match="X holds log-normalised values; pass layer="):
        embed_expression(other, reference=embedded)
    assert "X_pca" not in other.obsm
    embed_expression(other, reference=embedded, layer="mine")
    np.testing.assert_allclose(other.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)
    assert other.uns["pca"]["params"]["layer"] == "mine"


def test_spatialdata_either_way(embedded):
    sdata = layered_tissue(n_spots=300, n_genes=300, image_size=800, with_image=False)
    found = embed_expression(sdata, reference=embedded, copy=True)
    assert "X_pca" not in get_table(sdata).obsm
    rows = get_table(found).obs_names.get_indexer(embedded.obs_names)
    np.testing.assert_allclose(get_table(found).obsm["X_pca"][rows], embedded.obsm["X_pca"], atol=1e-3)
    back = bare(embedded)
    embed_expression(back, reference=found)
    np.testing.assert_allclose(back.obsm["X_pca"], embedded.obsm["X_pca"], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_axes_survive_a_file(form, embedded, tmp_path):
    getattr(embedded, f"write_{form}")(tmp_path / "a")
    back = getattr(ad, f"read_{form}")(tmp_path / "a")
    from_memory, from_file = bare(embedded), bare(embedded)
    embed_expression(from_memory, reference=embedded)
    embed_expression(from_file, reference=back)
    np.testing.assert_array_equal(from_file.obsm["X_pca"], from_memory.obsm["X_pca"])
    from_file.write_h5ad(tmp_path / "again.h5ad")


@pytest.mark.parametrize("n_obs", [50, 700])
@pytest.mark.parametrize(
    ("exact", "widest"), [(512, 0), (0, 0), (0, 5000)], ids=["at once", "by values", "by the matrix"]
)
def test_axes_are_those_of_the_covariance(exact, widest, n_obs, monkeypatch):
    monkeypatch.setattr("multist.pp._expression_axes._MAX_EXACT_GENES", exact)
    monkeypatch.setattr("multist.pp._expression_axes._MAX_COVARIANCE_GENES", widest)
    monkeypatch.setattr("multist.pp._expression_axes._ROWS_AT_ONCE", 300)
    rng = np.random.default_rng(0)
    dense = rng.poisson(0.5, (n_obs, 60)) + rng.poisson(2.0, (n_obs, 1)) * np.arange(60) / 30
    found, mean, total = _leading(sparse.csr_matrix(dense.astype(np.float32)), 3, rng)
    covariance = np.cov(dense.T)
    expected = np.linalg.eigh(covariance)[1][:, ::-1][:, :3]
    np.testing.assert_allclose(np.abs(found.T @ expected), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(mean, dense.mean(axis=0), rtol=1e-5)
    assert total == pytest.approx(np.trace(covariance), rel=1e-5)


def lose_axes(reference, other):
    del reference.uns["pca"]["share"]


def no_entry(reference, other):
    del reference.uns["pca"]


def other_names(reference, other):
    other.var_names = [f"ENSG{i:04d}" for i in range(other.n_vars)]


def twins_in_the_reference(reference, other):
    reference.uns["pca"]["genes"] = np.array([*reference.uns["pca"]["genes"][:-1], reference.uns["pca"]["genes"][0]])


@pytest.mark.filterwarnings("ignore:Variable names")
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lose_axes, KeyError, r"holds no axes \(uns\['pca'\] lacks share\); run pp.embed_expression on it first"),
        (no_entry, KeyError, "lacks genes, mean, loadings, library, share, depth, power"),
        (other_names, ValueError, r"0 of the reference's 200 genes are in var_names \('ENSG0000', ...\)"),
        (
            twins_in_the_reference,
            ValueError,
            "genes of the reference, which is to be embedded again,: '.*' names several genes",
        ),
    ],
)
def test_references_that_do_not_fit(spoil, error, message, embedded):
    reference, other = embedded.copy(), bare(embedded)
    spoil(reference, other)
    with pytest.raises(error, match=message):
        embed_expression(other, reference=reference)
    assert "X_pca" not in other.obsm and "pca" not in other.uns
