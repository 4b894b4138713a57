"""The benchmark of interactions, as its command runs it."""

from __future__ import annotations

import json
from functools import partial
from types import ModuleType

import numpy as np
import pytest

import multist as mt


@pytest.fixture
def benchmark(load) -> ModuleType:
    return load("interactions")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_prints_tables_and_writes_every_run(benchmark: ModuleType, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "PATCH_SIZES", (5,))
    monkeypatch.setattr(benchmark, "LENGTHS", (4,))
    monkeypatch.setattr(benchmark, "PATCHY_PAIRS", 5)
    monkeypatch.setattr(mt.tl, "interactions", partial(mt.tl.interactions, n_perms=200))
    output = tmp_path / "new" / "runs.json"
    argv = ["--seeds", "1", "--background", "5", "--spots", "1200", "--output", str(output)]
    assert benchmark.main(argv) == 0
    printed = capsys.readouterr().out
    assert "12 pairs, 1 tissues" in printed and "17 pairs, 1 tissues" in printed and "| 4 spots |" in printed
    report = json.loads(output.read_text())
    assert len(report["runs"]) == 2 * len(benchmark.TITLES)
    runs = {run["method"]: run for run in report["runs"] if run["background"] == 0}
    assert runs["border"]["found"] >= 5 and runs["border"]["false"] == 0
    assert runs["ligrec"]["false"] > runs["cluster"]["false"] > 0
    assert {"multist", "squidpy"} <= set(report["machine"]["versions"])


def test_a_call_counts_if_it_is_planted_there_and_in_this_direction(benchmark: ModuleType):
    planted = {("L", "R", "a", "b"), ("M", "S", "a", "b")}
    counted = benchmark.compared({("L", "R", "a", "b"), ("L", "R", "b", "a"), ("L", "R", "a", "c")}, planted)
    assert (counted["found"], counted["false"], counted["planted"]) == (1, 2, 2)
    assert counted["false_share"] == pytest.approx(2 / 3)
    assert benchmark.compared(set(), planted)["false_share"] == 0


@pytest.mark.slow
def test_the_fields_are_as_smooth_as_they_say(benchmark: ModuleType):
    xy = np.column_stack([np.arange(400.0) % 20, np.arange(400) // 20])
    rng = np.random.default_rng(0)
    fields = np.array([benchmark.smooth_field(xy, 3.0, rng) for _ in range(400)])
    assert fields.var() == pytest.approx(1, abs=0.1)
    assert np.mean(fields[:, 0] * fields[:, 3]) == pytest.approx(np.exp(-0.5), abs=0.1)
    assert np.mean(fields[:, 0] * fields[:, 19]) == pytest.approx(0, abs=0.12)
