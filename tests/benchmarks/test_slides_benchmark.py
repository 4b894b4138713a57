"""The benchmark of large slides runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_small_run_gives_a_table_and_json(tmp_path: Path, run_benchmark, one_process):
    done = run_benchmark("slides", tmp_path, "--side", "600", "--spots", "12", "--only", "raw", "normalised")
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()
    assert "peak MB" in header and len(rows) == 2
    report = json.loads((tmp_path / "build" / "benchmarks" / "slides.json").read_text())
    assert {"dask", "tifffile", "multist"} <= set(report["machine"]["versions"])
    assert [list(run["steps"]) for run in report["runs"]] == [["embed"], ["normalise", "embed"]]
    for run in report["runs"]:
        assert run["seconds"] > 0 and run["cpu"] > 0 and run["peak_mb"] > 100
