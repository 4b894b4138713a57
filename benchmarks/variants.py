"""What is compared: the floor; the package untrained, without a modality, and with an image that says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from anndata import AnnData

import multist as mt
from multist.model.config import MultiSTConfig

HISTOLOGY = "X_histology"
FLOOR, EXPRESSION, DEFAULT, REFINED, PUBLISHED = "floor", "expression", "both", "refined", "published"
QUICK_EPOCHS = 5
NOISE_WIDTH = 64  # of a made-up histology embedding where there is no image whose own could be replaced


@dataclass(frozen=True)
class Variant:
    """Arguments of one call of :func:`multist.tl.multist_domains`.

    Attributes
    ----------
    title
        What the table calls it.
    call
        Arguments other than the configuration; ``use_image="there"`` demands the image where there is one.
    config
        Constants that differ from the defaults.
    needs_image
        Left out on sections without an image.
    histology
        What takes the place of the histology embedding.
    """

    title: str
    call: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    needs_image: bool = False
    histology: Literal["noise", "shuffled"] | None = None


# An image that says nothing is demanded, because the default ignores an image that is too coarse, and would not change.
VARIANTS = {
    FLOOR: Variant("floor"),
    EXPRESSION: Variant("expression", {"use_image": False}),
    DEFAULT: Variant("**default**"),
    "untrained": Variant("no training", config={"epochs": 0}),
    "noise": Variant("noise as image", {"use_image": True}, histology="noise"),
    "shuffled": Variant("shuffled image", {"use_image": True}, needs_image=True, histology="shuffled"),
    REFINED: Variant("refined", {"refine": True}),
    PUBLISHED: Variant("published", {"use_image": "there"}),
}
QUICK = (FLOOR, EXPRESSION, DEFAULT, REFINED)


def configuration(name: str, *, quick: bool) -> MultiSTConfig:
    """Constants of a variant; a quick run cuts the published schedule short."""
    if name != PUBLISHED:
        return MultiSTConfig(**VARIANTS[name].config)
    published = MultiSTConfig.published()
    return published.replace(epochs=QUICK_EPOCHS) if quick else published


def title(name: str, *, quick: bool) -> str:
    return f"{VARIANTS[name].title}, {QUICK_EPOCHS} epochs" if quick and name == PUBLISHED else VARIANTS[name].title


def arguments(name: str, *, has_image: bool) -> dict[str, Any]:
    call = dict(VARIANTS[name].call)
    if call.get("use_image") == "there":
        call["use_image"] = has_image or "auto"
    return call


def prepare(adata: AnnData, *, has_image: bool) -> None:
    """Everything that no seed changes: components, graph, histology."""
    if not {"X_pca", "X_feat"} & set(adata.obsm):
        mt.pp.embed_expression(adata)
    mt.pp.spatial_graph(adata)
    if has_image:
        mt.pp.embed_histology(adata)


def replace_histology(adata: AnnData, how: Literal["noise", "shuffled"], seed: int) -> None:
    """Put noise, or other spots' patches, where the histology embedding was."""
    rng = np.random.default_rng(seed)
    if how == "shuffled":
        adata.obsm[HISTOLOGY] = rng.permutation(adata.obsm[HISTOLOGY])
        return
    shape = adata.obsm[HISTOLOGY].shape if HISTOLOGY in adata.obsm else (adata.n_obs, NOISE_WIDTH)
    adata.obsm[HISTOLOGY] = rng.normal(size=shape).astype(np.float32)
