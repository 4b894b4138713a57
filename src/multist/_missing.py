"""Names that people gave: numbers as names, what missing values become as text, and names that are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_TEXTS = ("nan", "<na>", "nat")


def is_missing_text(name: object) -> bool:
    """Whether a name is a missing value as text, by which nobody means a domain."""
    return str(name).strip().lower() in _TEXTS


def is_named(values: pd.Series) -> np.ndarray:
    """(n,) bool. Where there is a value that is not missing, also not as text."""
    missing = [value for value in values.dropna().unique() if is_missing_text(value)]
    return (values.notna() & ~values.isin(missing)).to_numpy()


def as_name(value: object) -> str:
    """A value as the name of a class; a whole number without the fraction that it has beside missing ones."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def as_names(column: pd.Series) -> pd.Series:
    """Any column as a categorical of names; values that get the same become one."""
    column = column.astype("category")
    return renamed(column, [as_name(value) for value in column.cat.categories])


def renamed(column: pd.Series, names: Sequence[str]) -> pd.Series:
    """A categorical column whose categories get these names; those that get the same become one."""
    code = {name: place for place, name in enumerate(dict.fromkeys(names))}
    place = np.array([*(code[name] for name in names), -1])
    values = pd.Categorical.from_codes(place[column.cat.codes], list(code), ordered=column.cat.ordered)
    return pd.Series(values, index=column.index)
