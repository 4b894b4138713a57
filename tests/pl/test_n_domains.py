"""The curve from which the number of domains was chosen."""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest

import multist as mt


@pytest.fixture
def counted() -> ad.AnnData:
    adata = ad.AnnData(np.zeros((9, 1)), obsm={"spatial": np.zeros((9, 2))})
    adata.uns["multist"] = {
        "n_domains": {
            "candidates": np.arange(2, 7),
            "bic": np.array([-90.0, -40.0, -5.0, -20.0, -30.0]),
            "icl": np.array([-91.0, -42.0, -9.0, -30.0, -44.0]),
            "stability": np.array([0.4, 0.8, 0.95, 0.9, 0.7]),
            "patch_size": 12.0,
            "chosen": 4,
        }
    }
    return adata


@pytest.mark.slow
def test_it_shows_every_candidate_and_the_chosen_one(counted: ad.AnnData):
    ax = mt.pl.n_domains(counted, show=False)
    assert "4" in ax.get_title()
    curves = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(curves["BIC"].get_xdata(), [2, 3, 4, 5, 6])
    np.testing.assert_array_equal(curves["BIC"].get_ydata(), [-85, -35, 0, -15, -25])
    stability = next(other for other in ax.figure.axes if other is not ax).lines[0]
    np.testing.assert_array_equal(stability.get_ydata(), [0.4, 0.8, 0.95, 0.9, 0.7])
    plt.close(ax.figure)
