"""Names that people gave: what missing values become as text, and names that are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_TEXTS = ("nan", "<na>", "nat")


def is_missing_text(name: object) -> bool:
    """Whether a name is a missing value as text, by which nobody means a domain."""
    return str(name).strip().lower() in _TEXTS


def renamed(column: pd.Series, names: Sequence[str]) -> pd.Series:
    """A categorical column whose categories get these names; those that get the same become one."""
    code = {name: place for place, name in enumerate(dict.fromkeys(names))}
    place = np.array([*(code[name] for name in names), -1])
    return pd.Series(pd.Categorical.from_codes(place[column.cat.codes], list(code)), index=column.index)
