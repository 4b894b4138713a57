"""The benchmark of guided domains, as its command runs it."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt


@pytest.fixture
def guided(load):
    return load("guided")


@pytest.fixture
def truth() -> pd.Series:
    names = np.repeat(["a", "b", "c"], [50, 30, 3])
    return pd.Series([*names, *[np.nan] * 5], index=[f"s{i}" for i in range(88)], dtype=object)


@pytest.mark.slow
def test_strokes_are_of_the_truth_and_wrong_ones_are_not(guided, truth):
    strokes = guided.random_strokes(truth, 10, 0)
    assert strokes.value_counts().to_dict() == {"a": 10, "b": 10, "c": 3}
    assert (strokes.dropna() == truth[strokes.notna()]).all()
    assert not strokes.equals(guided.random_strokes(truth, 10, 1))
    wrong = guided.spoilt(strokes, 0)
    assert wrong.notna().equals(strokes.notna()) and (wrong.dropna() != strokes.dropna()).sum() == 2
    more = guided.answered(strokes, truth, ["s87", *truth.index[strokes.isna()][:2]])
    assert more.notna().sum() == strokes.notna().sum() + 2  # the last has no truth to tell


def test_only_labelled_spots_without_a_stroke_count(guided, truth):
    adata = ad.AnnData(obs=pd.DataFrame(index=truth.index))
    found = truth.fillna("a").copy()
    found.iloc[:10] = "b"  # strokes that were overruled
    found.iloc[80:83] = "a"
    adata.obs["multist_domain"], adata.obs["multist_confidence"] = found, 0.85
    strokes = truth.where(np.arange(88) < 10)
    score = guided.scored(adata, truth, strokes.isna())
    assert score["balanced"] == pytest.approx(2 / 3)
    assert score["ece"] == pytest.approx(abs(0.85 - 70 / 73))
    assert np.array(score["reliability"])[:, 8] == pytest.approx([73, 73 * 0.85, 70])


@pytest.mark.slow
def test_the_quick_run_gives_tables_a_curve_and_json(tmp_path: Path, run_benchmark):
    tissue = mt.datasets.layered_tissue(n_spots=200, n_genes=100, image_size=300, format="anndata")
    # each domain is left out in turn
    tissue = tissue[tissue.obs["domain"].isin(["cortex_a", "band", "stroma_loose"])].copy()
    tissue.obs["scribble"] = tissue.obs["domain"].where(np.arange(tissue.n_obs) % 10 == 0)
    (tmp_path / "layered_tissue").mkdir()
    tissue.write_h5ad(tmp_path / "layered_tissue" / "small.h5ad")
    options = ["--quick", "--cells", "1000", "--output", "out.json", "--picture", "curve.png"]
    done = run_benchmark("guided", tmp_path, tmp_path, *options)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    frame = pd.DataFrame(report["runs"])
    assert set(frame["part"]) == {"people", "random", "wrong", "suggested", "unnamed", "time"}
    assert (frame.loc[frame["part"] == "people", "ari"] > 0.4).all()
    assert frame["ece"].between(0, 1).all() and (frame["seconds"].dropna() > 0).all()
    assert frame.loc[frame["part"] == "unnamed", "strokes"].nunique() == tissue.obs["domain"].nunique()
    for title in ("People's strokes", "Ten more spots", "A class without a stroke", "Time"):
        assert f"**{title}" in done.stdout
    assert (tmp_path / "curve.png").stat().st_size > 5000
