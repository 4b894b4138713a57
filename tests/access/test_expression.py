"""What a matrix holds, its blocks, its logarithms, and names of genes."""

from __future__ import annotations

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.access import Expression, expression, find_expression, gene_names, log_expression, shown_expression
from multist.access.expression import row_blocks

COUNTS = np.array([[1, 3, 6], [5, 0, 5], [0, 0, 0]], dtype=np.float32)
LOGGED = np.log1p(COUNTS / np.array([[10], [10], [1]]) * 1e4)


def dense(values):
    return values.toarray() if sparse.issparse(values) else values


@pytest.mark.parametrize(
    ("form", "kind"), [(np.asarray, np.float32), (sparse.csr_matrix, np.float64), (sparse.csc_matrix, np.int64)]
)
def test_counts_are_normalised_by_all_genes_in_a_copy(form, kind, caplog):
    adata = ad.AnnData(form(COUNTS.astype(kind)))
    with caplog.at_level("INFO", "multist"):
        np.testing.assert_allclose(dense(log_expression(adata, None)), LOGGED, rtol=1e-6)
    assert "X holds counts" in caplog.text
    np.testing.assert_allclose(dense(log_expression(adata, None, np.array([2, 0]))), LOGGED[:, [2, 0]], rtol=1e-6)
    np.testing.assert_array_equal(dense(adata.X), COUNTS)


@pytest.mark.parametrize("form", [np.array, sparse.csr_matrix])
def test_what_is_normalised_is_taken_as_it_is_and_not_handed_out(form):
    adata = ad.AnnData(form(LOGGED))
    found = log_expression(adata, None)
    np.testing.assert_allclose(dense(found), LOGGED, rtol=1e-6)
    found.data *= 0
    np.testing.assert_array_equal(dense(adata.X), LOGGED)


@pytest.mark.parametrize(
    ("bad", "what"),
    [(-1.0, r"scaled values \(some are negative\)"), (np.nan, "NaN or infinite"), (np.inf, "NaN or infinite")],
)
def test_scaled_values_only_where_they_are_allowed(bad, what, caplog):
    adata = ad.AnnData(np.zeros((2, 3)), layers={"scaled": np.array([[bad, 1, 2], [0, 1, 3.0]])})
    with pytest.raises(ValueError, match=rf"layers\['scaled'\] holds {what}.*; pass layer=.*layers: 'scaled'"):
        log_expression(adata, "scaled")
    np.testing.assert_array_equal(dense(shown_expression(adata, "scaled")[0]), adata.layers["scaled"])
    assert "taken as they are" in caplog.text


def made(kind, n_obs=60, n_vars=80, seed=0):
    """Values of a kind, as people have them."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(1.0, 2.0, n_vars) * rng.uniform(0.5, 2, (n_obs, 1))).astype(np.float64)
    depth = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logged, shares = np.log1p(counts / depth * 1e4), rng.uniform(0.5, 1, counts.shape)
    return {
        "counts": counts,
        "logged": logged,
        "logged at the median": np.log1p(counts / depth * np.median(depth)),
        "logged, some genes": logged[:, ::3],
        "logged without the largest": np.log1p(counts / np.minimum(counts, 5).sum(axis=1, keepdims=True) * 1e4)[:, 1:],
        "log2": np.log2(1 + counts / depth * 1e4),
        "log2 at the median, some genes": np.log2(1 + counts / depth * np.median(depth))[:, ::3],
        "log10": np.log10(1 + counts / depth * 1e4),
        "log10 of a million": np.log10(1 + counts / depth * 1e6),
        "log2 of decimals": np.log2(1 + counts * shares / (counts * shares).sum(axis=1, keepdims=True) * 1e4),
        "logged and corrected": logged * rng.uniform(0.5, 1.5, n_vars),
        "scaled": (logged - logged.mean(axis=0)) / (logged.std(axis=0) + 1),
        "not logged": counts / depth * 1e6,
        "shares": counts / depth,
        "ambient removed": counts * rng.uniform(0.8, 1, counts.shape),
        "expected": counts * 0.97,
        "roots": np.sqrt(counts),
        "missing": np.where(counts == 0, np.nan, counts),
    }[kind]


KINDS = [
    ("counts", "counts"),
    ("logged", "log-normalised"),
    ("logged at the median", "log-normalised"),
    ("logged, some genes", "log-normalised"),
    ("logged without the largest", "log-normalised"),
    ("log2", "log-normalised"),
    ("log2 at the median, some genes", "log-normalised"),
    ("log10", "log-normalised"),
    ("log10 of a million", "log-normalised"),
    ("log2 of decimals", "log-normalised"),
    ("logged and corrected", "unknown"),
    ("scaled", "scaled"),
    ("not logged", "unknown"),
    ("shares", "unknown"),
    ("ambient removed", "unknown"),
    ("expected", "unknown"),
    ("roots", "unknown"),
    ("missing", "not finite"),
]


@pytest.mark.parametrize(
    ("name", "kind", "form"),
    [
        *((*each, sparse.csr_matrix) for each in KINDS),
        *(("counts", "counts", form) for form in (np.asarray, sparse.csc_matrix, sparse.csr_array)),
    ],
)
def test_what_a_matrix_holds(name, kind, form):
    values = made(name)
    found = Expression.judged(form(values), "X", pd.RangeIndex(values.shape[1]).astype(str))
    assert found.kind == kind
    if kind != "not finite":
        np.testing.assert_allclose(found.total, values.sum(axis=1), rtol=1e-4, atol=1e-2)


def test_a_table_may_say_that_its_values_were_logged():
    values = made("logged and corrected")
    adata = ad.AnnData(values, layers={"other": values}, uns={"log1p": {"base": 2}})
    np.testing.assert_allclose(dense(log_expression(adata, None)), values, rtol=1e-6)
    with pytest.raises(ValueError, match=r"layers\['other'\] holds decimals that are neither"):
        log_expression(adata, "other")  # it is X that was logged


def test_logarithms_to_base_2_are_not_to_be_logged_again():
    """Their own rows have about one sum as well, as those of many genes have."""
    counts = np.random.default_rng(0).poisson(3.0, (60, 400)) + 1.5
    values = np.log2(1 + counts / counts.sum(axis=1, keepdims=True) * 1e4)
    found = find_expression(ad.AnnData(values.astype(np.float32)), None)
    assert found.described() == "log-normalised values"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("not logged", "divided by the library size and were not logged"),
        ("expected", "decimals that are neither counts nor log-normalised"),
    ],
)
def test_unlogged_values_and_decimal_counts_do_not_pass_for_logged_ones(name, what):
    with pytest.raises(ValueError, match=f"X holds .*{what}.*round.*log1p"):
        log_expression(ad.AnnData(made(name)), None)


def test_counts_are_looked_for_where_people_keep_them(caplog):
    counts, scaled = made("counts"), made("scaled")
    names = pd.DataFrame(index=[f"g{i}" for i in range(counts.shape[1])])
    expected = log_expression(ad.AnnData(counts, var=names), None)
    in_layer = ad.AnnData(scaled, var=names, layers={"counts": sparse.csc_matrix(counts)})
    in_raw = ad.AnnData(counts, var=names)
    in_raw.raw = in_raw.copy()
    in_raw = in_raw[:, ::-2].copy()
    in_raw.X = scaled[:, ::-2]
    with caplog.at_level("INFO", "multist"):
        np.testing.assert_array_equal(dense(log_expression(in_layer, None)), dense(expected))
        np.testing.assert_array_equal(dense(log_expression(in_raw, None)), dense(expected)[:, ::-2])
    assert "layers['counts'] holds counts and is read; X holds scaled values (some are negative)" in caplog.text
    assert "raw holds counts and is read" in caplog.text


def test_the_best_kind_is_taken_and_the_first_of_it():
    adata = ad.AnnData(made("logged"), layers={"counts": made("counts"), "raw": made("counts", seed=1)})
    assert find_expression(adata, None).where == "X"  # both will do
    assert find_expression(adata, None, (("counts",), ("log-normalised",))).where == "layers['counts']"
    assert find_expression(adata, "raw", (("counts",),)).where == "layers['raw']"
    with pytest.raises(
        ValueError, match=r"X holds log-normalised values; layers\['counts'\] holds counts; .*pass layer="
    ):
        find_expression(adata, None, (("scaled",),))


@pytest.mark.parametrize("chunks", [(7, 80), (60, 80), (25, 30)])
def test_blocks_are_the_rows_whatever_the_chunks(chunks, monkeypatch):
    monkeypatch.setattr("multist.access.blocks._ROWS_AT_ONCE", 10)
    values = made("counts")
    for form in (da.from_array(values, chunks=chunks), values, sparse.csr_matrix(values)):
        spans = list(row_blocks(form))
        assert max(rows.stop - rows.start for rows, _ in spans) <= 10
        np.testing.assert_array_equal(np.concatenate([block.toarray() for _, block in spans]), values)


def test_read_only_unsorted_and_repeated_entries_are_read_and_keep_their_bits():
    values = sparse.csr_matrix(
        (np.array([2.0, 0, 1, 3, 4]), np.array([2, 1, 0, 0, 0]), np.array([0, 3, 5])), shape=(2, 3)
    )
    for array in (values.data, values.indices, values.indptr):
        array.setflags(write=False)
    before = values.indices.tolist()
    (_, block), *_ = row_blocks(values)
    np.testing.assert_array_equal(block.toarray(), [[1, 0, 2], [7, 0, 0]])
    assert block.nnz == 3
    assert values.indices.tolist() == before and values.data.tolist() == [2, 0, 1, 3, 4]


def test_counts_on_disk_are_found_after_their_file_was_closed(tmp_path):
    ad.AnnData(sparse.csr_matrix(COUNTS)).write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    for close in (backed.file.close, lambda: backed.write_h5ad(tmp_path / "b.h5ad")):
        close()
        assert find_expression(backed, None).kind == "counts"


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


def test_counts_of_one_chunk_are_read_once_and_of_several_block_by_block():
    made = []

    def chunk(block: np.ndarray) -> np.ndarray:
        made.append(len(block))
        return block

    counts = np.random.default_rng(0).poisson(3.0, (30, 4)).astype(np.float32)
    for rows, expected in ((30, [30]), (10, [10] * 6)):
        values = da.from_array(counts, chunks=(rows, 4)).map_blocks(chunk, dtype=np.float32, meta=np.zeros((0, 0)))
        made.clear()
        found = Expression.judged(values, "X", pd.Index(list("abcd")))
        np.testing.assert_array_equal(found.to_memory().toarray(), counts)
        assert made == expected


def test_the_spread_of_sums_is_between_their_outer_twentieths_over_the_median():
    sums = np.concatenate([[0.0, -1], np.arange(1.0, 22)])  # quantiles 2, 11 and 20
    assert expression._spread(sums) == pytest.approx(18 / 11)
    assert expression._spread(np.array([5.0, 0])) == np.inf
    assert expression._spread(np.array([5.0, 5])) == 0


def test_whole_multiples_of_the_least_value_are_traces_of_counts():
    """Of each row 60 that are and 40 that are none; what is about the least itself, or too large, tells nothing."""
    whole, broken = np.arange(2.0, 62), np.full(40, 2.5)
    row = np.concatenate([[1.0], whole, broken, [100.0, 1.4]])
    values = np.stack([row, 0.5 * row, np.zeros(len(row))])
    ((spread, share),) = expression._traces_of_counts(values, np.asarray)
    assert share == pytest.approx(0.6)
    assert spread == expression._spread(values.sum(axis=1))
    # fewer than a hundred values tell nothing
    assert expression._traces_of_counts(values[:1, :100], np.asarray)[0][1] == 0
    assert expression._traces_of_counts(values[:1, :101], np.asarray)[0][1] == pytest.approx(0.6)
    near = np.concatenate([[1.0], np.arange(2.0, 52) + 0.019, np.arange(2.0, 52) + 0.021])
    assert expression._traces_of_counts(near[None], np.asarray)[0][1] == pytest.approx(0.5)


@pytest.mark.parametrize(("name", "passes"), [("logged", 1), ("log2", 2), ("logged and corrected", 2)])
def test_the_rare_bases_of_logarithms_take_one_pass_together(name, passes, monkeypatch):
    seen = []
    monkeypatch.setattr(expression, "row_blocks", lambda values: seen.append(values) or row_blocks(values))
    Expression.judged(made(name), "X", pd.RangeIndex(80).astype(str))
    assert len(seen) == passes


def kind_of(values, **kwargs) -> str:
    genes = pd.Index([f"g{i}" for i in range(np.shape(values)[1])])
    return Expression.judged(np.asarray(values, np.float32), "X", genes, **kwargs).kind


def test_kinds_at_their_borders():
    assert kind_of([[0, 1], [3, 0]]) == "counts"
    assert kind_of([[0, 1.5], [3, 0]]) == "unknown"
    assert kind_of([[0, 1.5], [3, 0]], logged=True) == "log-normalised"
    assert kind_of([[0, 19.9], [3.5, 0]], logged=True) == "log-normalised"
    assert kind_of([[0, 20.0], [3.5, 0]], logged=True) == "unknown"  # no logarithm of a count
    assert kind_of([[0, -1.0], [3, 0]]) == "scaled"
    assert kind_of([[0, np.nan], [-3, 0]]) == "not finite"
    assert kind_of([[0, np.inf], [3, 0]]) == "not finite"
