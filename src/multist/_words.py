"""Numbers with their nouns."""

from __future__ import annotations


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
