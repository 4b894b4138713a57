"""The benchmark of spatial domains, as its command runs it."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multist as mt

SCORE = Path(os.environ.get("MULTIST_SCORE", Path(__file__).parents[3] / "shared" / "score.py"))


def read_tables(text: str) -> dict[str, pd.DataFrame]:
    """Markdown tables by the bold line above each."""
    found = {}
    for title, table in zip(*[iter(text.strip().split("\n\n"))] * 2, strict=True):
        header, _, *rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()]
        found[title.strip("*")] = pd.DataFrame(rows, columns=header)
    return found


@pytest.mark.slow
def test_the_quick_run_gives_tables_and_json(small_section: Path, run_benchmark, tmp_path: Path):
    done = run_benchmark("domains", tmp_path, small_section, "--quick", "--output", "out/domains.json")
    assert done.returncode == 0, done.stderr
    tables = read_tables(done.stdout)
    scores, costs, inputs, recalls = tables.values()
    assert list(tables)[0] == "Scores, seeds 0 to 1"
    assert {"ARI", "NMI", "probe", "balanced", "image gain"} <= set(scores.columns)
    assert {"PAS", "CHAOS", "seconds", "peak MB"} <= set(costs.columns)
    for table in (scores, costs):
        assert list(table["variant"]) == ["floor", "expression", "**default**", "refined"]
    assert scores["ARI"].str.contains("±").all() and scores["probe"].str.contains("±").all()
    assert inputs.columns[-1] == "more" and len(inputs) == 1
    assert len(recalls) == 7
    assert max(len(line) for line in done.stdout.splitlines()) < 140
    assert "dlpfc/unlabelled: no truth" in done.stderr

    report = json.loads((tmp_path / "out" / "domains.json").read_text())
    assert report["command"]["seeds"] == [0, 1]
    assert {"multist", "torch", "numpy"} <= set(report["machine"]["versions"])
    assert report["machine"]["cpu_count"] == os.cpu_count()
    assert list(report["sections"]) == ["layered_tissue/small"]
    assert [(r["variant"], r["seed"]) for r in report["runs"]] == [
        (variant, seed) for variant in ("floor", "expression", "both", "refined") for seed in (0, 1)
    ]
    for one in report["runs"]:
        assert one["n_found"] <= 7
        assert 0 < one["seconds"] <= one["seconds_in_all"]
        assert one["peak_mb"] > 100
        assert 0 < one["balanced"] <= 1 and one["probe"] > 0.5
    domains = {"rim", "cortex_a", "cortex_b", "band", "stroma_loose", "stroma_dense", "lesion"}
    assert all(set(one["recall"]) == domains for one in report["runs"])
    used = {one["variant"]: one.get("image_used") for one in report["runs"]}
    assert used == {"floor": None, "expression": False, "both": True, "refined": True}
    assert all((one["image_gain"] > 0) == one["image_used"] for one in report["runs"] if "image_used" in one)
    inputs = report["sections"]["layered_tissue/small"]["inputs"]
    assert inputs["best"] == max(inputs.values()) and len(inputs) == 7
    # two of the domains are told apart by the image alone
    assert inputs["both, 2 hops"] > max(inputs["components, 2 hops"], inputs["image, 2 hops"])


@pytest.mark.slow
def test_an_unknown_section_is_named(small_section: Path, run_benchmark, tmp_path: Path):
    done = run_benchmark("domains", tmp_path, small_section, "--only", "osmfish")
    assert done.returncode != 0
    assert "osmfish" in done.stderr and "layered_tissue/small" in done.stderr


def test_no_method_sees_the_truth(small_section: Path, load):
    section = load("sections").load_section(small_section, "layered_tissue/small")
    assert section.n_domains == 7 and section.has_image
    assert set(section.adata.obs) == {"in_tissue", "array_row", "array_col"}
    assert set(section.adata.uns) == {"spatial"} and set(section.adata.obsm) == {"spatial"}


def test_the_truth_columns_are_those_of_the_shared_scores(load):
    if not SCORE.is_file():
        pytest.skip(f"no {SCORE.name} at {SCORE.parent}; set MULTIST_SCORE to compare with another")
    ours, theirs = load("sections").TRUTH, runpy.run_path(str(SCORE))["TRUTH"]
    for kind in ("cortex12", "olfactory_bulb", "breast_hires", "ductal"):
        assert ours[kind] == theirs[kind], kind


def test_numbers_of_tables_are_short(load):
    report = load("report")
    short = [report.number(value, 3) for value in (0.5, -0.25, 1, 20.5, 0.0)]
    assert short == [".500", "-.250", "1.000", "20.500", ".000"]
    assert [report.number(value, 2, sign=True) for value in (0.5, -0.25)] == ["+.50", "-.25"]
    assert report.number(None, 3) == report.number(np.nan, 3) == "-"
    assert report.mean_sd(pd.Series([0.1, 0.3, np.nan]), 2) == ".20 ± .10"


def test_recall_pairs_each_domain_with_one_label(load):
    recall = load("sections").recall
    truth = pd.Series(["a"] * 4 + ["b"] * 4 + ["c"] * 2 + [None], dtype=object)
    labels = np.array(["1", "1", "1", "2", "2", "2", "2", "2", "2", "2", "3"])
    assert recall(truth, labels) == {"a": 0.75, "b": 1.0, "c": 0.0}


@pytest.mark.slow
def test_the_floor_smooths_and_votes(load):
    floor = load("floor")
    tissue = mt.datasets.layered_tissue(n_spots=300, n_genes=150, with_image=False, format="anndata")
    features = floor.floor_features(tissue)
    assert features.shape == (300, 30)
    xy = np.asarray(tissue.obsm["spatial"])
    labels = [floor.floor_domains(features, xy, 6, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(labels[0], labels[1])
    scores = [mt.metrics.agreement(tissue.obs["domain"], found)["ari"] for found in labels]
    assert min(scores) > 0.3
