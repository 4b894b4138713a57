"""The benchmark of pseudotime, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_run_gives_a_table_and_json(tmp_path: Path, small_section: Path, run_benchmark):
    options = ["--only", "layered_tissue/small", "--seeds", "1", "--output", "out.json"]
    done = run_benchmark("pseudotime", tmp_path, small_section, *options)
    assert done.returncode == 0, done.stderr
    assert sum("layered_tissue/small" in line and "±" in line for line in done.stdout.splitlines()) == 6
    report = json.loads((tmp_path / "out.json").read_text())
    assert {"multist", "scanpy"} <= set(report["versions"])
    assert all(0 <= one["spearman"] <= one["highest"] < 1 for one in report["runs"])
    assert {one["representation"] for one in report["runs"]} == {"X_multist", "X_pca", "X_floor"}


def test_nothing_to_score_is_said(tmp_path: Path, run_benchmark):
    done = run_benchmark("pseudotime", tmp_path, tmp_path, "--only", "her2st/A1")
    assert done.returncode == 2
    assert "dlpfc" in done.stderr
