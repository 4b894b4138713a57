"""Models of timm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from multist.histology.transform import Transform

if TYPE_CHECKING:
    import torch


def repository(name: str, encoder: str) -> str:
    """Where the weights of a model are: a folder or ``"owner/name"`` as given, timm's own names on its page.

    Raises
    ------
    ValueError
        If timm knows no weights of this name; the error lists some that it knows.
    """
    import timm

    if "/" in name or Path(name).expanduser().is_dir():
        return name
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a model of timm, but a tag that it has not
        config = None
    if config is None or not config.hf_hub_id:
        family = re.split(r"[._]", name)[0]
        near = timm.list_models(f"*{family}*", pretrained=True)[:5] if family else []
        listed = f", such as {', '.join(map(repr, near))}" if near else ""
        raise ValueError(
            f"encoder {encoder!r}: timm has no weights of this name; see timm.list_models(pretrained=True){listed}"
        )
    if not config.hf_hub_id.endswith("/"):
        return str(config.hf_hub_id)
    tag = "" if config.tag in ("", None) or "." in name else f".{config.tag}"
    return f"{config.hf_hub_id}{name}{tag}"


def load(folder: Path, encoder: str) -> tuple[torch.nn.Module, Transform]:
    """Network without its classifier, and preprocessing, of a saved model.

    Raises
    ------
    ValueError
        If timm does not know what is in the folder, or its weights are no safetensors.
    """
    if not any(folder.glob("*.safetensors")):  # timm unpickles all else, which runs what a file holds
        raise ValueError(
            f"encoder {encoder!r}: {str(folder)!r} holds no weights as .safetensors; other files may hold code, and "
            "are not opened: save them by safetensors.torch.save_file, if you trust them"
        )
    import timm
    from timm.data import resolve_data_config

    try:
        network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0)
    except (KeyError, RuntimeError, FileNotFoundError) as error:
        raise ValueError(f"encoder {encoder!r}: timm does not know the model in {str(folder)!r}: {error}") from error
    config = resolve_data_config({}, model=network)
    crop = int(config["input_size"][-1])
    # timm's own rounding; crop_mode "border" and "squash" differ only for images that are not square
    resize = max(crop, int(crop / config["crop_pct"]))
    mean, std = (tuple(map(float, config[name])) for name in ("mean", "std"))
    return network, Transform(resize, crop, mean, std)
