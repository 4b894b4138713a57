from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from multist.metrics import coherence

GRID = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2)


def test_halves_are_more_coherent_than_confetti() -> None:
    halves, confetti = GRID[:, 0] < 10, np.random.default_rng(0).random(400) < 0.5
    tidy, untidy = coherence(halves, GRID), coherence(confetti, GRID)
    assert set(tidy) == {"pas", "chaos"}
    assert tidy["pas"] < 0.02 < 0.2 < untidy["pas"]
    assert tidy["chaos"] < untidy["chaos"]


def test_one_stray_spot_is_counted() -> None:
    labels = np.zeros(400, dtype=int)
    labels[210] = 1
    assert coherence(labels, GRID)["pas"] == pytest.approx(1 / 400)


def test_no_spot_is_its_own_neighbour_where_several_lie_at_one_place() -> None:
    found = coherence(np.arange(22) % 2 == 0, np.repeat([[0.0, 0], [1, 1]], 11, axis=0))
    # of the eleven spots at each place five have the rarer label, and see four of their own among the ten others
    assert found == pytest.approx({"pas": 10 / 22, "chaos": 0})


def test_unit_and_further_columns_do_not_matter() -> None:
    labels = GRID[:, 0] < 10
    moved = np.column_stack([GRID * 55.0 + 1000, np.arange(400)])
    assert coherence(labels, moved) == pytest.approx(coherence(labels, GRID))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="3 labels for 400"):
        coherence([0, 1, 2], GRID)
    with pytest.raises(ValueError, match="shape"):
        coherence([0, 1, 2], [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        coherence([0, 1], [[0.0, np.nan], [1.0, 1.0]])
    with pytest.raises(ValueError, match="vary"):
        coherence([0, 1], [[0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match="missing"):
        coherence(np.array(["a", None] * 200, dtype=object), GRID)


def test_same_numbers_as_the_scoring_script(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (real_data.parent / "score.py").is_file():
        pytest.skip(f"no score.py beside {real_data}")
    monkeypatch.syspath_prepend(real_data.parent)
    monkeypatch.delitem(sys.modules, "score", raising=False)
    import anndata as ad
    from score import score

    rng = np.random.default_rng(4)
    xy = rng.random((300, 2)) * [3, 1]
    labels = np.array(["a", "b", "c"])[(xy[:, 0] + rng.normal(0, 0.3, 300)).clip(0, 2).astype(int)]
    labels[:2] = "rare"
    adata = ad.AnnData(obs=pd.DataFrame(index=[str(i) for i in range(300)]), obsm={"spatial": xy})
    expected = score(adata, labels)
    for name, value in coherence(labels, xy).items():
        assert value == pytest.approx(expected[name], abs=5.1e-5)
