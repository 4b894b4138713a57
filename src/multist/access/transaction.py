"""A failed function leaves the table as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


@contextmanager
def restored_on_error(table: AnnData) -> Iterator[None]:
    """Undo what the body wrote to ``obs``, ``obsm``, ``obsp`` and ``uns`` if it fails or is interrupted.

    Only references are kept, so this costs nothing; values that the body changes in place are not restored.
    """
    obs = table.obs.copy()
    mappings = {name: dict(getattr(table, name)) for name in ("obsm", "obsp", "uns")}
    inner = {key: dict(value) for key, value in mappings["uns"].items() if isinstance(value, dict)}
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
        for key, value in inner.items():
            table.uns[key] = value
        raise
