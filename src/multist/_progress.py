"""Progress bars with the time left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from multist._settings import settings

if TYPE_CHECKING:
    from tqdm import tqdm

DELAY = 2.0
"""Seconds that work must take before it gets a bar, so that small images show none."""


def progress_bar(total: int, what: str, unit: str) -> tqdm:
    """A bar to be used in a ``with`` statement and moved by ``update``.

    None appears with ``settings.progress = False``.
    """
    from tqdm.auto import tqdm as bar

    return bar(total=total, desc=what, unit=f" {unit}", delay=DELAY, leave=False, disable=not _bars_are_shown())


def with_progress(items: Iterable[Any], total: int | None, what: str, *, hidden: bool = False) -> Iterable[Any]:
    """The items, with a bar of their own unless it is ``hidden`` or ``settings.progress`` is off.

    Where nobody knows their number, ``total`` is None, and the bar only counts. Whoever takes them may leave early.
    """
    return items if hidden or not _bars_are_shown() else _with_bar(items, total, what)


def _with_bar(items: Iterable[Any], total: int | None, what: str) -> Iterator[Any]:
    from tqdm.auto import tqdm as bar

    moving = bar(desc=what, total=total, delay=DELAY, leave=False)
    try:
        for each in items:
            yield each
            moving.update()
    finally:
        moving.total = moving.n or None  # a notebook takes a bar that ends early for a failure, and keeps it
        moving.close()


def _bars_are_shown() -> bool:
    """Whether they are not turned off, and this is the first of the processes that ``torchrun`` started."""
    return settings.progress and (os.environ.get("RANK", "0") == "0" or "MASTER_ADDR" not in os.environ)
