"""The benchmark of what bounds the domains, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import multist as mt


@pytest.mark.slow
def test_the_truth_shown_is_no_worse_than_what_was_found(tmp_path: Path, run_benchmark):
    tissue = mt.datasets.layered_tissue(n_spots=250, n_genes=100, image_size=400, format="anndata")
    (tmp_path / "layered_tissue").mkdir()
    tissue.write_h5ad(tmp_path / "layered_tissue" / "small.h5ad")
    done = run_benchmark("bounds", tmp_path, tmp_path, "--seeds", "1", "--output", "out.json")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert run["shown"] >= run["found"] > 0.3
    assert "layered_tissue/small" in done.stdout
