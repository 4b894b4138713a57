"""The benchmark of halves and thinned counts, as its command runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

import multist as mt

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "generalisation.py"


def test_halves_and_thinned_counts_are_scored(tmp_path: Path):
    tissue = mt.datasets.layered_tissue(n_spots=300, n_genes=100, image_size=400, with_image=False, format="anndata")
    (tmp_path / "layered_tissue").mkdir()
    tissue.write_h5ad(tmp_path / "layered_tissue" / "small.h5ad")
    command = [sys.executable, str(BENCHMARK), str(tmp_path), "--seeds", "1", "--output", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert [run["made"] for run in runs] == ["left", "right", "low", "high", *["draw 0", "draw 1"] * 3]
    methods = ("floor", "default", "square roots")
    half, shallow = (
        np.mean([run[method] for run in runs if run["kind"] == kind for method in methods])
        for kind in ("half", "15% of the molecules")
    )
    assert half > 0.3 and half > shallow
    assert "| layered_tissue/small | 50% of the molecules | 2 |" in done.stdout
    assert "| **all** | | 10 |" in done.stdout
