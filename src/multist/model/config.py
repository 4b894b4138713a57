"""Every constant of the model, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class PublishedLosses:
    """Weights of the published method's losses, and what else it needs.

    Attributes
    ----------
    expression, image, edges, alignment, prior, clustering, sections
        Masked reconstruction of the two modalities, edges against non-edges, agreement of the unimodal projections (InfoNCE),
        closeness to a Gaussian prior that a critic judges, DEC, and a critic that cannot tell the sections apart.
    n_factors
        Width of the code.
    mask_rate
        Share of the spots whose own features are hidden in an epoch.
    temperature
        Of the alignment.
    """

    expression: float = 10.0
    image: float = 1.0
    edges: float = 0.1
    alignment: float = 1.0
    prior: float = 1.0
    clustering: float = 1.0
    sections: float = 1.0
    n_factors: int = 32
    mask_rate: float = 0.3
    temperature: float = 0.1


@dataclass(frozen=True)
class MultiSTConfig:
    """Constants of the model; the defaults are one configuration for all data.

    Attributes
    ----------
    n_expression, n_image
        Components of the expression and of the histology features that go in at most.
    n_heads, head_width
        Of the attention.
    epochs
        Steps of training at most; held-out tissue says how many are taken. Zero runs no network: the image enters by a linear
        rule, and every neighbour counts alike.
    learning_rate, weight_decay
        Of AdamW.
    center_sections
        Take away what sets whole sections apart, where they are more alike without it.
    losses
        Losses of the published method, which then runs in place of this one; None by default.
    """

    n_expression: int = 30
    n_image: int = 10
    n_heads: int = 4
    head_width: int = 8
    epochs: int = 60
    learning_rate: float = 0.01
    weight_decay: float = 0.1
    center_sections: bool = True
    losses: PublishedLosses | None = None

    def __post_init__(self) -> None:
        for name in ("n_expression", "n_image", "n_heads", "head_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.epochs < 0:
            raise ValueError(f"epochs must not be negative; got {self.epochs}")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a number from 0 upwards; got {getattr(self, name)}")
        if self.losses is not None and self.losses.n_factors < 1:
            raise ValueError(f"n_factors must be at least 1; got {self.losses.n_factors}")
        if self.losses is not None and not 0 < self.losses.mask_rate < 1:
            raise ValueError(f"mask_rate must lie between 0 and 1; got {self.losses.mask_rate}")

    @classmethod
    def published(cls) -> MultiSTConfig:
        """Return the published method's constants and modes where they have a counterpart here, for comparison.

        A 32-dimensional code of 200 components, attention whose queries see one key, no gate, and all of the published losses
        (arXiv 2601.13331).
        """
        return cls(
            n_expression=200,
            n_image=20,
            center_sections=False,
            epochs=400,
            learning_rate=0.01,
            weight_decay=0.01,
            losses=PublishedLosses(),
        )

    def replace(self, **changes: Any) -> MultiSTConfig:
        """Copy with some constants changed."""
        return replace(self, **changes)
