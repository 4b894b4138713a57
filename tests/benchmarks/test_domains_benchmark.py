"""The benchmark of spatial domains, as its command runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import multist as mt

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCORE = Path(os.environ.get("MULTIST_SCORE", Path(__file__).parents[3] / "shared" / "score.py"))


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sections")
    (path / "layered_tissue").mkdir()
    tissue = mt.datasets.layered_tissue(n_spots=250, n_genes=100, image_size=400, format="anndata")
    tissue.write_h5ad(path / "layered_tissue" / "small.h5ad")
    tissue.write_h5ad(path / "unknown.h5ad")
    (path / "dlpfc").mkdir()
    tissue.write_h5ad(path / "dlpfc" / "unlabelled.h5ad")
    return path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "domains.py"), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.slow
def test_the_quick_run_gives_tables_and_json(folder: Path):
    done = run(folder, "--quick", "--output", "out/domains.json")
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()
    assert {"ARI", "NMI", "PAS", "CHAOS", "seconds", "peak MB"} <= {cell.strip() for cell in header.split("|")}
    assert sum("layered_tissue/small" in row and "±" in row for row in rows) == 3 + 7  # variants, and domains' recall
    assert "dlpfc/unlabelled: no truth" in done.stderr

    report = json.loads((folder / "out" / "domains.json").read_text())
    assert report["command"]["seeds"] == [0, 1]
    assert {"multist", "torch", "numpy"} <= set(report["machine"]["versions"])
    assert report["machine"]["cpu_count"] == os.cpu_count()
    assert list(report["sections"]) == ["layered_tissue/small"]
    assert [(r["variant"], r["seed"]) for r in report["runs"]] == [
        (variant, seed) for variant in ("floor", "expression", "both") for seed in (0, 1)
    ]
    for one in report["runs"]:
        assert one["n_found"] <= 7
        assert 0 < one["seconds"] <= one["seconds_in_all"]
        assert one["peak_mb"] > 100
    before, after = report["runs"][-1]["recall_before"], report["runs"][-1]["recall"]
    assert (
        set(before) == set(after) == {"rim", "cortex_a", "cortex_b", "band", "stroma_loose", "stroma_dense", "lesion"}
    )
    assert report["runs"][-1]["image_used"] and not report["runs"][2]["image_used"]


def test_an_unknown_section_is_named(folder: Path):
    done = run(folder, "--only", "osmfish")
    assert done.returncode != 0
    assert "osmfish" in done.stderr and "layered_tissue/small" in done.stderr


def test_no_method_sees_the_truth(folder: Path):
    section = load(BENCHMARKS / "sections.py").load_section(folder, "layered_tissue/small")
    assert section.n_domains == 7 and section.has_image
    assert set(section.adata.obs) == {"in_tissue", "array_row", "array_col"}
    assert set(section.adata.uns) == {"spatial"} and set(section.adata.obsm) == {"spatial"}


def test_recall_pairs_each_domain_with_one_label():
    recall = load(BENCHMARKS / "sections.py").recall
    truth = pd.Series(["a"] * 4 + ["b"] * 4 + ["c"] * 2 + [None], dtype=object)
    labels = np.array(["1", "1", "1", "2", "2", "2", "2", "2", "2", "2", "3"])
    assert recall(truth, labels) == {"a": 0.75, "b": 1.0, "c": 0.0}


def test_the_floor_smooths_and_votes():
    floor = load(BENCHMARKS / "floor.py")
    tissue = mt.datasets.layered_tissue(n_spots=300, n_genes=150, with_image=False, format="anndata")
    features = floor.floor_features(tissue)
    assert features.shape == (300, 30)
    xy = np.asarray(tissue.obsm["spatial"])
    labels = [floor.floor_domains(features, xy, 6, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(labels[0], labels[1])
    scores = [mt.metrics.agreement(tissue.obs["domain"], found)["ari"] for found in labels]
    assert min(scores) > 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_metrics_are_those_of_the_shared_scores(seed: int):
    if not SCORE.is_file():
        pytest.skip(f"no {SCORE.name} at {SCORE.parent}; set MULTIST_SCORE to compare with another")
    shared = load(SCORE)
    tissue = mt.datasets.layered_tissue(n_spots=300, n_genes=100, with_image=False, format="anndata", random_state=seed)
    rng = np.random.default_rng(seed)
    truth = tissue.obs["domain"].astype(object)
    truth[rng.random(300) < 0.1] = np.nan
    tissue.obs["domain"] = truth
    labels = np.where(rng.random(300) < 0.4, rng.integers(0, 6, 300).astype(str), truth.astype(str))
    theirs = shared.score(tissue, labels, "domain")
    ours = mt.metrics.agreement(truth, labels) | mt.metrics.coherence(labels, tissue.obsm["spatial"])
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], abs=5.1e-5), name
