"""Genes that share a name: refused wherever genes go by name, and one where somebody asks for their sum."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt

pytestmark = pytest.mark.filterwarnings("ignore:Variable names")

TWIN = "G1"


def section(n: int = 12, seed: int = 0) -> ad.AnnData:
    """Two domains of 24 genes.

    Columns 1 and 20 are one gene, which is in the left half by the one and in the right half by the other.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n].reshape(2, -1)
    right = x >= n // 2
    mean = np.where(right[:, None] == (np.arange(24) >= 12), 8.0, 1.0)
    names = [f"G{i}" for i in range(24)]
    names[20] = TWIN
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.int16)), obsm={"spatial": np.c_[x, y] * 10.0})
    adata.obs["multist_domain"] = pd.Categorical(np.where(right, "right", "left"))
    adata.obs["multist_pseudotime"] = x / x.max()
    adata.var["symbol"], adata.var_names = names, [f"ENSG{i:03}" for i in range(24)]
    adata.layers["dense"] = adata.X.toarray()
    adata.obs_names = [f"s{i}" for i in range(adata.n_obs)]
    return adata


def by_name(seed: int = 0) -> ad.AnnData:
    adata = section(seed=seed)
    adata.var_names = adata.var["symbol"].astype(str)
    return adata


PAIRS = pd.DataFrame({"source": [TWIN], "target": ["G15"]})
PLACES = {
    "interactions": lambda a: mt.tl.interactions(a, PAIRS, n_perms=20),
    "ligrec": lambda a: mt.tl.ligrec(a, pairs=PAIRS, n_perms=20),
    "map of a gene": lambda a: mt.pl.domains(a, TWIN, show=False),
    "trend of a gene": lambda a: mt.pl.pseudotime(a, genes=[TWIN], show=False),
    "projection": lambda a: mt.pp.embed_expression(a, reference=embedded(), n_comps=3),
    "several tables": lambda a: mt.tl.multist_domains([a, by_name(1)], 2, use_image=False),
    "counts in raw": lambda a: mt.pl.domains(in_raw(a), TWIN, show=False),
}


def embedded() -> ad.AnnData:
    other = mt.pp.sum_genes(by_name(3))
    mt.pp.embed_expression(other, n_comps=3)
    return other


def in_raw(adata: ad.AnnData) -> ad.AnnData:
    scaled = adata.copy()
    scaled.raw = adata
    scaled.X = adata.X.toarray().astype(float) - 1
    del scaled.layers["dense"]
    return scaled


@pytest.mark.parametrize("place", PLACES)
def test_a_shared_name_is_refused_wherever_genes_go_by_name(place: str, unchanged):
    adata = by_name()
    with unchanged(adata), pytest.raises(ValueError, match=rf"'{TWIN}' names several genes.*multist\.pp\.sum_genes"):
        PLACES[place](adata)


@pytest.mark.slow
def test_genes_of_other_names_are_not_held_up():
    adata = by_name()
    mt.tl.interactions(adata, pd.DataFrame({"source": ["G2"], "target": ["G15"]}), n_perms=20)
    mt.pl.domains(adata, "G2", show=False)


@pytest.mark.parametrize("symbols", [None, "symbol"])
def test_counts_are_added_up_in_a_copy(symbols, unchanged):
    adata = section() if symbols else by_name()
    with unchanged(adata):
        summed = mt.pp.sum_genes(adata, gene_symbols=symbols)
    assert list(summed.var_names) == [f"G{i}" for i in range(24) if i != 20]
    x = adata.X.toarray()
    np.testing.assert_array_equal(summed[:, TWIN].X.toarray().ravel(), x[:, 1] + x[:, 20])
    np.testing.assert_array_equal(summed.layers["dense"], summed.X.toarray())
    np.testing.assert_array_equal(summed.X.toarray().sum(axis=1), x.sum(axis=1))
    np.testing.assert_array_equal(summed.obsm["spatial"], adata.obsm["spatial"])


def test_sums_of_bytes_do_not_wrap():
    adata = ad.AnnData(np.full((3, 2), 200, np.uint8))
    adata.var_names = ["a", "a"]
    assert (mt.pp.sum_genes(adata).X == 400).all()


def test_names_that_are_missing_in_the_column_are_those_of_the_table():
    adata = section()
    adata.var["symbol"] = adata.var["symbol"].where(adata.var["symbol"] != "G5")
    assert "ENSG005" in mt.pp.sum_genes(adata, gene_symbols="symbol").var_names


def test_logarithms_are_not_added_up(unchanged):
    adata = by_name()
    adata.layers["log"] = adata.X.astype(np.float32).log1p()
    with unchanged(adata), pytest.raises(ValueError, match=r"layers\['log'\] holds .*sum the counts first"):
        mt.pp.sum_genes(adata)


def test_the_table_of_a_spatialdata_is_another_one(tissue):
    table = tissue.tables["table"]
    table.var["symbol"] = ["A", "A", *table.var_names[2:]]
    summed = mt.pp.sum_genes(tissue, gene_symbols="symbol")
    assert summed.tables["table"].n_vars == table.n_vars - 1 == tissue.tables["table"].n_vars - 1
    assert set(summed.images) == set(tissue.images)
    mt.pp.spatial_graph(summed)
