"""Every constant of the model, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class MultiSTConfig:
    """Constants of the model; the defaults are one configuration for all data.

    Attributes
    ----------
    n_factors
        Width of the embedding.
    n_expression, n_image
        Components of the expression and of the histology features that go in at most.
    n_hops
        Range of a neighbourhood in steps on the graph; None follows from how much single spots say.
    n_heads
        Attention heads; each has ``n_factors // n_heads`` dimensions or at least one.
    attention
        ``"neighbourhood"``: keys are the spot and its neighbours. ``"self"``: the spot alone, as in the released code,
        where every weight is one.
    gate
        Learn per spot how much image goes in.
    weigh_image
        Weigh each image factor by how well expression predicts it on held-out tissue.
    center_sections
        Take away what sets whole sections apart, where they are more alike without it.
    epochs, learning_rate, weight_decay
        Of AdamW on all spots at once.
    mask_rate
        Share of the spots whose own tokens are hidden in an epoch and predicted from their neighbourhoods.
    expression_loss, image_loss, edge_loss, alignment_loss, prior_loss, clustering_loss, section_loss
        Weights of the losses: masked reconstruction of the two modalities, edges against non-edges, agreement of the
        unimodal projections (InfoNCE), closeness to a Gaussian prior that a critic judges, DEC, and a critic that cannot
        tell the sections apart. The last five are those of the published method; the ablation shows no gain from
        them, so by default they are not there.
    temperature
        Of the alignment.
    """

    n_factors: int = 16
    n_expression: int = 100
    n_image: int = 20
    n_hops: int | None = None
    n_heads: int = 4
    attention: Literal["neighbourhood", "self"] = "neighbourhood"
    gate: bool = True
    weigh_image: bool = True
    center_sections: bool = True
    epochs: int = 60
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    mask_rate: float = 0.3
    expression_loss: float = 1.0
    image_loss: float = 1.0
    edge_loss: float = 0.0
    alignment_loss: float = 0.0
    prior_loss: float = 0.0
    clustering_loss: float = 0.0
    section_loss: float = 0.0
    temperature: float = 0.1

    def __post_init__(self) -> None:
        for name in ("n_factors", "n_expression", "n_image", "n_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.n_hops is not None and self.n_hops < 2:
            raise ValueError(f"n_hops must be None or at least 2; got {self.n_hops}")
        if not 0 < self.mask_rate < 1:
            raise ValueError(f"mask_rate must lie between 0 and 1; got {self.mask_rate}")
        if self.attention not in ("neighbourhood", "self"):
            raise ValueError(f"attention must be 'neighbourhood' or 'self'; got {self.attention!r}")
        if self.epochs < 0:
            raise ValueError(f"epochs must not be negative; got {self.epochs}")

    @classmethod
    def published(cls) -> MultiSTConfig:
        """Return the published method's constants and modes where they have a counterpart here, for comparison.

        A 32-dimensional code of 200 components, eight heads whose queries see one key, no gate and no weighing,
        reconstruction 10 : 0.1 edges, adversarial prior, alignment 1 at temperature 0.1, DEC (arXiv 2601.13331).
        """
        return cls(
            n_factors=32, n_expression=200, n_hops=2, n_heads=8, attention="self", gate=False, weigh_image=False, center_sections=False, epochs=400,
            learning_rate=0.01, weight_decay=0.01, expression_loss=10.0, image_loss=1.0, edge_loss=0.1,
            alignment_loss=1.0, prior_loss=1.0, clustering_loss=1.0, section_loss=1.0,
        )  # fmt: skip

    def replace(self, **changes: Any) -> MultiSTConfig:
        """Copy with some constants changed."""
        return replace(self, **changes)
