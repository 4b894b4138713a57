"""What missing values become where a column is turned to text."""

from __future__ import annotations

_TEXTS = ("nan", "<na>", "nat")


def is_missing_text(name: object) -> bool:
    """Whether a name is a missing value as text, by which nobody means a domain."""
    return str(name).strip().lower() in _TEXTS
