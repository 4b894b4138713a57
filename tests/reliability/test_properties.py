"""What may change in the input without changing the result, tried on many small tissues.

Each tolerance is for what arithmetic alone moves, and says why there is one; :doc:`/reliability` lists them.
"""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

import multist as mt
from multist.model.config import MultiSTConfig

few = settings(
    max_examples=2, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
seeds = st.integers(0, 50)
FIELDS = ("multist_domain", "multist_confidence", "multist_image_weight")


def divided(table: ad.AnnData, *, guided: bool = False, **options) -> ad.AnnData:
    """A copy with domains; from expression and space unless the options say otherwise."""
    which = {"labels_key": "annotation"} if guided else {"n_domains": 3}
    given = {"use_image": False, "device": "cpu", "config": MultiSTConfig(epochs=2)} | which | options
    return mt.tl.multist_domains(table, copy=True, **given)


def assert_same_bits(now: ad.AnnData, before: ad.AnnData, rows: np.ndarray | slice = slice(None)) -> None:
    for name in FIELDS:
        pd.testing.assert_series_equal(now.obs[name], before.obs[name].iloc[rows], check_names=False)
    np.testing.assert_array_equal(now.obsm["X_multist"], before.obsm["X_multist"][rows])


def assert_alike(now: ad.AnnData, before: ad.AnnData, rows: np.ndarray | slice = slice(None)) -> None:
    """The same partition but for two spots in a hundred, by whatever names."""
    found, expected = now.obs["multist_domain"], before.obs["multist_domain"].iloc[rows]
    assert adjusted_rand_score(expected, found) > 0.95


both = pytest.mark.parametrize("guided", [False, True], ids=["unguided", "labels_key"])


@pytest.mark.slow
@both
@few
@given(seed=seeds)
def test_rows_in_another_order(new_tissue, guided, seed):
    table = new_tissue(seed)
    order = np.random.default_rng(seed).permutation(table.n_obs)
    before, now = divided(table, guided=guided), divided(table[order].copy(), guided=guided)
    assert_alike(now, before, order)


def moved(table: ad.AnnData, angle: float, scale: float, shift: tuple[float, float]) -> ad.AnnData:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    table = table.copy()
    table.obsm["spatial"] = scale * table.obsm["spatial"] @ turn.T + shift
    return table


@pytest.mark.slow
@both
@few
@given(
    seed=seeds,
    angle=st.floats(0, 2 * np.pi),
    scale=st.floats(0.01, 100),
    shift=st.tuples(*[st.floats(-1e5, 1e5)] * 2),
)
def test_places_moved_turned_and_scaled(new_tissue, guided, seed, angle, scale, shift):
    table = new_tissue(seed)
    del table.uns["spatial"]
    before, now = divided(table, guided=guided), divided(moved(table, angle, scale, shift), guided=guided)
    assert (before.obsp["spatial_connectivities"] != now.obsp["spatial_connectivities"]).nnz == 0
    # unguided, places are read by the graph alone; folds of strokes are cut along
    # their axes, where a tie may fall the other way
    (assert_alike if guided else assert_same_bits)(now, before)


def with_image(table: ad.AnnData, image: np.ndarray, xy: np.ndarray) -> ad.AnnData:
    table = table.copy()
    table.obsm["spatial"] = xy
    table.uns["spatial"]["tissue"]["images"]["hires"] = np.ascontiguousarray(image)
    return table


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "moved by whole pixels": lambda i, xy: (np.pad(i, ((48, 0), (64, 0), (0, 0)), constant_values=240), xy + [64, 48]),
    "turned by a quarter": lambda i, xy: (
        i.transpose(1, 0, 2)[::-1],
        np.column_stack([xy[:, 1], i.shape[1] - xy[:, 0]]),
    ),
    "mirrored": lambda i, xy: (i[:, ::-1], np.column_stack([i.shape[1] - xy[:, 0], xy[:, 1]])),
}


@both
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@settings(few, max_examples=1)
@given(seed=seeds)
def test_image_and_places_moved_together(new_tissue, guided, way, seed):
    table = new_tissue(seed)
    image = table.uns["spatial"]["tissue"]["images"]["hires"]
    other = with_image(table, *WAYS[way](image, table.obsm["spatial"]))
    before, now = (divided(each, guided=guided, use_image=True) for each in (table, other))
    assert_alike(now, before)


@pytest.mark.slow
@settings(few, max_examples=1)
@given(seed=seeds, factor=st.sampled_from([0.125, 0.5, 4.0]))
def test_places_in_another_unit_with_the_scale_of_the_image(new_tissue, seed, factor):
    table, other = new_tissue(seed), new_tissue(seed)
    other.obsm["spatial"] = other.obsm["spatial"] * factor
    factors = other.uns["spatial"]["tissue"]["scalefactors"]
    factors["tissue_hires_scalef"] /= factor
    factors["spot_diameter_fullres"] *= factor
    # powers of two are exact
    assert_same_bits(divided(other, use_image=True), divided(table, use_image=True))


@pytest.mark.slow
@few
@given(seed=seeds, names=st.permutations(range(30)))
def test_genes_by_other_names(new_tissue, seed, names):
    table, other = new_tissue(seed), new_tissue(seed)
    other.var_names = [f"ENSG{i:011d}" for i in names]
    assert_same_bits(divided(other), divided(table))


FORMS: dict[str, Callable[[sparse.csr_matrix], object]] = {
    "compressed columns": lambda x: x.tocsc(),
    "dense": lambda x: x.toarray(),
    "dense, column after column": lambda x: np.asfortranarray(x.toarray()),
    "sparse array": sparse.csr_array,
    "double": lambda x: x.astype(np.float64),
    "whole numbers": lambda x: x.astype(np.int32),
    "entries of a row backwards": lambda x: _backwards(x),
    "chunks of 10": lambda x: da.from_array(x.toarray(), chunks=(10, 7)),
    "chunks of 100, sparse": lambda x: da.from_array(x.toarray(), chunks=(100, 30)).map_blocks(sparse.csr_matrix),
}


def _backwards(x: sparse.csr_matrix) -> sparse.csr_matrix:
    rows = [slice(a, b) for a, b in zip(x.indptr, x.indptr[1:], strict=False)]
    order = np.concatenate([np.arange(row.start, row.stop)[::-1] for row in rows])
    return sparse.csr_matrix((x.data[order], x.indices[order], x.indptr), shape=x.shape)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@settings(few, max_examples=1)
@given(seed=seeds)
def test_counts_in_another_form(new_tissue, form, seed):
    table, other = new_tissue(seed), new_tissue(seed)
    other.X = FORMS[form](other.X)
    assert_same_bits(divided(other), divided(table))


@pytest.mark.slow
def test_a_table_on_disk(table, tmp_path):
    expected = divided(table)
    table.write_h5ad(tmp_path / "tissue.h5ad")
    backed = ad.read_h5ad(tmp_path / "tissue.h5ad", backed="r")
    assert_same_bits(divided(backed), expected)
    table.write_zarr(tmp_path / "tissue.zarr")
    lazy = ad.experimental.read_lazy(tmp_path / "tissue.zarr")
    assert_same_bits(divided(lazy), expected)


@pytest.mark.slow
@few
@given(seed=seeds, n_more=st.integers(1, 40))
def test_genes_that_nothing_expresses(new_tissue, seed, n_more):
    table = new_tissue(seed)
    silent = sparse.csr_matrix((table.n_obs, n_more), dtype=table.X.dtype)
    var = pd.DataFrame(index=[*table.var_names, *(f"silent{i}" for i in range(n_more))])
    other = ad.AnnData(sparse.hstack([table.X, silent], format="csr"), table.obs, var, table.uns, obsm=dict(table.obsm))
    assert_same_bits(divided(other), divided(table))


@pytest.mark.slow
@both
@few
@given(seed=seeds, name=st.text("abcxyz ", min_size=1, max_size=5).filter(str.strip))
def test_a_category_that_nothing_has(new_tissue, guided, seed, name):
    table, other = new_tissue(seed), new_tissue(seed)
    for column in ("annotation", "truth"):
        other.obs[column] = other.obs[column].cat.add_categories([name])
    section = {} if guided else {"library_key": "truth", "n_domains": 2}
    before, now = divided(table, guided=guided, **section), divided(other, guided=guided, **section)
    assert_same_bits(now, before)
    assert list(now.obs["multist_domain"].cat.categories) == list(before.obs["multist_domain"].cat.categories)


@few
@given(seed=seeds, away=st.sampled_from([1e4, 1e6]))
def test_a_far_section_joins_no_neighbours_and_changes_no_graph(new_tissue, seed, away):
    table, far = new_tissue(seed), new_tissue(seed + 100)
    for each in (table, far):
        del each.uns["spatial"]
    alone = mt.pp.spatial_graph(table, copy=True)
    far.obsm["spatial"] = far.obsm["spatial"] + away
    joint = ad.concat({"here": table, "there": far}, label="section", index_unique="-")
    mt.pp.spatial_graph(joint, library_key="section")
    here = slice(0, table.n_obs)
    for name in ("spatial_connectivities", "spatial_distances"):
        assert (joint.obsp[name][here, here] != alone.obsp[name]).nnz == 0
        assert joint.obsp[name][here, table.n_obs :].nnz == 0


def test_where_a_section_lies_changes_no_other(new_tissue):
    results = []
    for away in (0.0, 1e3, 1e7):
        tables = [new_tissue(0), new_tissue(1)]
        for each in tables:
            del each.uns["spatial"]
        tables[1].obsm["spatial"] = tables[1].obsm["spatial"] + away
        joint = ad.concat(dict(zip("ab", tables, strict=True)), label="section", index_unique="-")
        results.append(divided(joint, library_key="section"))
    for other in results[1:]:
        assert_same_bits(other, results[0])


def test_a_model_divides_a_section_the_same_whatever_else_is_there(new_tissue):
    tables = [new_tissue(0), new_tissue(0), new_tissue(7)]
    model = mt.MultiST(MultiSTConfig(epochs=0), device="cpu").fit(tables[0], use_image=False)
    model.cluster(tables[0], 3)
    model.predict(tables[1])
    assert (tables[1].obs["multist_domain"].astype(str) == tables[0].obs["multist_domain"].astype(str)).mean() > 0.97
    expected = tables[1].obs["multist_domain"].copy()
    model.predict(tables[2])
    again = new_tissue(0)
    model.predict(again)
    pd.testing.assert_series_equal(again.obs["multist_domain"], expected)
