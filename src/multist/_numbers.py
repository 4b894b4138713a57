"""Whether what a user gives, or data states, is a number."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def as_number(value: Any) -> float:
    """What data states as a number or its text; NaN where it is none."""
    import numpy as np  # the rules of the house are checked where it is not installed

    try:
        return float(np.asarray(value).item())
    except (TypeError, ValueError):
        return float("nan")


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; a truth value is none, nor is a number as text."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number by its type; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above zero."""
    return is_number(value) and value > 0
