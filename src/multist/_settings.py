"""Settings that hold for the whole session, and what is said about decisions."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field, fields
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multist._words import did_you_mean

logger = logging.getLogger("multist")


class Verbosity(IntEnum):
    """How much is said; names and numbers are scanpy's."""

    error = 0
    warning = 1
    info = 2
    hint = 3
    debug = 4

    @property
    def level(self) -> int:
        """The least level of a message that is shown, as :mod:`logging` counts."""
        return (logging.ERROR, logging.WARNING, logging.INFO, 15, logging.DEBUG)[self]


class _StderrHandler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is at that moment, above a progress bar that stands there."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            bars = sys.modules.get("tqdm")
            if bars is None:
                sys.stderr.write(f"{line}\n")
            else:
                bars.tqdm.write(line, file=sys.stderr)
        except (OSError, ValueError, TypeError, KeyError):  # what a closed stream and a wrong format raise
            self.handleError(record)


class _Once(logging.Filter):
    """Shows what is known of an object whenever it is opened (``extra={"once": True}``) a single time in a session."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(record, "once", False):
            return True
        line = record.getMessage()
        new = line not in self._shown
        self._shown.add(line)
        return new


class _Format(logging.Formatter):
    """``multist: message``, with the level of what is more than information."""

    def format(self, record: logging.LogRecord) -> str:
        name = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return f"multist: {name}{super().format(record)}"


def _own_handler() -> logging.Handler:
    """The handler of this package's messages, added once, so that the root logger need not show them too."""
    held = next((each for each in logger.handlers if each.name == "multist"), None)
    if held is None:
        held = _StderrHandler(Verbosity.info.level)
        held.name = "multist"
        held.setFormatter(_Format())
        held.addFilter(_Once())
        logger.addHandler(held)
        logger.propagate = False
        # what is shown is the handler's choice: decisions are written into results whether or not they are shown
        logger.setLevel(logging.DEBUG)
    return held


_handler = _own_handler()


@dataclass
class Settings:
    """What every function falls back on; change it with ``multist.settings.progress = False``.

    Attributes
    ----------
    device
        ``"auto"`` (an accelerator if there is one), or any name torch knows, such as ``"cpu"`` or ``"cuda:1"``.
    graph_backend
        ``"auto"`` (DGL where it is installed and the data is on the CPU, torch elsewhere), ``"dgl"`` or ``"torch"``.
    progress
        Show progress bars.
    cache_dir
        Where downloaded datasets, and the vectors that named encoders made of patches, are kept.

    Raises
    ------
    AttributeError
        If another attribute is set.
    """

    device: str = "auto"
    graph_backend: Literal["auto", "dgl", "torch"] = "auto"
    progress: bool = True
    cache_dir: Path = field(default_factory=lambda: Path.home() / ".cache" / "multist")

    if not TYPE_CHECKING:  # a type checker that sees it lets every name pass

        def __setattr__(self, name: str, value: Any) -> None:
            names = [*(each.name for each in fields(self)), "verbosity"]
            if name not in names:
                meant = did_you_mean(name, names)
                raise AttributeError(f"settings has no {name!r}; it has: {', '.join(names)}.{meant}")
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        values = {each.name: getattr(self, each.name) for each in fields(self)} | {"verbosity": self.verbosity.name}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    @property
    def verbosity(self) -> Verbosity:
        """How much is said, as one of ``"error"``, ``"warning"``, ``"info"``, ``"hint"``, ``"debug"`` or 0 to 4.

        The default is ``"info"``: every decision that changes a result is shown, such as what was reused and what was
        left out. ``"error"`` is silence. Whatever is shown, decisions are in ``uns["multist"]["decisions"]`` of the
        result.
        """
        return next(each for each in reversed(Verbosity) if each.level >= _handler.level)

    @verbosity.setter
    def verbosity(self, verbosity: Literal["error", "warning", "info", "hint", "debug"] | int) -> None:
        choices = ", ".join(f"{each.name!r} ({each.value})" for each in Verbosity)
        wanted = [
            each for each in Verbosity if verbosity in (each.value, each.name) and not isinstance(verbosity, bool)
        ]
        if not wanted:
            raise ValueError(f"verbosity must be one of {choices}; got {verbosity!r}")
        _handler.setLevel(wanted[0].level)


settings = Settings()
