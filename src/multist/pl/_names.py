"""Names of any length in as many lines as there is room for."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterable

LINE = 28
"""Letters of a line; longer names take several."""
LETTER = 0.062
"""Inches of a letter at the legend's size of print."""
NARROW = 20
"""Letters of a line where there is another column of names."""
_MOST_LINES = 48
"""Lines of a column of labels: a page."""


def in_lines(name: str, letters: int = LINE, lines: int = 3) -> str:
    """A long name, without its middle if that is too much; a short one keeps its blanks, in which it may differ."""
    if len(name) <= letters:
        return name
    wrapper = textwrap.TextWrapper(letters, break_on_hyphens=False)
    # also after a low line or a stroke, since many names have no blanks
    wrapper.wordsep_simple_re = re.compile(r"(\s+|(?<=[_/])(?=[^_/\s]))")
    written, kept = wrapper.wrap(name), letters * lines
    while len(written) > lines:
        # what tells names apart is mostly at one of their ends
        written = wrapper.wrap(f"{name[: kept // 2].rstrip()}…{name[len(name) - (kept - 1) // 2 :].lstrip()}")
        kept -= 1
    return "\n".join(written)


def fitted(
    names: Iterable[str], fits: Callable[[list[str]], bool], letters: tuple[int, ...] = (LINE, NARROW, 14)
) -> list[str]:
    """Names in lines and letters that ``fits`` allows; if it allows none, in the fewest that tell them apart."""
    names, chosen = list(names), list[str]()
    for lines, most in itertools.product((3, 2, 1), letters):
        written = [in_lines(name, most, lines) for name in names]
        if chosen and len(set(written)) < len(set(names)):
            continue
        chosen = written
        if fits(chosen):
            break
    return chosen


def column(names: Iterable[str], letters: int = LINE) -> list[str]:
    """Names one below the other, in lines of so many letters."""
    return fitted(names, lambda written: n_rows(written) <= _MOST_LINES, (letters,))


def pair(one: str, mark: str, two: str) -> str:
    """Two names with a mark between them, in a line, or each in its own if that is too long."""
    line = f"{one} {mark} {two}"
    return line if len(line) <= LINE else f"{one} {mark}\n{two}"


def n_lines(names: Iterable[str]) -> int:
    """How many lines names take, written one below the other."""
    return sum(1 + name.count("\n") for name in names)


def n_rows(names: Iterable[str]) -> int:
    """How many lines they take where all have the room of the tallest, as the labels of an axis."""
    lines = [n_lines([name]) for name in names]
    return len(lines) * max(lines, default=0)


def longest(names: Iterable[str]) -> int:
    """Letters of the longest line."""
    return max((len(line) for name in names for line in name.split("\n")), default=0)
