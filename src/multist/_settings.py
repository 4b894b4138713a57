"""Settings that hold for the whole session."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

logger = logging.getLogger("multist")


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
    """

    device: str = "auto"
    graph_backend: Literal["auto", "dgl", "torch"] = "auto"
    progress: bool = True
    cache_dir: Path = field(default_factory=lambda: Path.home() / ".cache" / "multist")

    @property
    def verbosity(self) -> int:
        """Level of the ``multist`` logger, a constant of :mod:`logging`."""
        return logger.level

    @verbosity.setter
    def verbosity(self, level: int | str) -> None:
        logger.setLevel(level)


settings = Settings()
