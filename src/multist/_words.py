"""Words of messages: numbers with their nouns, and names that were meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def did_you_mean(name: str, there: Iterable[Any]) -> str:
    """What to ask where a name is close to one of those that there are; empty where none is."""
    close = get_close_matches(str(name), map(str, there), 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def shown(name: Any) -> str:
    """A name or a number as Python writes it, without the type that numpy writes around its own."""
    return repr(name.item() if getattr(name, "ndim", None) == 0 else name)


def counted(number: int, one: str, several: str | None = None) -> str:
    """A number and what is counted, as ``"1 spot"`` and ``"1,200 spots"``.

    Parameters
    ----------
    number
        How many.
    one
        What follows 1, such as ``"spot lies"``.
    several
        What follows any other number; None for ``one`` with an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
