"""What ``device="auto"`` means."""

from __future__ import annotations

from multist._settings import settings


def choose_device(device: str = "auto") -> str:
    """Name of a torch device: the given one, else that of ``multist.settings.device``, else the best that there is."""
    name = settings.device if device == "auto" else device
    if name != "auto":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
