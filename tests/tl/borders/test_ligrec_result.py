"""A stored result in squidpy's form."""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import multist as mt


@pytest.fixture(scope="module")
def solved(pairs: pd.DataFrame) -> ad.AnnData:
    adata = mt.datasets.layered_tissue(n_spots=400, n_genes=100, with_image=False, format="anndata")
    adata.X = adata.X.toarray()
    adata.X[adata.obs["domain"] == "rim", adata.var_names.get_loc("MET")] = 0
    mt.tl.interactions(adata, pairs, cluster_key="domain", n_perms=50, threshold=0.1, min_edges=5)
    return adata


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_is_what_squidpy_itself_finds(solved: ad.AnnData, pairs: pd.DataFrame):
    import scanpy as sc
    import squidpy as sq

    found = mt.tl.ligrec_result(solved)
    adata = solved.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    expected = sq.gr.ligrec(
        adata,
        "domain",
        interactions=pairs,
        clusters=list(found["means"].columns),
        use_raw=False,
        copy=True,
        n_perms=50,
        seed=0,
        threshold=0.1,
        n_jobs=1,
        show_progress_bar=False,
    )
    assert set(found) == set(expected)
    order = expected["means"].index
    assert found["means"].columns.equals(expected["means"].columns)
    assert expected["pvalues"].isna().to_numpy().any()  # squidpy leaves out what is not expressed
    for name in ("means", "pvalues"):
        pd.testing.assert_frame_equal(
            found[name].loc[order], expected[name], check_exact=False, rtol=1e-5, check_dtype=False
        )
    assert found["metadata"].index.names == expected["metadata"].index.names


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_squidpy_draws_it_also_after_a_file(solved: ad.AnnData, tmp_path):
    import squidpy as sq

    solved.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    found, before = mt.tl.ligrec_result(back), mt.tl.ligrec_result(solved)
    for name in ("means", "pvalues"):
        pd.testing.assert_frame_equal(found[name], before[name])
    sq.pl.ligrec(found, alpha=0.05, save=tmp_path / "dict.png")
    back.uns["domain_ligrec"] = found
    sq.pl.ligrec(back, "domain", save=tmp_path / "table.png")
    plt.close("all")
    for name in ("dict.png", "table.png"):
        assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_in_squidpys_figure_the_rows_of_significant_pairs_are_marked(solved: ad.AnnData):
    import squidpy as sq

    alpha = 0.05
    found = mt.tl.ligrec_result(solved)["pvalues"]
    sq.pl.ligrec(mt.tl.ligrec_result(solved), alpha=alpha)
    ax = next(ax for ax in plt.gcf().axes if len(ax.get_yticklabels()) == len(found))
    rows = [text.get_text() for text in ax.get_yticklabels()]
    marks = pd.Series([rows[int(y)] for _, y in ax.collections[-1].get_offsets()]).value_counts()
    plt.close("all")
    significant = (found.to_numpy() <= alpha).sum(axis=1)
    assert len(set(significant)) > 2
    assert [marks.get(" | ".join(pair), 0) for pair in found.index] == significant.tolist()


@pytest.mark.slow
def test_only_domains_that_touch_are_columns(solved: ad.AnnData):
    columns = mt.tl.ligrec_result(solved)["means"].columns
    assert ("rim", "cortex_a") in columns and ("cortex_a", "rim") in columns
    assert ("rim", "band") not in columns and ("rim", "rim") not in columns
    assert np.isfinite(mt.tl.ligrec_result(solved)["means"].to_numpy()).all()
