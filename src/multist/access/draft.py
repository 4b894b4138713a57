"""A table with results that are not written yet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import ImplicitModificationWarning

if TYPE_CHECKING:
    from anndata import AnnData

_GONE = object()


class _Layer(MutableMapping[str, Any]):
    """A mapping with changes that lie over it and leave it alone."""

    def __init__(self, below: Callable[[], Mapping[str, Any]]) -> None:
        self._below = below
        self.changes: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        value = self.changes[key] if key in self.changes else self._below()[key]
        if value is _GONE:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.changes[key] = value

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.changes[key] = _GONE

    def __iter__(self) -> Iterator[str]:
        yield from (key for key in self._below() if key not in self.changes)
        yield from (key for key, value in self.changes.items() if value is not _GONE)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        return self.changes[key] is not _GONE if key in self.changes else key in self._below()


class Draft:
    """A table as it will be, which reads like the user's and leaves that alone until :meth:`write_to`.

    So a call that is refused or interrupted has nothing to undo, a view stays a view, and nothing is copied for it.

    Attributes
    ----------
    obsm, obsp, uns
        Those of the table, with the changes; what lies within an entry of ``uns`` is not to be changed in place.
    """

    def __init__(self, table: AnnData) -> None:
        self._table = table
        self._columns: dict[str, Any] = {}
        self.obsm, self.obsp, self.uns = (_Layer(partial(getattr, table, name)) for name in ("obsm", "obsp", "uns"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a draft that is being made or copied has no table yet
            raise AttributeError(name)
        return getattr(self._table, name)

    @property
    def obs(self) -> pd.DataFrame:
        """The columns as they will be.

        A frame of its own where they differ from the table's, whose values it shares.
        """
        if not self._columns:
            return self._table.obs
        frame = self._table.obs.copy(deep=False)
        for name, values in self._columns.items():
            if values is not _GONE:
                frame[name] = values
            elif name in frame:
                del frame[name]
        return frame

    def put(self, group: str, name: str, value: Any) -> None:
        """Write an entry of ``obs``, ``obsm``, ``obsp`` or ``uns``."""
        (self._columns if group == "obs" else getattr(self, group))[name] = value

    def drop(self, group: str, name: str) -> None:
        """Remove an entry, if it is there."""
        if name in getattr(self, group):
            self.put(group, name, _GONE)

    def write_to(self, table: AnnData) -> None:
        """Make the changes in a table, which is the user's or a copy of it."""
        with warnings.catch_warnings():
            # that a view becomes a copy is among the decisions
            warnings.simplefilter("ignore", ImplicitModificationWarning)
            gone = [name for name, value in self._columns.items() if value is _GONE and name in table.obs]
            if gone:
                table.obs = table.obs.drop(columns=gone)
            for name, value in self._columns.items():
                if value is not _GONE:
                    # by position: dropping a column turns integer obs_names into text
                    table.obs[name] = value.array if isinstance(value, pd.Series) else value
            for group in ("obsm", "obsp", "uns"):
                for name, value in getattr(self, group).changes.items():
                    held = getattr(table, group)
                    if value is not _GONE:
                        held[name] = value
                    elif name in held:
                        del held[name]
