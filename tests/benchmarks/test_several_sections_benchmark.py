"""The benchmark of several sections, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOT_ALIGNED = "not aligned"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, run_benchmark, shorten_training) -> tuple[str, dict[str, Any]]:
    """What a quick run prints and writes."""
    folder = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        shorten_training(patch)
        done = run_benchmark("several_sections", folder, "--quick", "--output", "new/out.json")
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "new" / "out.json").read_text())


@pytest.mark.slow
def test_a_run_gives_a_table_and_json(quick: tuple[str, dict[str, Any]]) -> None:
    printed, report = quick
    methods = {one["method"]: one for one in report["runs"]}
    assert len(report["runs"]) == len(methods)
    assert set(methods) == {"alone", "by order", "applied", *report["variants"]}
    assert sum(line.startswith("| layered_tissue |") for line in printed.splitlines()) == len(methods)
    assert report["seeds"] == [0] and {"multist", "scanpy"} <= set(report["versions"])
    assert list(report["sets"]["layered_tissue"]) == ["section1", "section2", "section3"]
    for name, one in methods.items():
        assert one["seconds"] > 0 and len(one["ari_sections"]) == 3
        assert one["ari_mean"] == pytest.approx(sum(one["ari_sections"].values()) / 3)
        labelled = {"invented", "purity"}
        shares: dict[str, set[str]] = {"alone": set(), "by order": labelled, "applied": labelled}
        expected = shares.get(name, {"invented", "purity", "mixing", "mixing_within"})
        assert expected == {"invented", "purity", "mixing", "mixing_within"} & set(one)
        assert all(0 <= one[key] <= 1 for key in expected)


@pytest.mark.slow
def test_one_run_over_all_finds_the_same_domains_everywhere_and_labels_by_order_do_not_fit(
    quick: tuple[str, dict[str, Any]],
) -> None:
    methods = {one["method"]: one for one in quick[1]["runs"]}
    assert methods["alone"]["ari"] > methods["by order"]["ari"] + 0.1
    assert methods[NOT_ALIGNED]["mixing_within"] < 0.1
    best = methods["default"]
    assert best["ari"] > methods["by order"]["ari"] + 0.1
    assert best["mixing_within"] > methods[NOT_ALIGNED]["mixing_within"] + 0.2
    assert best["invented"] < 0.01 and best["purity"] > 0.5


def test_nothing_to_pool_is_said(tmp_path: Path, run_benchmark) -> None:
    done = run_benchmark("several_sections", tmp_path, tmp_path, "--only", "dlpfc")
    assert done.returncode == 2
    assert "151674" in done.stderr and not (tmp_path / "build").exists()
