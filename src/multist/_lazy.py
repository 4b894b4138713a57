"""Public names that load their module when they are first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def attach(package: str, modules: dict[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package whose public names live in ``modules``.

    A module must not bear the name of its function: importing it would put the module in the function's place,
    hence ``multist.pp._spatial_graph`` holds ``multist.pp.spatial_graph``.
    """
    names = sorted(modules)

    def __getattr__(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(names)}")
        return getattr(import_module(modules[name]), name)

    return __getattr__, lambda: names, names
