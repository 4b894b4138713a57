"""Ctrl-C at any moment leaves the data as it was, and says so."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import torch

import multist as mt
from multist.access import copy_data, get_table

MOMENTS = {
    "reducing": "multist.model.tokens.spatial_factors",
    "second step of training": "multist.model.objective.Objective.forward",
    "embedding": "multist.model.training.read",
    "clustering": "multist.cluster.domains.consensus",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_run_leaves_nothing_and_says_so(moment, embedded, quick, unchanged, monkeypatch, caplog):
    import importlib

    module, _, name = MOMENTS[moment].rpartition(".")
    owner = importlib.import_module(module.removesuffix(".Objective"))
    owner = owner.Objective if module.endswith("Objective") else owner
    original, calls = getattr(owner, name), []

    def interrupted(*args, **kwargs):
        calls.append(name)
        if moment.startswith("second") and len(calls) == 1:
            return original(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)
    state = torch.get_rng_state()
    with caplog.at_level(logging.WARNING, "multist"), unchanged(embedded), pytest.raises(KeyboardInterrupt):
        mt.tl.multist_domains(embedded, 7, config=quick)
    assert calls and caplog.text.count("interrupted: the data is as it was") == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_dividing_again_can_be_interrupted_too(embedded, unchanged, monkeypatch, caplog):
    table = get_table(embedded)
    table.obsm["mine"] = np.random.default_rng(0).normal(size=(table.n_obs, 3))

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("multist.cluster.domains.consensus", interrupted)
    with caplog.at_level(logging.WARNING, "multist"), unchanged(embedded), pytest.raises(KeyboardInterrupt):
        mt.tl.cluster_domains(embedded, 3, use_rep="mine")
    assert "interrupted" in caplog.text


def test_other_errors_are_no_interruption(embedded, quick, monkeypatch, caplog):
    get_table(embedded).obsm["X_pca"][0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        mt.tl.multist_domains(embedded, 7, config=quick)
    assert "interrupted" not in caplog.text


def test_after_an_interruption_the_same_call_goes_on(embedded, quick, unchanged, monkeypatch, tmp_path):
    from multist.model import resume
    from multist.model.objective import Objective

    def run(data, **options):
        mt.tl.multist_domains(data, 7, config=quick, resume=tmp_path / "training", **options)
        return get_table(data)

    expected = copy_data(embedded)
    mt.tl.multist_domains(expected, 7, config=quick)
    original, calls = Objective.forward, []

    def forward(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(resume, "EVERY", 0)
    monkeypatch.setattr(Objective, "forward", forward)
    with unchanged(embedded), pytest.raises(KeyboardInterrupt):
        run(embedded)
    found, expected = run(embedded), get_table(expected)
    assert len(calls) == 4  # of three steps the last one again, and it alone
    np.testing.assert_array_equal(found.obsm["X_multist"], expected.obsm["X_multist"])
    pd.testing.assert_series_equal(found.obs["multist_domain"], expected.obs["multist_domain"])
    np.testing.assert_array_equal(found.uns["multist"]["losses"]["image"], expected.uns["multist"]["losses"]["image"])
    with unchanged(embedded), pytest.raises(ValueError, match="other data, constants or seed"):
        run(embedded, random_state=1)
