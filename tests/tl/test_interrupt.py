"""Ctrl-C at any moment leaves the data as it was, and says so."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import multist as mt
from multist.access import get_table

MOMENTS = {
    "reducing": "multist.model.fitted.section_offsets",
    "second step of training": "multist.model.network.attention._squared_errors",
    "averaging": "multist.model.features.averaging._averages",
    "clustering": "multist.cluster.domains.fit_mixture",
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_run_leaves_nothing_and_says_so(moment, embedded, quick, unchanged, monkeypatch, caplog):
    import importlib

    module, _, name = MOMENTS[moment].rpartition(".")
    owner = importlib.import_module(module)
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

    monkeypatch.setattr("multist.cluster.domains.fit_mixture", interrupted)
    with caplog.at_level(logging.WARNING, "multist"), unchanged(embedded), pytest.raises(KeyboardInterrupt):
        mt.tl.cluster_domains(embedded, 3, use_rep="mine")
    assert "interrupted" in caplog.text


def test_other_errors_are_no_interruption(embedded, quick, monkeypatch, caplog):
    get_table(embedded).obsm["X_pca"][0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        mt.tl.multist_domains(embedded, 7, config=quick)
    assert "interrupted" not in caplog.text
