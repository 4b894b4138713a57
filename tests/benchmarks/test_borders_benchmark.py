"""The benchmark of borders, as its command runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "borders.py"


@pytest.mark.slow
def test_a_run_gives_tables_and_json(tmp_path: Path):
    command = [sys.executable, str(BENCHMARK), "--seeds", "1", "--spots", "700", "--output", "out.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| cortex_a, cortex_b | expression | 1 |" in done.stdout
    assert "| stroma_loose, stroma_dense | histology | 1 |" in done.stdout
    assert (
        sum(line.startswith(("| both |", "| expression |", "| histology |")) for line in done.stdout.splitlines()) == 3
    )
    report = json.loads((tmp_path / "out.json").read_text())
    assert {"multist", "anndata"} <= set(report["versions"])
    assert {row["divided_by"] for row in report["false"]} == {"both", "expression", "histology"}
