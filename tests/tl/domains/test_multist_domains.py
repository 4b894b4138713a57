"""Domains from expression, histology and space: what is written, what is reused, and what each modality adds."""

from __future__ import annotations

import logging
import random

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

import multist as mt
from multist.access import get_table
from multist.access.tables import copy_data

pytestmark = pytest.mark.slow


def domains(data, n_domains=7, **kwargs):
    """Run on the data and give back its table."""
    mt.tl.multist_domains(data, n_domains, **kwargs)
    return get_table(data)


@pytest.mark.full_training
def test_neither_modality_alone_suffices_and_both_together_do(large_divided):
    table = large_divided.copy()
    domains(table, use_image=False, key_added="expression")
    domains(table, use_image=False, use_rep="X_histology", key_added="image")
    truth = table.obs["domain"]
    ari = {key: adjusted_rand_score(truth, table.obs[f"{key}_domain"]) for key in ("multist", "expression", "image")}
    assert ari["multist"] >= 0.95
    assert ari["expression"] < 0.85
    assert ari["image"] < 0.85
    # the two kinds of stroma differ in the image only, the two cortices in expression only
    stroma, cortex = (truth.str.startswith(name).to_numpy() for name in ("stroma", "cortex"))
    by_image, by_expression = (
        {key: adjusted_rand_score(truth[rows], table.obs[f"{key}_domain"][rows]) for key in ari}
        for rows in (stroma, cortex)
    )
    assert by_image["multist"] > by_image["expression"] + 0.3
    assert by_expression["multist"] > by_expression["image"] + 0.3


@pytest.mark.parametrize("form", ["spatialdata", "anndata"])
def test_all_stages_from_raw_counts_and_pixels(form, tissue, tissue_table, quick):
    data = tissue if form == "spatialdata" else tissue_table
    counts, genes = get_table(data).X.copy(), get_table(data).var.copy()
    assert mt.tl.multist_domains(data, 7, config=quick) is None
    table = get_table(data)
    assert {"X_pca", "X_histology", "X_multist"} <= set(table.obsm)
    assert {"spatial_connectivities", "spatial_distances"} <= set(table.obsp)
    assert (table.X != counts).nnz == 0
    pd.testing.assert_frame_equal(table.var, genes)
    found = table.obs["multist_domain"]
    assert isinstance(found.dtype, pd.CategoricalDtype)
    assert found.cat.categories.tolist() == [str(k) for k in range(7)]
    assert (np.diff(found.value_counts(sort=False)) <= 0).all() and found.notna().all()
    assert len(table.uns["multist_domain_colors"]) == 7
    for key in ("multist_image_weight", "multist_confidence"):
        assert table.obs[key].between(0, 1).all()
    assert table.obsm["X_multist"].dtype == np.float32 and np.isfinite(table.obsm["X_multist"]).all()
    written = table.uns["multist"]
    assert written["params"]["n_domains"] == 7 and written["params"]["epochs"] == quick.epochs
    assert written["params"]["shape"] == [250, 200]
    assert "torch" in written["versions"] and "multist" in written["versions"]
    assert len(written["losses"]["hidden_expression"]) == 1  # held-out tissue is looked at every ten steps
    assert 0 <= written["image_gain"] < 1 and len(written["structured"]) == 30
    assert 0 <= written["structured_share"] <= 1


def test_both_forms_give_the_same(embedded, embedded_table, quick):
    one, other = domains(embedded, config=quick), domains(embedded_table, config=quick)
    np.testing.assert_allclose(one.obsm["X_multist"], other.obsm["X_multist"], atol=1e-4)
    assert adjusted_rand_score(one.obs["multist_domain"], other.obs["multist_domain"]) > 0.95


@pytest.mark.parametrize("n_domains", [1, 2, 11, 30])
def test_exactly_the_number_asked_for(embedded, quick, n_domains):
    found = domains(embedded, n_domains, config=quick).obs["multist_domain"]
    assert found.nunique() == len(found.cat.categories) == n_domains


def test_what_is_there_is_reused_and_the_log_says_so(embedded, quick, caplog):
    table = get_table(embedded)
    before = {key: table.obsm[key] for key in ("X_pca", "X_histology")} | dict(table.obsp)
    with caplog.at_level(logging.INFO, "multist"):
        domains(embedded, config=quick)
    assert all((table.obsm[key] if key in table.obsm else table.obsp[key]) is before[key] for key in before)
    for key in ("X_pca", "spatial_connectivities", "X_histology"):
        assert f"[{key!r}]" in caplog.text
    assert "running" not in caplog.text


def test_what_is_missing_is_run_and_the_log_says_so(tissue, quick, caplog):
    with caplog.at_level(logging.INFO, "multist"):
        domains(tissue, config=quick)
    for stage in ("embed_expression", "spatial_graph", "embed_histology"):
        assert f"running pp.{stage}" in caplog.text


def test_another_embedding_by_name(embedded, quick):
    table = get_table(embedded)
    table.obsm["mine"] = np.random.default_rng(0).normal(size=(250, 5))
    domains(embedded, config=quick, use_image=False)
    plain = table.obsm["X_multist"].copy()
    domains(embedded, config=quick, use_image=False, use_rep="mine")
    assert table.uns["multist"]["params"]["expression_key"] == "mine"
    assert plain.shape != table.obsm["X_multist"].shape or (plain != table.obsm["X_multist"]).any()


@pytest.mark.parametrize("key", ["X_pca", "X_feat"])
def test_coordinates_and_an_embedding_are_enough(embedded_table, quick, key):
    bare = ad.AnnData(obs=pd.DataFrame(index=embedded_table.obs_names))
    bare.obsm["spatial"] = embedded_table.obsm["spatial"]
    bare.obsm[key] = embedded_table.obsm["X_pca"]
    found = domains(bare, config=quick)
    assert found.obs["multist_domain"].nunique() == 7
    assert (found.obs["multist_image_weight"] == 0).all()
    assert found.n_vars == 0 and set(found.obsm) == {"spatial", key, "X_multist"}


def test_without_the_image_it_is_not_looked_at(tissue, quick):
    table = domains(tissue, config=quick, use_image=False)
    assert "X_histology" not in table.obsm
    assert (table.obs["multist_image_weight"] == 0).all()
    assert table.uns["multist"]["image_gain"] == 0 and "multist_attention" not in table.obsp


def test_auto_takes_the_image_where_there_is_one(telling, embedded_table, quick):
    assert domains(telling, config=quick).obs["multist_image_weight"].mean() > 0
    del embedded_table.uns["spatial"], embedded_table.obsm["X_histology"]
    assert (domains(embedded_table, config=quick).obs["multist_image_weight"] == 0).all()


def test_auto_leaves_an_image_aside_in_which_spots_are_dots(tissue_table, quick, caplog):
    del tissue_table.uns["spatial"]["section1"]["images"]["hires"]
    entry = tissue_table.uns["spatial"]["section1"]
    entry["images"]["lowres"] = entry["images"]["lowres"][::2, ::2]
    entry["scalefactors"]["tissue_lowres_scalef"] /= 2
    with caplog.at_level(logging.WARNING, "multist"):
        table = domains(tissue_table, config=quick)
    assert "the image is ignored" in caplog.text and "use_image=True" in caplog.text
    assert (table.obs["multist_image_weight"] == 0).all()


@pytest.mark.full_training
def test_an_image_of_noise_does_not_count_at_all(telling, quick):
    embedded = telling
    table = domains(embedded, config=quick)
    assert table.obs["multist_image_weight"].mean() > 0.1 and table.uns["multist"]["image_gain"] > 0.01
    domains(embedded, config=quick, use_image=False, key_added="without")
    rng = np.random.default_rng(0)
    for noise in (rng.normal(size=table.obsm["X_histology"].shape), rng.permutation(table.obsm["X_histology"])):
        table.obsm["X_histology"] = noise
        domains(embedded, config=quick, key_added="noise")
        assert (table.obs["noise_image_weight"] == 0).all() and table.uns["noise"]["image_gain"] == 0
        np.testing.assert_array_equal(table.obsm["X_noise"], table.obsm["X_without"])


def test_noise_in_the_pixels_hardly_counts_and_does_no_harm(tissue_table, quick):
    entry = tissue_table.uns["spatial"]["section1"]["images"]
    entry["hires"] = np.random.default_rng(0).integers(0, 256, entry["hires"].shape, dtype=np.uint8)
    table = domains(tissue_table, config=quick)
    domains(tissue_table, config=quick, use_image=False, key_added="without")
    assert table.obs["multist_image_weight"].mean() < 0.02
    fused, alone = (adjusted_rand_score(table.obs["domain"], table.obs[f"{k}_domain"]) for k in ("multist", "without"))
    assert fused > alone - 0.1


def test_a_copy_leaves_the_original_as_it_was(embedded, embedded_table, quick, unchanged):
    for data in (embedded, embedded_table):
        with unchanged(data):
            changed = mt.tl.multist_domains(data, 7, config=quick, copy=True)
        assert type(changed) is type(data)
        assert "multist_domain" in get_table(changed).obs


def test_results_of_two_calls_lie_beside_each_other(embedded, quick):
    domains(embedded, 7, config=quick)
    first = get_table(embedded).obs["multist_domain"].copy()
    table = domains(embedded, 3, config=quick, key_added="coarse")
    pd.testing.assert_series_equal(table.obs["multist_domain"], first)
    assert table.obs["coarse_domain"].nunique() == 3
    assert {"X_multist", "X_coarse"} <= set(table.obsm)
    assert len(table.uns["coarse_domain_colors"]) == table.uns["coarse"]["params"]["n_domains"] == 3
    assert table.uns["multist"]["params"]["n_domains"] == 7


def test_the_stain_reference_stays_beside_the_parameters(embedded, quick):
    get_table(embedded).uns["multist"] = {"stain_reference": np.arange(3)}
    table = domains(embedded, config=quick)
    assert table.uns["multist"]["stain_reference"].tolist() == [0, 1, 2]
    assert "params" in table.uns["multist"]


@pytest.mark.full_training
def test_same_call_same_bits_and_the_global_random_states_are_left_alone(telling, quick):
    embedded = telling
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    other = copy_data(embedded)
    first, again = (domains(each, config=quick, device="cpu") for each in (embedded, other))
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]
    np.testing.assert_array_equal(first.obsm["X_multist"], again.obsm["X_multist"])
    for column in ("domain", "image_weight", "confidence"):
        pd.testing.assert_series_equal(first.obs[f"multist_{column}"], again.obs[f"multist_{column}"])
    moved = domains(other, config=quick, random_state=5, device="cpu")
    assert (moved.obsm["X_multist"] != first.obsm["X_multist"]).any()
