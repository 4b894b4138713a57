"""Names of genes, and their expression on a log scale."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.access import gene_names, log_expression

COUNTS = np.array([[1, 3, 6], [5, 0, 5], [0, 0, 0]], dtype=np.float32)
LOGGED = np.log1p(COUNTS / np.array([[10], [10], [1]]) * 1e4)


def dense(values):
    return values.toarray() if sparse.issparse(values) else values


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_are_normalised_by_all_genes_in_a_copy(form, kind, caplog):
    adata = ad.AnnData(form(COUNTS.astype(kind)))
    with caplog.at_level("INFO", "multist"):
        np.testing.assert_allclose(dense(log_expression(adata, None)), LOGGED)
    assert "X holds counts" in caplog.text
    np.testing.assert_allclose(dense(log_expression(adata, None, np.array([2, 0]))), LOGGED[:, [2, 0]])
    np.testing.assert_array_equal(dense(adata.X), COUNTS)


@pytest.mark.parametrize("form", [np.array, sparse.csr_matrix])
def test_what_is_normalised_is_taken_as_it_is_and_not_handed_out(form):
    adata = ad.AnnData(form(LOGGED))
    found = log_expression(adata, None)
    np.testing.assert_array_equal(dense(found), LOGGED)
    found *= 0
    np.testing.assert_array_equal(dense(adata.X), LOGGED)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_scaled_values_only_where_they_are_allowed(bad):
    adata = ad.AnnData(np.zeros((2, 3)), layers={"scaled": np.array([[bad, 1, 2], [0, 1, 3.0]])})
    with pytest.raises(ValueError, match=r"layers\['scaled'\] holds negative .* finite; pass layer=.*layers: 'scaled'"):
        log_expression(adata, "scaled")
    np.testing.assert_array_equal(log_expression(adata, "scaled", scaled=True), adata.layers["scaled"])


def test_what_is_not_there():
    with pytest.raises(ValueError, match="X is empty; pass layer="):
        log_expression(ad.AnnData(shape=(2, 3)), None)
    with pytest.raises(KeyError, match="layer 'raw' not found"):
        log_expression(ad.AnnData(COUNTS), "raw")


def test_names_of_genes():
    adata = ad.AnnData(COUNTS, var=pd.DataFrame({"symbol": ["A", None, "C"]}, index=["g1", "g2", "g3"]))
    assert gene_names(adata).tolist() == ["g1", "g2", "g3"]
    assert gene_names(adata, "symbol").tolist() == ["A", "g2", "C"]
    adata.var["symbol"] = adata.var["symbol"].astype("category")
    assert gene_names(adata, "symbol").tolist() == ["A", "g2", "C"]
    with pytest.raises(KeyError, match="gene_symbols 'name' not found in var; found: 'symbol'"):
        gene_names(adata, "name")
