"""The benchmark of calls measures each in a process of its own."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest


@pytest.mark.slow
def test_each_call_is_measured_by_itself(load, monkeypatch, tmp_path: Path):
    calls = load("calls")
    for name in ("bare", "full"):
        ad.AnnData(np.zeros((3, 2))).write_h5ad(tmp_path / f"{name}.h5ad")
    many = {"idle": lambda *_: None, "large": lambda *_: np.ones((4000, 4000)).sum()}
    monkeypatch.setattr(calls, "CALLS", many)
    found = calls.measure(tmp_path)
    assert list(found) == ["idle", "large"] and found["large"]["peak_mb"] > found["idle"]["peak_mb"] + 100
    assert all(one["seconds"] >= 0 for one in found.values())
