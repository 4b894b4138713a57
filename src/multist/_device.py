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


def check_device(device: str) -> None:
    """Raise a ValueError if torch knows no such device, or this machine has none."""
    name = choose_device(device) if device != "auto" else settings.device
    if name in ("auto", "cpu"):
        return
    import torch

    try:
        named = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto' or a name torch knows, such as 'cpu' or 'cuda:1'; got {device!r}"
        ) from error
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(named.type)
    if there is not None and (named.index or 0) >= there:
        raise ValueError(f"device {device!r} is not there: torch finds {there} of {named.type!r} on this machine")
