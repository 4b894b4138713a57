"""What ``device="auto"`` means, and whether a device is there."""

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
    where, name = ("settings.device", settings.device) if device == "auto" else ("device", device)
    if name in ("auto", "cpu"):
        return
    unknown = f"{where} must be 'auto' or a name torch knows, such as 'cpu' or 'cuda:1'; got {name!r}"
    if not isinstance(name, str):
        raise ValueError(unknown)
    import torch

    try:
        named = torch.device(name)
    except RuntimeError as error:
        raise ValueError(unknown) from error
    found = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    there = found.get(named.type, 0)
    if (named.index or 0) >= there:
        raise ValueError(f"{where} {name!r} is not there: torch finds {there} of {named.type!r} on this machine")
