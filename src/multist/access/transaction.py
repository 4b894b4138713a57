"""A failed function leaves the table and the images as they were; Ctrl-C does not part what is written together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from multist.access.tables import is_spatialdata

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@contextmanager
def restored_on_error(table: AnnData, data: AnnData | SpatialData) -> Iterator[None]:
    """Undo what the body wrote to ``obs``, ``obsm``, ``obsp`` and ``uns`` if it fails or is interrupted.

    If ``data`` is the SpatialData of the table, images and shapes that the body added, replaced or removed are too.
    Only references are kept, so this costs nothing; values that the body changes in place are not restored.
    """
    obs = table.obs.copy(deep=False)  # columns are replaced, not changed
    mappings = {name: dict(getattr(table, name)) for name in ("obsm", "obsp", "uns")}
    whole: Any = data
    elements = [whole.images, whole.shapes] if is_spatialdata(data) else []
    elements_before = [dict(held) for held in elements]
    try:
        yield
    except BaseException:
        table.obs = obs
        for name, before in mappings.items():
            now = getattr(table, name)
            for key in [key for key in now if key not in before]:
                del now[key]
            for key, value in before.items():
                if now.get(key) is not value:
                    now[key] = value
        for held, earlier in zip(elements, elements_before, strict=True):
            for key in [key for key in held if earlier.get(key) is not held[key]]:
                del held[key]
            for key in earlier.keys() - held.keys():
                held[key] = earlier[key]
        raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the body, which is short, is through; then it comes as always."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # other threads get no Ctrl-C
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda *what: came.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(*came[0])
