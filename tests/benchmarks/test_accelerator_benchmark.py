"""The accelerator's benchmark runs without one, on a machine with little installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
# what a bare CUDA machine lacks
BARE = """
import importlib.metadata as metadata, sys
from functools import partial
version = metadata.version
def not_installed(name):
    if name == "multist":
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = not_installed
for name in ("anndata", "dgl", "dask", "lightning", "lightning_fabric", "scanpy", "spatialdata", "squidpy", "tqdm"):
    sys.modules[name] = None
sys.path[:0] = [{benchmarks!r}]
import accelerator
accelerator.MultiSTConfig = partial(accelerator.MultiSTConfig, epochs=10)
sys.exit(accelerator.main(["--sizes", "1000"]))
"""


@pytest.mark.slow
def test_a_small_run_on_a_bare_machine(tmp_path: Path):
    code = BARE.format(benchmarks=str(ROOT / "benchmarks"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "build" / "benchmarks" / "accelerator.json").read_text())
    (run,) = report["runs"]
    assert run["cells"] == 1000 and run["ari"] > 0.7 and run["seconds"] == pytest.approx(sum(run["stages"].values()))
    (kernels,) = report["kernels"]
    assert kernels["bandwidth_gb_per_s"] > 0
    for step in kernels["steps"].values():
        assert 0 < step["share_of_floor"] <= 1.5  # small graphs lie in the cache, a copy of a large tensor does not
    assert "share of the floor" in done.stdout


@pytest.mark.slow
def test_labelled_sections_are_compared_with_the_cpu(run_benchmark, small_section: Path, tmp_path: Path):
    more = ["--encoders", "tiny", "--patches", "4"] if importlib.util.find_spec("transformers") else []
    done = run_benchmark("accelerator", tmp_path, "--sizes", "200", "--sections", small_section, *more)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((tmp_path / "build" / "benchmarks" / "accelerator.json").read_text())["sections"]
    assert found["section"] == "layered_tissue/small" and found["spots"] == 250
    assert found["seconds"] > 0 < found["cpu_seconds"] and found["ari"] > 0.3
    if not torch.cuda.is_available():  # then both are the CPU
        assert found["repeats"] and found["difference"] == 0 and found["agreement"] == 1
    assert "| layered_tissue/small | 250 |" in done.stdout
    assert not more or "| tiny | " in done.stdout
