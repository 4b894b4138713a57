"""Tables whose expression is on disk or lazy: the same results, block by block, or a refusal before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt
from multist.access import blocks

SIDE, N_GENES, BLOCK = 12, 40, 48
PAIRS = pd.DataFrame({"source": ["G4"], "target": ["G30"]})


def in_memory() -> ad.AnnData:
    """Two domains, left and right, of half of the genes each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    right = x >= SIDE // 2
    mean = np.where(right[:, None] == (np.arange(N_GENES) >= N_GENES // 2), 6.0, 1.0)
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)), obsm={"spatial": np.c_[x, y] * 20.0})
    adata.var_names, adata.obs_names = [f"G{i}" for i in range(N_GENES)], [f"s{i}" for i in range(len(x))]
    adata.obs["multist_domain"] = pd.Categorical(np.where(right, "right", "left"))
    return adata


def backed(form: Callable) -> Callable[[Path], ad.AnnData]:
    def write(path: Path) -> ad.AnnData:
        adata = in_memory()
        adata.X = form(adata.X)
        adata.write_h5ad(path / "table.h5ad")
        return ad.read_h5ad(path / "table.h5ad", backed="r")

    return write


def lazy(form: Callable) -> Callable[[Path], ad.AnnData]:
    def write(_: Path) -> ad.AnnData:
        adata = in_memory()
        blocks = da.from_array(adata.X.toarray(), chunks=(BLOCK, N_GENES))
        adata.X = blocks.map_blocks(form, dtype=np.float32, meta=form(np.zeros((0, 0), np.float32)))
        return adata

    return write


FORMS = {
    "dense file": backed(lambda x: x.toarray()),
    "sparse file": backed(lambda x: x),
    "dask": lazy(np.asarray),
    "dask of sparse": lazy(sparse.csr_matrix),
}
STEPS = {
    "components": lambda a: mt.pp.embed_expression(a, n_comps=4),
    "graph": mt.pp.spatial_graph,
    "interactions": lambda a: mt.tl.interactions(a, PAIRS, n_perms=20),
    "ligrec": lambda a: mt.tl.ligrec(a, pairs=PAIRS, n_perms=20),
    "sharpness": lambda a: mt.tl.border_sharpness(a, n_null=38),
    "pseudotime": lambda a: mt.tl.pseudotime(a, "left", use_rep="X_pca"),
    "domains": lambda a: mt.tl.multist_domains(a, 2, key_added="found", use_image=False),
    "map": lambda a: mt.pl.domains(a, "G3", show=False),
    "trends": lambda a: mt.pl.pseudotime(a, genes=["G3"], show=False),
    "borders": lambda a: mt.pl.borders(a, show=False),
}


@pytest.fixture
def no_dense_whole(monkeypatch) -> None:
    """No more rows than a block are dense at once."""

    def guarded(read: Callable) -> Callable:
        def checked(self, *args, **kwargs):
            found = read(self, *args, **kwargs)
            dense = isinstance(found, np.ndarray) and found.ndim == 2 and found.shape[1] == N_GENES
            assert not (dense and len(found) > BLOCK), f"{found.shape} values are dense at once"
            return found

        return checked

    monkeypatch.setattr(blocks, "_ROWS_AT_ONCE", BLOCK)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", guarded(h5py.Dataset.__getitem__))
    monkeypatch.setattr(da.Array, "compute", guarded(da.Array.compute))


@pytest.fixture(scope="module")
def expected() -> ad.AnnData:
    adata = in_memory()
    for step in STEPS.values():
        step(adata)
    return adata


@pytest.mark.slow
@pytest.mark.usefixtures("no_dense_whole")
@pytest.mark.parametrize("form", FORMS)
def test_the_chain_gives_the_same_without_the_table_in_memory(form: str, tmp_path: Path, expected: ad.AnnData):
    adata = FORMS[form](tmp_path)
    kind = type(adata.X)
    for step in STEPS.values():
        step(adata)
    np.testing.assert_allclose(adata.obsm["X_pca"], expected.obsm["X_pca"], atol=1e-4)
    np.testing.assert_allclose(adata.obs["multist_pseudotime"], expected.obs["multist_pseudotime"], atol=1e-4)
    assert adata.obs["found_domain"].tolist() == expected.obs["found_domain"].tolist()
    for name in ("interactions", "ligrec"):
        found, other = (each.uns["multist"][name]["pairs"] for each in (adata, expected))
        np.testing.assert_allclose(found["mean"].sort_values(), other["mean"].sort_values(), rtol=1e-5)
    assert type(adata.X) is kind, "the table is still where it was"


def test_a_copy_of_a_table_on_disk_leaves_its_file_open_and_shares_nothing(tmp_path: Path):
    adata = FORMS["sparse file"](tmp_path)
    copied = mt.pp.embed_expression(adata, n_comps=3, copy=True)
    copied.obs.loc["s0", "multist_domain"] = "right"
    copied.obsm["spatial"][0] = -1
    assert not copied.isbacked and "X_pca" not in adata.obsm and "pca" not in adata.uns
    assert adata.obs["multist_domain"].iloc[0] == "left" and adata.obsm["spatial"][0, 0] == 0
    assert adata.X[:2].shape == (2, N_GENES)


@pytest.fixture(scope="module")
def fitted(quick) -> tuple[mt.MultiST, ad.AnnData]:
    """A model, and a table of the same that it has embedded."""
    model, plain = mt.MultiST(quick).fit(in_memory()), in_memory()
    model.embed(plain)
    return model, plain


@pytest.mark.slow
@pytest.mark.usefixtures("no_dense_whole")
@pytest.mark.parametrize("form", FORMS)
def test_a_model_of_another_table_embeds_one_that_is_not_in_memory(form: str, tmp_path: Path, fitted):
    model, plain = fitted
    adata = FORMS[form](tmp_path)
    model.embed(adata)
    np.testing.assert_allclose(adata.obsm["X_multist"], plain.obsm["X_multist"], atol=1e-3)
    assert adata.X[:2].shape == (2, N_GENES)


@pytest.mark.usefixtures("no_dense_whole")
@pytest.mark.parametrize("form", FORMS)
def test_genes_are_summed_by_blocks(form: str, tmp_path: Path):
    adata = FORMS[form](tmp_path)
    adata.var["symbol"] = ["A", "A", *adata.var_names[2:]]
    summed = mt.pp.sum_genes(adata, gene_symbols="symbol")
    np.testing.assert_array_equal(summed.X[:, [0]].toarray().ravel(), in_memory().X[:, :2].sum(axis=1).A1)


def test_a_view_of_a_table_on_disk_is_refused_before_any_work(tmp_path: Path, caplog):
    adata = in_memory()
    adata.obsm["X_pca"] = adata.X[:, :4].toarray()
    adata.write_h5ad(tmp_path / "table.h5ad")
    view = ad.read_h5ad(tmp_path / "table.h5ad", backed="r")[:100]
    caplog.set_level("INFO", "multist")
    for step in [step for name, step in STEPS.items() if name not in ("map", "trends", "borders")]:
        with pytest.raises(ValueError, match=r"a view of a table on disk .* load it by .to_memory\(\) first"):
            step(view)
    assert caplog.messages == [] and view.is_view


def test_a_view_of_a_table_on_disk_is_read_and_copied(tmp_path: Path):
    view = FORMS["sparse file"](tmp_path)[:100]
    mt.pp.spatial_graph(view.to_memory())  # as the refusal says
    assert mt.pp.spatial_graph(view, copy=True).obsp["spatial_connectivities"].shape == (100, 100)
    assert mt.pl.domains(view, show=False).get_title() == "domains"
    assert view.is_view


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_lazy_table_is_refused_at_once_with_what_to_do(tmp_path: Path):
    in_memory().write_zarr(tmp_path / "table.zarr")
    table = ad.experimental.read_lazy(tmp_path / "table.zarr")
    words = r"is lazy \(anndata.experimental.read_lazy\); load it by .to_memory\(\) first"
    for step in (*STEPS.values(), mt.pp.sum_genes):
        with pytest.raises(TypeError, match=words):
            step(table)
