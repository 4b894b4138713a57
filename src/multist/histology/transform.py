"""What a model does to a patch before it looks at it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the channels that most models were trained with."""


@dataclass(frozen=True)
class Transform:
    """The preprocessing of a model.

    Attributes
    ----------
    resize
        Side in pixels to which the whole patch is brought.
    crop
        Side of the middle of it that the model sees.
    mean, std
        Of the channels, by which values are standardised.
    factor
        What values in [0, 1] are multiplied with before that.
    """

    resize: int
    crop: int
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]
    factor: float = 1.0

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """From (n, 3, resize, resize) in [0, 1] to (n, 3, crop, crop) as the model wants it."""
        import torch

        start = (self.resize - self.crop) // 2
        batch = batch[:, :, start : start + self.crop, start : start + self.crop] * self.factor
        mean, std = (torch.tensor(values, device=batch.device).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (batch - mean) / std

    def recorded(self) -> dict[str, Any]:
        """Its fields in a form that can be stored."""
        return {name: np.array(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
