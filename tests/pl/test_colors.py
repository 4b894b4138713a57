"""Colours that others have stored are read, or replaced, whatever form they have."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from multist.pl._colors import category_colors, obs_values, store_colors

WANTED = {"b": "#ff0000", "a": "#00ff00", "c": "#0000ff"}
ROWS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]])


def table(colors):
    adata = ad.AnnData(np.zeros((6, 1), dtype=np.float32))
    adata.obs["kind"] = pd.Categorical(list("abcabc"), categories=list("bac"))
    if colors is not None:
        adata.uns["kind_colors"] = colors
    return adata


def read(adata):
    return category_colors([adata], "kind", obs_values(adata.obs, "kind", "color"))


@pytest.mark.parametrize(
    "stored",
    [
        list(WANTED.values()),
        np.array(list(WANTED.values())),
        np.array(list(WANTED.values()), dtype=object),
        dict(WANTED),
        {name: tuple(row) for name, row in zip(WANTED, ROWS, strict=True)},
        ROWS,
        [tuple(row) for row in ROWS],
        [list(row) for row in ROWS],
        [*WANTED.values(), "#123456"],
        [color.encode() for color in WANTED.values()],
        np.rint(ROWS * 255).astype(np.uint8),
        pd.Series(dict(reversed(WANTED.items()))),
        pd.Series(list(WANTED.values())),
    ],
)
def test_every_form_is_read(stored):
    adata = table(stored)
    assert read(adata) == WANTED
    store_colors([adata], "kind", read(adata))
    assert adata.uns["kind_colors"] is stored or np.array_equal(adata.uns["kind_colors"], stored)


def test_opacity_is_kept():
    assert read(table(np.c_[ROWS, [1, 0.5, 1]]))["a"] == "#00ff0080"


@pytest.mark.parametrize(
    "stored",
    [None, [], ["nan"] * 3, ["#ff0000"] * 2, {"a": "#ff0000"}, 7, "red", ROWS * 255, [None] * 3],
    ids=str,
)
def test_what_is_no_colour_is_replaced(stored):
    adata = table(stored)
    found = read(adata)
    assert list(found) == list(WANTED) and len(set(found.values())) == 3
    store_colors([adata], "kind", found)
    assert list(adata.uns["kind_colors"]) == list(found.values())
