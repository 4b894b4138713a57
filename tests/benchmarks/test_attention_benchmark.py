"""The benchmark of attention, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import multist as mt


def test_equal_weights_give_one_and_the_own_domain_counts(load):
    attention = load("attention")
    truth = pd.Series(["a", "a", "b", "b", None], dtype=object)
    near = sp.csr_matrix(
        np.array([[0, 1, 1, 0, 0], [1, 0, 1, 1, 1], [1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 0]], float)
    )
    equal = sp.csr_matrix(near.multiply(1 / near.sum(axis=1)))
    # the fourth spot sees its own domain only, the fifth has none
    assert attention.ratio_at_borders(equal, truth) == (pytest.approx(1), 3)
    same = np.equal.outer(truth.to_numpy(), truth.to_numpy()).astype(float)
    assert attention.ratio_at_borders(sp.csr_matrix(near.multiply(1 + 2 * same)), truth) == (pytest.approx(3), 3)
    assert attention.ratio_at_borders(sp.csr_matrix(near.multiply(3 - 2 * same)), truth)[0] == pytest.approx(1 / 3)


@pytest.mark.slow
def test_a_run_gives_tables_and_json(tmp_path: Path, run_benchmark, monkeypatch):
    monkeypatch.setattr("multist.model.features.image_gain._MOST_DEALS", 1)
    tissue = mt.datasets.layered_tissue(n_spots=400, n_genes=100, image_size=600, format="anndata")
    (tmp_path / "layered_tissue").mkdir()
    tissue.write_h5ad(tmp_path / "layered_tissue" / "small.h5ad")
    del tissue.uns["spatial"]
    tissue.write_h5ad(tmp_path / "layered_tissue" / "without.h5ad")
    done = run_benchmark("attention", tmp_path, tmp_path, "--seeds", "1", "--output", "out.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    (run,) = report["runs"]
    assert run["section"] == "layered_tissue/small" and {"multist", "torch"} <= set(report["machine"]["versions"])
    assert run["attention_error"] < run["neighbours_error"] and run["attention_gain"] > 0
    assert run["attention_error"] < min(run["shuffled_error"], run["noise_error"])
    assert run["attention_ratio"] > 1.2 and run["untrained_ratio"] == pytest.approx(1, abs=0.15)
    assert run["border_spots"] > 50
    assert done.stdout.count("| layered_tissue/small |") == 2 and "| **mean** |" in done.stdout
