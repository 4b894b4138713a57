"""MultiST: spatial domains from expression, histology and space.

The namespaces are loaded when they are first used, so that ``import multist`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any

from multist._settings import settings

__version__ = version("multist")
_NAMESPACES = ("datasets", "metrics", "pl", "pp", "tl")
__all__ = ["MultiST", *_NAMESPACES, "report", "settings"]


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return import_module(f"multist.{name}")
    if name == "MultiST":
        return import_module("multist.tl._model").MultiST
    if name == "report":
        return import_module("multist._report.report").report
    raise AttributeError(f"module 'multist' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
