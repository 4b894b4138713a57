"""Loops with a progress bar that shows the time left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multist._settings import settings


def watched(items: Iterable[Any], total: int, what: str, *, hidden: bool = False) -> Iterable[Any]:
    """The items, with a bar once they have taken two seconds.

    None if ``settings.progress`` is off or it is ``hidden``.
    """
    if hidden or not settings.progress:
        return items
    from tqdm.auto import tqdm

    from multist._progress import DELAY

    return tqdm(items, desc=what, total=total, delay=DELAY, leave=False)
