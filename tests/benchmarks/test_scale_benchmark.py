"""The benchmark of scale runs each size in a process of its own, and says what is not kept."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse


@pytest.fixture
def scale(load):
    return load("scale")


def run(method: str, cells: int, seconds: float, gigabytes: float) -> dict:
    return {
        "method": method,
        "cells": cells,
        "seconds": seconds,
        "cpu_seconds": seconds,
        "peak_gb": gigabytes,
        "ari": 0.9,
        "n_found": 10,
    }


def test_broken_budgets_and_growth_are_named(scale, capsys):
    kept = [run("multist", 100_000, 30, 2), run("multist", 200_000, 60, 4)]
    assert scale.broken(kept) == []
    assert scale.broken([run("floor", 100_000, 999, 99)]) == []
    assert len(scale.broken([run("multist", 100_000, 61, 1)])) == 1
    assert len(scale.broken([run("multist", 1_000_000, 1, 8.1)])) == 1
    assert len(scale.broken([kept[0], run("multist", 200_000, 67, 4)])) == 2  # of both times
    assert len(scale.broken([kept[0], run("multist", 200_000, 60, 4.3)])) == 1
    assert len(scale.broken([{"method": "multist", "cells": 5, "failed": "killed"}])) == 1
    assert "grew" in capsys.readouterr().err


@pytest.mark.parametrize("cells", [3_600, 100_000, 1_000_000])
@pytest.mark.parametrize("key", ["seconds", "cpu_seconds", "peak_gb"])
def test_doubling_is_judged_at_every_size_by_both_times_and_memory(scale, cells, key):
    half, twice = run("multist", cells, 5, 1), run("multist", 2 * cells, 10, 2)
    assert scale.broken([half, twice]) == []
    assert len(scale.broken([half, twice | {key: 2.5 * half[key]}])) == 1


@pytest.mark.slow
def test_a_method_that_is_cut_off_is_not_run_on_more_cells(scale, monkeypatch, tmp_path):
    asked = []

    def child(method, cells, limit):
        asked.append((method, cells))
        if method == "floor":
            return {"method": method, "cells": cells, "cut": f"> {limit:g} CPU s", "limit": limit}
        return run(method, cells, 2, 1)

    monkeypatch.setattr(scale, "run_child", child)
    options = scale.parse(["--sizes", "20", "10", "--methods", "floor", "multist", "--limit", "600"])
    runs = list(scale.run_all(options))
    assert asked == [("floor", 10), ("multist", 10), ("multist", 20)]
    assert "| floor | 10 | > 600 CPU s |" in scale.table(runs)
    assert "| floor | 20 | not run: > 600 CPU s at 10 cells |" in scale.table(runs)
    assert "| floor | 10 |  | > 300.0 |" in scale.ratios_table(runs)
    assert scale.broken(runs) == [] and len(scale.broken([runs[0] | {"method": "multist"}])) == 1
    scale.plot(runs, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_a_method_whose_library_is_missing_is_left_out_and_named(scale, monkeypatch, capsys):
    methods = sys.modules["scale_methods"]
    monkeypatch.setitem(methods.OPTIONAL, "cellcharter", "no_such_library")
    assert scale.at_hand(["floor", "cellcharter"]) == ["floor"]
    assert "cellcharter is left out: 'no_such_library' is not installed" in capsys.readouterr().err


# work that needs no library; before the limit begins, a child works on 600 cells
LONG_WORK = """
import sys, time
sys.path.insert(0, {folder!r})
import scale

def work(method, tissue, stages):
    while len(tissue.truth) > 600 and time.process_time() < 20:
        pass
    return tissue.truth

scale.work, scale.as_table = work, lambda tissue: tissue
scale.main()
"""


@pytest.mark.slow
def test_work_over_the_limit_is_cut_off(scale, monkeypatch, tmp_path):
    script = tmp_path / "long_work.py"
    script.write_text(LONG_WORK.format(folder=str(Path(scale.__file__).parent)))
    monkeypatch.setattr(scale, "__file__", str(script))
    result = scale.run_child("floor", 2_000, 0.01)
    assert result == {"method": "floor", "cells": 2_000, "cut": "> 0.01 CPU s", "limit": 0.01}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("cellcharter") is None, reason="cellcharter is not installed")
def test_cellcharter_gives_the_same_domains_again(scale):
    tissue = scale.large_tissue(1_600)
    labels = [scale.work("cellcharter", scale.as_table(tissue), {}) for _ in range(2)]
    assert len(np.unique(labels[0])) > 5
    np.testing.assert_array_equal(*labels)


def test_tissue_has_the_same_regions_whatever_the_number_of_cells(scale):
    small, large = (scale.large_tissue(n) for n in (2_500, 40_000))
    assert small.expression.shape == (2_500, 50) and small.image.shape == (2_500, 32)
    shares = [np.bincount(t.truth, minlength=10) / len(t.truth) for t in (small, large)]
    assert min(shares[0]) > 0.03
    np.testing.assert_allclose(*shares, atol=0.02)
    # two domains differ in the image alone, two in expression alone
    means = {
        name: np.stack([getattr(large, name)[large.truth == k].mean(axis=0) for k in range(10)])
        for name in ("expression", "image")
    }
    gap = {name: np.linalg.norm(mean[:, None] - mean, axis=2) for name, mean in means.items()}
    assert gap["expression"][0, 1] < 0.3 < 1 < gap["image"][0, 1]
    assert gap["image"][8, 9] < 0.3 < 1 < gap["expression"][8, 9]


@pytest.mark.slow
def test_a_small_run_gives_tables_json_and_a_plot(tmp_path: Path, run_benchmark, one_process):
    done = run_benchmark("scale", tmp_path, "--sizes", "600", "1200", "--plot", "plot.png")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "build" / "benchmarks" / "scale.json").read_text())
    assert [each["cells"] for each in report["runs"]] == [600, 1_200]
    for each in report["runs"]:
        assert set(each["stages"]) == {"graph", "attend", "average", "cluster"}
        assert sum(each["stages"].values()) <= each["seconds"]
        assert each["peak_gb"] > 0.1 and each["ari"] > 0.6 and each["n_found"] == 10
    assert "x half" in done.stdout and (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.slow
def test_counts_are_written_in_blocks_and_read_as_they_are(scale, monkeypatch, tmp_path):
    counts = sys.modules["scale_counts"]
    monkeypatch.setattr(counts, "BLOCK", 70)
    monkeypatch.setitem(counts.ROWS, 200, counts.Row(40, 90, 1.0, 1.0))
    counts.write_counts(tmp_path / "a.zarr", 200)
    adata = counts.read_counts(tmp_path / "a.zarr")
    assert adata.shape == (200, 40) and adata.X.chunks[0] == (70, 70, 60)
    values = adata.X.compute()
    assert sparse.issparse(values) and (values.data == values.data.round()).all() and values.data.min() >= 1
    assert 60 < values.sum(axis=1).mean() < 130, "90 molecules a cell"
    assert adata.obs["truth"].nunique() == 10 and adata.obsm["spatial"].shape == (200, 2)
    whole = counts.read_counts(tmp_path / "a.zarr")
    counts.write_counts(tmp_path / "a.zarr", 200)
    assert (whole.X.compute() != values).nnz == 0, "the same again"


def test_rows_of_counts_are_judged_by_their_own_budget(scale):
    steps = {name: {"seconds": 1.0, "peak_gb": 0.5} for name in sys.modules["scale_counts"].STEP_NAMES}
    run = {"genes": 18_000, "seconds": 4.0, "cpu_seconds": 4.0, "peak_gb": 0.5, "ari": 1.0, "steps": steps}
    runs = [run | {"cells": 3_600}, run | {"cells": 3_600, "seconds": 7.0}, run | {"cells": 3_600, "peak_gb": 1.3}]
    counts = sys.modules["scale_counts"]
    assert [counts.counts_verdict(each).split(":")[0] for each in runs] == ["kept", "BROKEN", "BROKEN"]
    assert counts.counts_verdict(run | {"cells": 7_200, "seconds": 99.0}) == ""
    assert counts.row_of(7_200).n_genes == counts.row_of(1_800).n_genes == 18_000
    table = scale.counts_table([*runs, {"cells": 5, "failed": "killed"}]).splitlines()
    assert len({line.count("|") for line in table}) == 1 and "| 5 | failed: killed |" in table[-1]
    assert scale.parse(["--from-counts"]).sizes == [3_600, 200_000, 500_000, 1_000_000]
    assert scale.parse(["--from-counts", "--sizes", "3600", "--double"]).sizes == [3_600, 7_200]


def test_twice_the_cells_are_compared_with_cells_of_as_many_genes(scale):
    counts = sys.modules["scale_counts"]
    assert scale.parse(["--from-counts", "--sizes", "500000", "--double"]).sizes == [250_000, 500_000]
    assert counts.row_of(250_000)[:2] == counts.ROWS[500_000][:2]
    assert counts.row_of(250_000).pixels == 14_142, "as wide a bin as in a slide of 20,000"
    half = {"cells": 250_000, "genes": 18_000, "seconds": 100.0, "cpu_seconds": 90.0, "peak_gb": 1.0}
    whole = half | {"cells": 500_000, "seconds": 219.0, "cpu_seconds": 197.0, "peak_gb": 2.0}
    assert counts.counts_broken([half, whole]) == []
    assert counts.counts_broken([whole | {"seconds": 361.0}]) == ["500,000 cells: BROKEN: 360 s, 6 GB"]
    assert counts.counts_broken([half, whole | {"peak_gb": 2.2}]) == ["500,000 cells: peak_gb 2.20 times that of half"]
    assert counts.counts_broken([half | {"genes": 500}, whole | {"peak_gb": 2.2}]) == []
    assert counts.counts_broken([{"cells": 5, "failed": "killed"}]) == ["5 cells: failed"]


@pytest.mark.slow
def test_a_small_run_from_counts_gives_steps_and_domains(tmp_path: Path, run_benchmark, one_process):
    done = run_benchmark("scale", tmp_path, "--from-counts", "--quick")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "build" / "benchmarks" / "scale.json").read_text())
    assert [each["cells"] for each in report["runs"]] == [1_200, 2_400]
    for each in report["runs"]:
        assert list(each["steps"]) == ["read", "components", "graph", "domains"]
        assert each["ari"] > 0.9 and each["n_found"] == 10
        assert each["peak_gb"] == max(step["peak_gb"] for step in each["steps"].values()) > 0.1
    assert "| 2,400 x 1,000 |" in done.stdout


@pytest.mark.slow
def test_a_row_with_a_slide_writes_it_under_the_cells(scale, monkeypatch, tmp_path):
    import tifffile

    counts = sys.modules["scale_counts"]
    monkeypatch.setitem(counts.ROWS, 200, counts.Row(40, 90, 1.0, 1.0, 700))
    monkeypatch.setattr(counts, "TILE", 256)
    counts.write_counts(tmp_path / "a.zarr", 200)
    with tifffile.TiffFile(tmp_path / "a_slide.tif") as file:
        assert file.pages[0].shape == (700, 700, 3) and file.pages[0].tilewidth == 256
    xy = counts.read_counts(tmp_path / "a.zarr").obsm["spatial"]
    assert 0 < xy.min() and xy.max() < 700 and np.ptp(xy[:, 0]) > 600


@pytest.fixture
def steps(load):
    return load("scale_steps")


def test_steps_are_judged_by_budget_and_by_half_of_the_cells(steps):
    run = {"step": "pseudotime", "cells": 1_000_000, "seconds": 100.0, "cpu_seconds": 90.0, "peak_gb": 2.0}
    assert steps.broken(run, None) == []
    assert "120 s" in steps.broken(run | {"seconds": 121.0}, None)[0]
    assert "5 GB" in steps.broken(run | {"peak_gb": 5.1}, None)[0]
    assert steps.broken(run | {"cells": 9, "seconds": 999.0}, None) == []
    twice = run | {"cells": 2_000_000, "seconds": 200.0, "cpu_seconds": 180.0, "peak_gb": 4.3}
    assert steps.broken(twice, run) == ["peak_gb grew more than 2.1 times"]
    assert "killed" in steps.table([run | {"broken": steps.broken({"failed": "killed"}, None)}])


@pytest.mark.slow
def test_a_step_is_measured_and_a_failure_told(steps, tmp_path, one_process):
    found = steps.run("domains", 600, tmp_path)
    assert found["cells"] == 600 and found["seconds"] > 0 and 0.1 < found["peak_gb"] < 3
    assert "failed" in steps.run("pseudotime", 2, tmp_path)
