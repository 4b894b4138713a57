"""A user's threads and generators are respected by the whole call, and ``random_state`` reaches each of its stages."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest
import torch

import multist as mt
from multist.pp import _expression_axes, _normalize_histology
from multist.tl import MultiSTConfig


def test_domains_do_not_depend_on_the_number_of_cores(telling_table, quick, monkeypatch):
    """Sums in another order decide between divisions that are nearly as likely, so there is one order."""
    from threadpoolctl import ThreadpoolController, threadpool_limits

    from multist.cluster import domains

    def numbers() -> set[int]:
        return {each["num_threads"] for each in ThreadpoolController().select(user_api="blas").info()}

    seen, find = [], domains.find_domains
    monkeypatch.setattr(domains, "find_domains", lambda *a, **k: seen.append(numbers()) or find(*a, **k))
    with threadpool_limits(2):
        mt.tl.multist_domains(telling_table, 3, config=quick, use_image=False)
        assert numbers() == {2}
    assert seen == [{1}]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [MultiSTConfig(epochs=4), replace(MultiSTConfig.published(), epochs=4)], ids=["own", "published"]
)
def test_a_run_on_the_cpu_does_not_seed_the_users_accelerator(config, telling_table, monkeypatch):
    seeded = []
    for name in ("manual_seed", "manual_seed_all", "seed", "seed_all", "set_rng_state", "set_rng_state_all"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: seeded.append(name))
    torch.manual_seed(0)
    assert seeded == ["manual_seed_all"], "this is how torch would do it"
    mt.tl.multist_domains(telling_table, 3, config=config, device="cpu")
    assert seeded == ["manual_seed_all"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "list"])
def test_the_seed_reaches_the_components_that_are_made_on_the_way(form, sections, monkeypatch):
    monkeypatch.setattr(_expression_axes, "_MAX_EXACT_SPOTS", 150)  # of 250 spots or of both sections' 500

    def components(seed: int) -> np.ndarray:
        tables = [table.copy() for table in sections]
        model = mt.MultiST(MultiSTConfig(epochs=1), device="cpu", random_state=seed)
        model.fit(tables[0] if form == "table" else tables, use_image=False)
        return model._fitted.recipe.axes["loadings"]

    first, other = components(3), components(4)
    assert np.abs(first - other).max() > 1e-3


def test_the_seed_of_expression_is_that_of_the_spots_that_are_sampled(tissue_table, monkeypatch):
    monkeypatch.setattr(_expression_axes, "_MAX_EXACT_SPOTS", 150)
    first, again, other = (mt.pp.embed_expression(tissue_table, random_state=s, copy=True) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.obsm["X_pca"], again.obsm["X_pca"])
    assert np.abs(first.obsm["X_pca"] - other.obsm["X_pca"]).max() > 1e-3
    assert other.uns["pca"]["params"]["random_state"] == 1


@pytest.mark.slow
def test_the_seed_of_the_stain_is_that_of_the_patches_that_are_looked_at(tissue_table, monkeypatch):
    monkeypatch.setattr(_normalize_histology, "_MAX_CANDIDATES", 60)

    def rows(seed: int) -> ad.AnnData:
        return mt.pp.normalize_histology(tissue_table, random_state=seed, copy=True).uns["multist"]["stain_reference"]

    first, again, other = (rows(seed) for seed in (0, 0, 1))
    assert str(first) == str(again) != str(other)
