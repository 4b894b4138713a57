"""Vision models of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from multist._settings import logger
from multist.histology.transform import Transform

if TYPE_CHECKING:
    import torch


_UNSTANDARDISED = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def load(folder: Path, encoder: str) -> tuple[torch.nn.Module, Transform]:
    """Image tower and preprocessing of a saved model.

    Raises
    ------
    ValueError
        If transformers does not know what is in the folder, or weights are missing in it, damaged, or hold code.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(folder)
        model, found = AutoModel.from_pretrained(folder, output_loading_info=True, weights_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"encoder {encoder!r}: transformers does not know the model in {str(folder)!r}: {error}"
        ) from error
    except (EOFError, RuntimeError, torch.serialization.pickle.UnpicklingError) as error:
        # not what torch says, which is how to open such a file all the same
        raise ValueError(
            f"encoder {encoder!r}: the weights in {str(folder)!r} are damaged, or hold more than numbers, which would "
            "be run: take a model whose weights are .safetensors"
        ) from error
    missing = set(found["missing_keys"])
    lost = sorted(key for key in missing if "pooler." not in key)
    if lost:
        raise ValueError(f"encoder {encoder!r}: the saved weights lack {', '.join(lost[:5])} of {len(lost)}")
    side = _input_side(config)
    return vision_module(model, pooled=not missing), _preprocessing(folder, side, encoder)


def vision_module(model: Any, *, pooled: bool = True) -> torch.nn.Module:
    """Wrap a model: of images and text take the image tower, and make one vector of its tokens.

    Parameters
    ----------
    model
        From transformers.
    pooled
        Whether its pooling has been trained. Without one, the class token is taken, or the mean of all where there is
        none.
    """
    import torch

    class Vision(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.has_class_token = any(name.endswith("cls_token") for name, _ in model.named_parameters())

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            if hasattr(self.model, "get_image_features"):
                out = self.model.get_image_features(pixel_values=pixels)
                if isinstance(out, torch.Tensor):
                    return out
            else:
                out = self.model(pixel_values=pixels)
            vector = getattr(out, "pooler_output", None) if pooled else None
            if vector is None:
                hidden = out.last_hidden_state
                tokens = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
                vector = tokens[:, 0] if self.has_class_token else tokens.mean(dim=1)
            return vector.flatten(1)

    return Vision()


def _preprocessing(folder: Path, side: int, encoder: str) -> Transform:
    """What the model says beside its weights; ImageNet's if it does not say."""
    from transformers import AutoImageProcessor

    try:
        said = AutoImageProcessor.from_pretrained(folder)
    except (OSError, ValueError):  # no preprocessor_config.json, or one without an image part
        logger.warning("encoder %r does not say how it wants its images: they are standardised as ImageNet's", encoder)
        return Transform(side, side)
    crop = _side(getattr(said, "crop_size", None)) if getattr(said, "do_center_crop", False) else None
    resize = _side(said.size) if getattr(said, "do_resize", True) else None
    resize = resize or crop or side
    share = getattr(said, "crop_pct", None)
    if share and resize < 384:  # ConvNeXt's way of saying it; larger images are not cropped
        crop, resize = resize, int(resize / share)
    factor = 255 * float(said.rescale_factor) if getattr(said, "do_rescale", True) else 255.0
    standardised = getattr(said, "do_normalize", True)
    said_to_be = (said.image_mean, said.image_std) if standardised else _UNSTANDARDISED
    mean, std = (tuple(map(float, values)) for values in said_to_be)
    return Transform(max(resize, crop or resize), crop or resize, mean, std, factor)


def _side(size: Any) -> int | None:
    """Pixels by whichever of its names a size is said."""
    if isinstance(size, int):
        return size
    for name in ("height", "shortest_edge", "longest_edge"):
        value = getattr(size, name, None) if not isinstance(size, dict) else size.get(name)
        if value:
            return int(value)
    return None


def _input_side(config: Any) -> int:
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", 224)
    return int(size if isinstance(size, int) else size[0])
