"""Rows of a large array, some at a time."""

from __future__ import annotations

import numpy as np
import pytest

from multist import _rows
from multist.cluster.assign import DomainClassifier
from multist.cluster.mixture import whitening


@pytest.mark.parametrize("n_rows", [0, 1, 9, 10, 11, 25])
def test_slices_cover_all_rows_once_and_in_order(n_rows, monkeypatch):
    monkeypatch.setattr(_rows, "_ROWS_AT_ONCE", 10)
    covered = [row for rows in _rows.row_slices(n_rows) for row in range(n_rows)[rows]]
    assert covered == list(range(n_rows))


def test_what_is_computed_by_blocks_is_what_one_block_gives(monkeypatch):
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(100, 5)), rng.integers(0, 3, 100)
    whole = DomainClassifier.fit(points, labels, 3), whitening(points)
    monkeypatch.setattr(_rows, "_ROWS_AT_ONCE", 7)
    parts = DomainClassifier.fit(points, labels, 3), whitening(points)
    np.testing.assert_allclose(parts[0].slope, whole[0].slope, rtol=1e-9)
    np.testing.assert_allclose(parts[0].offset, whole[0].offset, rtol=1e-9)
    np.testing.assert_allclose(np.abs(parts[1][1]), np.abs(whole[1][1]), rtol=1e-9)
