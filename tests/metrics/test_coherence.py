from __future__ import annotations

import numpy as np
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
    with pytest.raises(ValueError, match="200 of 400 labels are missing"):
        coherence(["a", np.nan] * 200, GRID)
