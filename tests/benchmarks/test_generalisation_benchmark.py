"""The benchmark of variants of sections, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import multist as mt

KINDS = {
    "half": 4,
    "third": 6,
    "50% of the molecules": 2,
    "30% of the molecules": 2,
    "15% of the molecules": 2,
    "half of the genes": 2,
    "20% of the spots missing": 2,
    "jittered": 2,
}


def test_each_kind_is_made_parts_cover_the_section_and_draws_differ(load):
    made_sections, sections = load("made_sections"), load("sections")
    tissue = mt.datasets.layered_tissue(n_spots=300, n_genes=100, with_image=False, format="anndata")
    truth = tissue.obs.pop("domain").astype(object)
    section = sections.Section("small", tissue, truth, truth.nunique())
    found = list(made_sections.made_sections(section, made_sections.KINDS))
    assert pd.Series([kind for kind, _ in found]).value_counts().to_dict() == KINDS
    for kind, one in found:
        assert one.n_domains == one.truth.nunique() > 1
        assert kind not in ("half", "third") or one.truth.value_counts().min() >= 10
        assert list(one.truth.index) == list(one.adata.obs_names)
    by_kind = dict(found)
    assert by_kind["half"].adata.n_obs == 150 and by_kind["third"].adata.n_obs == 100
    assert by_kind["half of the genes"].adata.n_vars == 50
    assert 0.7 < by_kind["20% of the spots missing"].adata.n_obs / 300 < 0.9
    kept = by_kind["30% of the molecules"].adata.X.sum() / section.adata.X.sum()
    assert kept == pytest.approx(0.3, abs=0.01)
    for kind in ("half", "third"):
        names = [list(one.adata.obs_names) for own, one in found if own == kind]
        for axis in (names[: len(names) // 2], names[len(names) // 2 :]):
            assert sorted(sum(axis, [])) == sorted(section.adata.obs_names)
    moved = [one.xy - section.xy for kind, one in found if kind == "jittered"]
    assert not np.allclose(*moved)
    spacing = np.median(np.sort(np.linalg.norm(section.xy[:, None] - section.xy, axis=2), axis=1)[:, 1])
    assert np.std(moved[0]) == pytest.approx(0.2 * spacing, rel=0.1)
    assert all("array_row" not in one.adata.obs for kind, one in found if kind == "jittered")


@pytest.mark.slow
def test_variants_are_scored_and_counted(tmp_path: Path, run_benchmark):
    tissue = mt.datasets.layered_tissue(n_spots=300, n_genes=100, image_size=400, format="anndata")
    (tmp_path / "layered_tissue").mkdir()
    tissue.write_h5ad(tmp_path / "layered_tissue" / "small.h5ad")
    del tissue.uns["spatial"]
    tissue.write_h5ad(tmp_path / "layered_tissue" / "without.h5ad")
    done = run_benchmark("generalisation", tmp_path, tmp_path, "--kinds", "halves", "genes", "--output", "out.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    runs = pd.DataFrame(report["runs"])
    assert report["seeds"] == [0] and {"multist", "torch"} <= set(report["machine"]["versions"])
    sections = ["layered_tissue/small", "layered_tissue/without"]
    assert runs["section"].value_counts().to_dict() == dict.fromkeys(sections, 6)
    gain = runs.groupby("section")["image_gain"].max()
    assert gain[sections[0]] > 0 == gain[sections[1]]
    assert runs[["floor", "default"]].mean().min() > 0.3
    below = int((runs["default"] < runs["floor"]).sum())
    lines = [line for line in done.stdout.splitlines() if line.startswith("| **all** | 12 |")]
    assert len(lines) == 2 and all(line.endswith(f"| {below} |") for line in lines)
    assert "| layered_tissue/small | 6 |" in done.stdout and "| half of the genes | 4 |" in done.stdout
