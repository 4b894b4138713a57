"""Whether what a user gives is a number."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist._numbers import is_number, is_positive


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3), Fraction(1, 2)])
def test_numbers_of_any_kind(value):
    assert is_number(value) and is_positive(value) and is_number(-value) and not is_positive(-value)


@pytest.mark.parametrize("value", ["1", None, True, np.nan, np.inf, [1], np.ones(2), 1j, pd.NA])
def test_anything_else_is_none(value):
    assert not is_number(value) and not is_positive(value)


PAIRS = pd.DataFrame({"source": ["a"], "target": ["b"]})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: mt.pp.embed_histology(t, patch_size="wide"), "patch_size must be positive; got 'wide'"),
        (lambda t: mt.pp.embed_histology(t, patch_size=None), "patch_size must be positive; got None"),
        (lambda t: mt.pp.embed_histology(t, white="x"), "white must be a positive number.*got 'x'"),
        (lambda t: mt.pp.embed_histology(t, microns_per_pixel="x"), "microns_per_pixel must be positive.*got 'x'"),
        (lambda t: mt.pp.read_labels(t, "a.csv", scale="x"), "scale must be a positive number; got 'x'"),
        (lambda t: mt.pp.read_labels(t, "a.csv", stroke_width=True), "stroke_width must be a positive.*got True"),
        (lambda t: mt.tl.interactions(t, PAIRS, cluster_key="domain", threshold="x"), "threshold is a share.*got 'x'"),
        (lambda t: mt.tl.ligrec(t, "domain", pairs=PAIRS, threshold="x"), "threshold is a share.*got 'x'"),
        (lambda t: mt.tl.pseudotime(t, cluster_key="domain", spatial_weight="x"), "spatial_weight must be.*not 'x'"),
        (lambda t: mt.pl.borders(t, n_pairs=1.5), "n_pairs must be a whole number of at least 1; got 1.5"),
        (lambda t: mt.pl.borders(t, fdr="x"), "fdr must be above 0 and at most 1; got fdr='x'"),
        (lambda t: mt.report(t, "a.html", n_markers=1.5), "n_markers must be a whole number of at least 1; got 1.5"),
    ],
)
def test_the_argument_that_is_no_number_is_named(call, says, tissue_table):
    with pytest.raises(ValueError, match=says):
        call(tissue_table)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: mt.tl.pseudotime(t, cluster_key=3),
        lambda t: mt.tl.interactions(t, PAIRS, cluster_key=3),
        lambda t: mt.pl.domains(t, outline=3),
    ],
)
def test_a_name_that_is_no_text_is_looked_for_in_vain(call, tissue_table):
    tissue_table.obs["multist_domain"] = tissue_table.obs["domain"]
    tissue_table.obsm["X_multist"] = np.ones((tissue_table.n_obs, 2))
    with pytest.raises(KeyError, match="3.*not found in obs"):
        call(tissue_table)
