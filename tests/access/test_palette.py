"""Colours that somebody stored for the categories of a column."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from multist.access.palette import stored_colors


def read(stored) -> dict[str, str] | None:
    table = ad.AnnData(obs=pd.DataFrame({"d": pd.Categorical(["b", "a", "b"])}, index=list("xyz")))
    table.uns["d_colors"] = stored
    return stored_colors(table, "d")


@pytest.mark.parametrize(
    "stored",
    [
        ["#ff0000", "#0000ff"],
        ["#ff0000", "#0000ff", "green"],
        [b"#ff0000", b"#0000ff"],
        np.array([[1.0, 0, 0], [0, 0, 1]]),
        np.array([[255, 0, 0], [0, 0, 255]]),
        [[1, 0, 0], [0, 0, 1]],
        [(1.0, 0, 0), (0, 0, 1.0)],
        np.array(["#ff0000", "#0000ff"], dtype=object),
        {"b": "#0000ff", "a": "#ff0000", "c": "green"},
        {"b": (0, 0, 1.0), "a": (1.0, 0, 0)},
        pd.Series({"b": "#0000ff", "a": "#ff0000"}),
        pd.Series(["#ff0000", "#0000ff"]),
    ],
    ids=["names", "too many", "bytes", "decimals", "to 255", "to 1", "tuples", "objects"]
    + ["dict", "dict of rows", "series", "series in order"],
)
def test_forms_of_colours(stored):
    assert read(stored) == {"a": "#ff0000", "b": "#0000ff"}


def test_opacity_is_kept():
    assert read([[1.0, 0, 0, 0.2], [0, 0, 255 / 255, 1.0]]) == {"a": "#ff000033", "b": "#0000ffff"}


@pytest.mark.parametrize(
    "stored",
    [
        ["red"],
        ["red", "nonsense"],
        [None, None],
        {"a": "red"},
        [[1, "x", 0], "red"],
        np.array([[255.0, 0, 0], [0, 0, 255.0]]),
    ],
)
def test_where_one_is_missing_or_none_new_ones_are_taken_and_the_log_says_so(stored, caplog):
    caplog.set_level("INFO", "multist")
    assert read(stored) is None
    assert "uns['d_colors'] holds no colour for some" in caplog.text


@pytest.mark.parametrize("stored", [(), 3, "red", np.array("red")])
def test_what_is_no_list_is_none(stored, caplog):
    assert read(stored) is None
    assert not caplog.text


def test_a_part_keeps_the_colours_of_the_categories_that_it_holds():
    table = ad.AnnData(obs=pd.DataFrame({"d": pd.Categorical(["b", "d"], ["a", "b", "c", "d"])}, index=["s", "t"]))
    table.uns["d_colors"] = ["#111111", "#222222"]
    found = stored_colors(table, "d")
    assert (found["b"], found["d"]) == ("#111111", "#222222") and len(set(found.values())) == 4
