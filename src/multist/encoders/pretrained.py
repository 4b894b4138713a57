"""Vision networks of the transformers package as patch encoders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def is_model_name(name: str) -> bool:
    """Whether ``name`` is the folder of a saved model, or looks like ``"owner/name"`` on a model hub."""
    return Path(name, "config.json").is_file() or re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None


def load_pretrained(name: str) -> Any:
    """Load a vision model of `transformers` with its own preprocessing.

    Parameters
    ----------
    name
        ``"owner/name"`` on the hub, which is downloaded and cached by transformers, or a folder written by
        ``save_pretrained``. Of models of image and text (CLIP and its kin) the image tower is used.

    Returns
    -------
    A :class:`torch.nn.Module` from (n, 3, h, w) in [0, 1] to (n, d), with the side of its input as ``pixels``.

    Raises
    ------
    ImportError
        If transformers is not installed.
    OSError
        If the model cannot be found, as transformers says it.
    """
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise ImportError(
            f"encoder {name!r} is a transformers model: pip install 'multist[encoders]', or use encoder='texture'"
        ) from error
    config = AutoConfig.from_pretrained(name)
    model = AutoModel.from_pretrained(name)
    mean, std = _preprocessing(name)
    return vision_module(model, config, mean, std)


def _preprocessing(name: str) -> tuple[list[float], list[float]]:
    """Channel mean and standard deviation that the model was trained with; those of ImageNet if it does not say."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError):  # no preprocessor_config.json beside the weights, or one without an image part
        return [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return list(processor.image_mean), list(processor.image_std)


def vision_module(model: Any, config: Any, mean: list[float], std: list[float]) -> torch.nn.Module:
    """Wrap a transformers model: standardise, take the image tower, pool its tokens."""
    import torch

    class Vision(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.pixels = _input_side(config)
            self.mean = torch.nn.Buffer(torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
            self.std = torch.nn.Buffer(torch.tensor(std).view(1, 3, 1, 1), persistent=False)

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            pixels = (batch - self.mean) / self.std
            if hasattr(self.model, "get_image_features"):
                out = self.model.get_image_features(pixel_values=pixels)
                if isinstance(out, torch.Tensor):
                    return out
            else:
                out = self.model(pixel_values=pixels)
            pooled = getattr(out, "pooler_output", None)
            if pooled is None:
                hidden = out.last_hidden_state
                pooled = hidden.mean(dim=(2, 3)) if hidden.ndim == 4 else hidden.mean(dim=1)
            return pooled.flatten(1)

    return Vision()


def _input_side(config: Any) -> int:
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", 224)
    return int(size if isinstance(size, int) else size[0])
