"""The benchmark of borders, as its command runs it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

import multist as mt


@pytest.mark.slow
def test_a_run_gives_tables_and_json(tmp_path: Path, run_benchmark, monkeypatch):
    monkeypatch.setattr(mt.tl, "border_sharpness", partial(mt.tl.border_sharpness, n_null=40))
    done = run_benchmark("borders", tmp_path, "--seeds", "1", "--spots", "450", "--output", "out.json")
    assert done.returncode == 0, done.stderr
    assert "| cortex_a, cortex_b | expression | 1 |" in done.stdout
    assert "| stroma_loose, stroma_dense | histology | 1 |" in done.stdout
    assert (
        sum(line.startswith(("| both |", "| expression |", "| histology |")) for line in done.stdout.splitlines()) == 3
    )
    report = json.loads((tmp_path / "out.json").read_text())
    assert {"multist", "anndata"} <= set(report["versions"])
    assert {row["divided_by"] for row in report["false"]} == {"both", "expression", "histology"}
