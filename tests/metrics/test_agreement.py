from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multist.metrics import agreement, coherence


def test_perfect_agreement_whatever_the_names() -> None:
    scores = agreement(["a", "a", "b", "b", "c"], [2, 2, 0, 0, 1])
    assert set(scores) == {"ari", "nmi", "ami", "homogeneity", "completeness"}
    assert all(value == pytest.approx(1) for value in scores.values())


def test_merged_domains_are_complete_but_not_homogeneous() -> None:
    scores = agreement(list("aabb"), list("xxxx"))
    assert scores["completeness"] == pytest.approx(1)
    assert scores["homogeneity"] == pytest.approx(0)
    assert scores["ari"] == pytest.approx(0)


@pytest.mark.parametrize("missing", [np.nan, "nan", None, "<NA>", "NaT", " NaN "])
def test_unlabelled_truth_does_not_count(missing: object) -> None:
    truth = pd.Series(["a", "a", "b", "b", missing, missing], dtype=object)
    assert agreement(truth, [0, 0, 1, 1, 0, 1])["ari"] == pytest.approx(1)
    assert agreement(pd.Categorical(truth), [0, 0, 1, 1, 0, 1])["ari"] == pytest.approx(1)


def test_missing_label_where_the_truth_is_missing_is_fine() -> None:
    assert agreement(["a", "b", None], ["x", "y", None])["ari"] == pytest.approx(1)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="2 labels for 3"):
        agreement(list("abc"), list("ab"))
    with pytest.raises(ValueError, match="no observation has a known domain"):
        agreement([np.nan, np.nan], [0, 1])
    with pytest.raises(ValueError, match="1 of 2 labels are missing"):
        agreement(["a", "b"], ["x", None])
    with pytest.raises(ValueError, match="1 of 3 labels are missing"):
        agreement(["a", "b", "a"], ["x", np.nan, "x"])


def test_same_numbers_as_the_scoring_script(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (real_data.parent / "score.py").is_file():
        pytest.skip(f"no score.py beside {real_data}")
    monkeypatch.syspath_prepend(real_data.parent)
    monkeypatch.delitem(sys.modules, "score", raising=False)
    import anndata as ad
    from score import score

    rng = np.random.default_rng(4)
    xy = rng.random((300, 2)) * [3, 1]
    names = np.array(["a", "b", "c"])[(xy[:, 0] + rng.normal(0, 0.3, 300)).clip(0, 2).astype(int)]
    truth = pd.Series(names).mask(rng.random(300) < 0.1)
    labels = np.where(rng.random(300) < 0.6, truth.fillna("nan").astype(str), rng.choice(["a", "b", "d"], 300))
    labels[:2] = "rare"
    obs = pd.DataFrame({"truth": truth.to_numpy()}, index=[str(i) for i in range(300)])
    expected = score(ad.AnnData(obs=obs, obsm={"spatial": xy}), labels, "truth")
    for name, value in (agreement(truth, labels) | coherence(labels, xy)).items():
        assert value == pytest.approx(expected[name], abs=5.1e-5), name
