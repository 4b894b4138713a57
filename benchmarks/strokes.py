"""Strokes for guided domains: what people drew, and what is drawn here at random from the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import read_h5ad

DRAWN = "scribble"
"""Column of ``obs`` with what a person drew; an input of guided domains and of nothing else."""


def people_strokes(folder: Path, name: str) -> pd.Series | None:
    """What a person drew on a section; None where nobody did."""
    obs = read_h5ad(folder / f"{name}.h5ad", backed="r").obs
    return named(obs[DRAWN]) if DRAWN in obs else None


def random_strokes(truth: pd.Series, count: int, seed: int) -> pd.Series:
    """``count`` labelled spots of each domain, or all where there are fewer."""
    rng = np.random.default_rng(seed)
    strokes = pd.Series(np.nan, index=truth.index, dtype=object)
    for name in truth.dropna().unique():
        rows = np.flatnonzero((truth == name).to_numpy())
        rows = rng.permutation(rows)[:count]
        strokes.iloc[rows] = truth.iloc[rows]
    return strokes


def spoilt(strokes: pd.Series, seed: int, share: float = 0.1) -> pd.Series:
    """The same with a share of the strokes, at least one, under the name of another class."""
    rng = np.random.default_rng(seed)
    wrong, names = strokes.copy(), strokes.dropna().unique()
    drawn = np.flatnonzero(strokes.notna().to_numpy())
    for row in rng.choice(drawn, max(1, round(share * len(drawn))), replace=False):
        wrong.iloc[row] = rng.choice([name for name in names if name != strokes.iloc[row]])
    return wrong


def answered(strokes: pd.Series, truth: pd.Series, spots: list[str]) -> pd.Series:
    """The strokes, and the truth of some more spots, as far as they have one."""
    return strokes.where(~strokes.index.isin(spots), truth)


def named(column: pd.Series) -> pd.Series:
    """Names as strings, missing where there is none."""
    column = column.astype(object)
    return column.where(column.isna() | (column.astype(str) == "nan"), column.astype(str)).replace("nan", np.nan)
