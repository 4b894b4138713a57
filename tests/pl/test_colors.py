"""Colours that others have stored are read and left as they are, or replaced."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from multist.pl._colors import category_colors, obs_values, store_colors

WANTED = {"b": "#ff0000", "a": "#00ff00", "c": "#0000ff"}


def table(colors):
    adata = ad.AnnData(np.zeros((6, 1), dtype=np.float32))
    adata.obs["kind"] = pd.Categorical(list("abcabc"), categories=list("bac"))
    if colors is not None:
        adata.uns["kind_colors"] = colors
    return adata


def read(adata):
    return category_colors([adata], "kind", obs_values(adata.obs, "kind", "color"))


def test_stored_colours_are_read_and_left_as_they_are():
    stored = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    adata = table(stored)
    assert read(adata) == WANTED
    store_colors([adata], "kind", read(adata))
    assert adata.uns["kind_colors"] is stored


@pytest.mark.parametrize("stored", [None, ["#ff0000"] * 2])
def test_what_is_no_colour_is_replaced(stored):
    adata = table(stored)
    found = read(adata)
    assert list(found) == list(WANTED) and len(set(found.values())) == 3
    store_colors([adata], "kind", found)
    assert list(adata.uns["kind_colors"]) == list(found.values())
