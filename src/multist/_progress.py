"""Progress bars with the time left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from multist._settings import logger, settings

if TYPE_CHECKING:
    from tqdm import tqdm

DELAY = 2.0
"""Seconds that work must take before it gets a bar, so that small images show none."""


_compiled: set[str] = set()


def first_call_compiles(what: str) -> None:
    """Say what is waited for where the first call in a process compiles kernels, which takes seconds."""
    if what not in _compiled:
        _compiled.add(what)
        # it says nothing about the result, so it is not kept with it
        logger.info("the first call of %s compiles it, which takes some seconds", what, extra={"decision": False})


def progress_bar(total: int, what: str, unit: str) -> tqdm:
    """A bar to be used in a ``with`` statement and moved by ``update``.

    None appears with ``settings.progress = False``.
    """
    from tqdm.auto import tqdm as bar

    return bar(total=total, desc=what, unit=f" {unit}", delay=DELAY, leave=False, disable=not settings.progress)


def with_progress(items: Iterable[Any], total: int | None, what: str, *, hidden: bool = False) -> Iterable[Any]:
    """The items, with a bar of their own unless it is ``hidden`` or ``settings.progress`` is off.

    Where nobody knows their number, ``total`` is None, and the bar only counts.
    """
    if hidden or not settings.progress:
        return items
    from tqdm.auto import tqdm as bar

    return bar(items, desc=what, total=total, delay=DELAY, leave=False)
