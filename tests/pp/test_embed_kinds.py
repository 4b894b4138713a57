"""Components of counts wherever they are kept, and of what there is where no counts are."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from multist.pp import embed_expression


@pytest.fixture(scope="module")
def plain(toy):
    """Counts with their components; not to be changed."""
    adata = toy.counts()
    embed_expression(adata, n_comps=5)
    return adata


def logged(adata):
    """The same, normalised and logged, with no counts anywhere."""
    other = adata.copy()
    level = other.X.toarray() / other.X.toarray().sum(axis=1, keepdims=True) * 1e4
    other.X = np.log1p(level).astype(np.float32)
    return other


def decimals(adata):
    """Counts that are no longer whole."""
    other = adata.copy()
    other.X = other.X * 0.97
    return other


@pytest.mark.slow
@pytest.mark.parametrize("layer", [None, "counts"])
def test_layer_with_counts_beside_normalised_values(layer, plain, caplog, toy):
    adata = toy.counts()
    adata.layers["counts"] = adata.X.copy()
    adata.X = logged(adata).X
    with caplog.at_level("INFO", "multist"):
        embed_expression(adata, n_comps=5, layer=layer)
    assert "layers['counts'] holds counts" in caplog.text
    np.testing.assert_array_equal(adata.obsm["X_pca"], plain.obsm["X_pca"])
    params = adata.uns["pca"]["params"]
    assert (params["source"], params["kind"], params.get("layer")) == ("layers['counts']", "counts", layer)


def test_counts_in_raw_are_embedded_with_their_own_genes(plain, toy):
    adata = toy.counts()
    adata.raw = adata.copy()
    adata = logged(adata)[:, ::3].copy()
    embed_expression(adata, n_comps=5)
    np.testing.assert_array_equal(adata.obsm["X_pca"], plain.obsm["X_pca"])
    assert adata.uns["pca"]["params"]["source"] == "raw"


@pytest.mark.slow
def test_what_was_logged_is_embedded_as_it_is(caplog, toy):
    import scanpy as sc

    adata = logged(toy.counts())
    adata.X = sparse.csr_matrix(adata.X)
    expected = sc.pp.pca(logged(toy.counts()).X, n_comps=5, svd_solver="arpack")
    embed_expression(adata, n_comps=5)
    np.testing.assert_allclose(toy.aligned(adata.obsm["X_pca"], expected), expected, atol=5e-3)
    assert "X holds log-normalised values, and no counts are there: it is embedded as it is" in caplog.text
    assert adata.uns["pca"]["params"]["transform"] == "none"
    assert adata.uns["pca"]["power"] == 1
    again = logged(toy.counts())[::2].copy()
    embed_expression(again, reference=adata)
    np.testing.assert_allclose(again.obsm["X_pca"], adata.obsm["X_pca"][::2], atol=1e-4)


def test_scaled_values_are_embedded_as_they_are(caplog, toy):
    import scanpy as sc

    adata = logged(toy.counts())
    sc.pp.scale(adata)
    expected = sc.pp.pca(adata.X, n_comps=5, svd_solver="arpack")
    embed_expression(adata, n_comps=5)
    np.testing.assert_allclose(toy.aligned(adata.obsm["X_pca"], expected), expected, atol=5e-3)
    assert "X holds scaled values (some are negative), and no counts are there" in caplog.text


def test_the_most_variable_genes_of_logged_values(toy):
    adata = logged(toy.counts())
    embed_expression(adata, n_comps=5, n_top_genes=50)
    expected = np.sort(np.argsort(-adata.X.var(axis=0), kind="stable")[:50])
    assert adata.uns["pca"]["genes"].tolist() == adata.var_names[expected].tolist()


def test_decimals_of_an_unknown_kind_are_refused_but_on_request(toy):
    adata = decimals(toy.counts())
    with pytest.raises(ValueError, match='neither counts nor log-normalised.*pass layer=.*transform="none".*use_rep='):
        embed_expression(adata)
    assert not adata.obsm
    embed_expression(adata, transform="none", n_comps=3)
    assert adata.obsm["X_pca"].shape == (300, 3)


def test_counts_and_logged_values_do_not_share_axes(toy):
    adata, reference = toy.counts(), toy.counts()
    embed_expression(reference)
    for spoilt in (logged(adata), decimals(adata)):
        with pytest.raises(ValueError, match=r"pass layer= with counts \(layers: none\), as the sections") as refused:
            embed_expression(spoilt, reference=reference)
        # none of which a projection takes
        assert not any(advice in str(refused.value) for advice in ("transform", "use_rep", "log1p()"))
    # as the error says
    adata, reference = logged(adata), logged(reference)
    embed_expression(reference)
    embed_expression(adata, reference=reference)
    assert adata.obsm["X_pca"].shape == reference.obsm["X_pca"].shape


@pytest.mark.parametrize("of_counts", [False, True])
def test_counts_on_the_axes_of_logged_values_are_warned_of(toy, of_counts, caplog):
    reference = toy.counts() if of_counts else logged(toy.counts())
    embed_expression(reference, transform="none")
    embed_expression(toy.counts(), reference=reference)
    assert ("the components are wrong; normalise this section in the same way" in caplog.text) == (not of_counts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "form"),
    [
        ("X", sparse.csr_matrix),
        ("X", sparse.csc_matrix),
        ("X", np.asarray),
        ("layer", sparse.csc_matrix),
        ("raw", sparse.csr_matrix),
    ],
)
def test_counts_on_disk_are_found_like_those_in_memory(where, form, plain, tmp_path, toy):
    adata = toy.counts()
    held = form(adata.X.toarray())
    if where == "raw":
        adata.raw = adata.copy()
    if where == "layer":
        adata.layers["counts"] = held
    adata.X = held if where == "X" else None if where == "layer" else logged(adata).X
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    embed_expression(backed, n_comps=5)
    np.testing.assert_array_equal(backed.obsm["X_pca"], plain.obsm["X_pca"])
    backed.file.close()
