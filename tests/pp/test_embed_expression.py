"""Components like scanpy's, of counts or of what there is, with everything else left as it was."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.pp import embed_expression


@pytest.fixture(scope="module")
def plain(toy):
    """Counts with their components; not to be changed."""
    adata = toy.counts()
    embed_expression(adata, n_comps=5, n_top_genes=100)
    return adata


def by_hand(adata, transform, n_comps, n_top_genes, **kwargs):
    import scanpy as sc

    other = adata.copy()
    sc.pp.filter_genes(other, min_cells=6)
    sc.pp.highly_variable_genes(other, flavor="seurat_v3", n_top_genes=n_top_genes, **kwargs)
    total = adata.X.toarray().sum(axis=1)
    other = other[:, other.var["highly_variable"]].copy()
    level = other.X.toarray() / total[:, None] * np.median(total)
    other.X = np.sqrt(level) if transform == "sqrt" else np.log1p(level)
    sc.pp.pca(other, n_comps=n_comps, svd_solver="arpack", random_state=0)
    return other


@pytest.mark.slow
@pytest.mark.parametrize(("library_key", "transform"), [(None, "sqrt"), ("group", "log")])
def test_equals_scanpys_steps_one_by_one(library_key, transform, toy):
    adata = toy.counts()
    expected = by_hand(adata, transform, 10, 150, **({} if library_key is None else {"batch_key": library_key}))
    embed_expression(adata, transform=transform, n_comps=10, n_top_genes=150, library_key=library_key)
    assert adata.uns["pca"]["genes"].tolist() == expected.var_names.tolist()
    found = toy.aligned(adata.obsm["X_pca"], expected.obsm["X_pca"])
    np.testing.assert_allclose(found, expected.obsm["X_pca"], atol=5e-3)
    np.testing.assert_allclose(adata.uns["pca"]["variance"], expected.uns["pca"]["variance"], rtol=1e-4)
    np.testing.assert_allclose(adata.uns["pca"]["variance_ratio"], expected.uns["pca"]["variance_ratio"], rtol=1e-4)
    assert adata.obsm["X_pca"].dtype == np.float32
    assert adata.uns["pca"]["params"]["transform"] == transform


def test_noise_of_rare_genes_does_not_drown_what_tells_groups_apart():
    rng = np.random.default_rng(0)
    mean = np.full((400, 1000), 0.05)
    mean[:, :10], mean[200:, :10] = 4, 8
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)))
    embed_expression(adata, n_comps=5)
    assert abs(np.corrcoef(adata.obsm["X_pca"][:, 0], np.arange(400) >= 200)[0, 1]) > 0.7


def test_axes_of_a_sample_are_polished_on_all_spots(monkeypatch, toy):
    adata, sampled = toy.counts(n_obs=600), toy.counts(n_obs=600)
    embed_expression(adata, n_comps=4)
    monkeypatch.setattr("multist.pp._expression_axes._MAX_EXACT_SPOTS", 200)
    embed_expression(sampled, n_comps=4)
    first, exact = sampled.obsm["X_pca"][:, 0], adata.obsm["X_pca"][:, 0]
    assert abs(np.corrcoef(first, exact)[0, 1]) > 0.999
    np.testing.assert_allclose(sampled.uns["pca"]["variance"], adata.uns["pca"]["variance"], rtol=0.1)  # of noise
    np.testing.assert_allclose(
        sampled.uns["pca"]["variance_ratio"][0], adata.uns["pca"]["variance_ratio"][0], rtol=1e-3
    )
    np.testing.assert_allclose(sampled.obsm["X_pca"].mean(axis=0), 0, atol=1e-4)


def test_counts_genes_and_the_global_random_state_stay_as_they_were(toy):
    adata = toy.counts()
    adata.layers["counts"] = adata.X.copy()
    before = adata.copy()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    embed_expression(adata, n_top_genes=100, layer="counts")
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert (adata.X != before.X).nnz == 0
    assert (adata.layers["counts"] != before.layers["counts"]).nnz == 0
    pd.testing.assert_frame_equal(adata.var, before.var)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.uns) == {"pca", "multist"} and set(adata.uns["multist"]) == {"decisions", "schema"}
    assert not adata.varm


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        sparse.csc_matrix,
        sparse.csr_array,
        lambda x: x.toarray(),
        lambda x: x.toarray().astype(int),
        lambda x: da.from_array(x.toarray(), chunks=(100, 400)),
        lambda x: da.from_array(x.toarray(), chunks=(100, 400)).map_blocks(sparse.csr_matrix),
    ],
    ids=["csc", "sparse array", "dense", "integers", "dask", "sparse dask"],
)
def test_every_form_of_matrix_gives_the_same(form, plain, toy):
    other = toy.counts()
    other.X = form(other.X)
    embed_expression(other, n_comps=5, n_top_genes=100)
    np.testing.assert_allclose(other.obsm["X_pca"], plain.obsm["X_pca"], atol=1e-3)


def test_no_genes_names_the_embeddings_that_are_there():
    adata = ad.AnnData(obs=pd.DataFrame(index=list("abc")), obsm={"X_feat": np.ones((3, 2))})
    with pytest.raises(ValueError, match="X holds no genes.*'X_feat'"):
        embed_expression(adata)


def test_bad_keys_and_numbers(toy):
    adata = toy.counts()
    with pytest.raises(KeyError, match="layer 'counts' not found in layers; found: none"):
        embed_expression(adata, layer="counts")
    with pytest.raises(KeyError, match="library_key 'slide' not found in obs; found: 'group'"):
        embed_expression(adata, library_key="slide")
    for wrong in (0, 2.5, True, "30"):
        with pytest.raises(ValueError, match="n_comps must be a whole number of at least 1"):
            embed_expression(adata, n_comps=wrong)
    for wrong in (1, 2.5, True):
        with pytest.raises(ValueError, match="n_top_genes must be a whole number of at least 2"):
            embed_expression(adata, n_top_genes=wrong)
    with pytest.raises(ValueError, match="transform must be one of 'log', 'sqrt', 'none'; got 'root'"):
        embed_expression(adata, transform="root")
    with pytest.raises(ValueError, match="cannot be stored"):
        embed_expression(adata, key_added="my pca")
    with pytest.raises(ValueError, match="1 spot and"):
        embed_expression(adata[:1].copy())
    assert not adata.obsm


@pytest.mark.parametrize(("spots", "reason"), [(1, "too few genes vary"), (3, "There are other near singularities")])
def test_a_section_too_small_for_a_trend_is_refused_in_words(spots, reason, toy):
    adata = toy.counts()
    adata.obs["slide"] = np.where(np.arange(adata.n_obs) < spots, "small", "large")
    with pytest.raises(ValueError, match=rf"could not be fitted \({reason}.*leave out library_key"):
        embed_expression(adata, n_top_genes=100, library_key="slide")


def test_components_are_cut_to_what_the_data_allows(toy):
    for n_obs in (2, 3, 20):
        adata = toy.counts()[[*range(n_obs // 2), *range(200, 200 + n_obs - n_obs // 2)]].copy()
        embed_expression(adata, n_comps=50)
        assert adata.obsm["X_pca"].shape == (n_obs, n_obs - 1)
        assert np.isfinite(adata.obsm["X_pca"]).all()


def test_a_spot_without_counts_is_finite(toy):
    adata = toy.counts()
    adata.X = sparse.csr_matrix(np.vstack([np.zeros((1, 400), dtype=np.float32), adata.X.toarray()[1:]]))
    embed_expression(adata, n_comps=5)
    assert np.isfinite(adata.obsm["X_pca"]).all()


def test_gene_names_may_be_duplicate(plain, toy):
    adata = toy.counts()
    adata.var_names = ["g"] * adata.n_vars
    embed_expression(adata, n_comps=5, n_top_genes=100)
    np.testing.assert_array_equal(adata.obsm["X_pca"], plain.obsm["X_pca"])


def test_keys_copy_and_round_trip(tmp_path, toy):
    adata = toy.counts()
    copied = embed_expression(adata, n_comps=4, key_added="X_mine", copy=True)
    assert not adata.obsm
    assert copied.obsm["X_mine"].shape == (300, 4)
    copied.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert back.uns["X_mine"]["params"]["n_comps"] == 4
    assert back.uns["X_mine"]["params"]["transform"] == "sqrt" and back.uns["X_mine"]["power"] == 0.5
    np.testing.assert_array_equal(back.obsm["X_mine"], copied.obsm["X_mine"])
