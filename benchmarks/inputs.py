"""What a linear classifier reads from the inputs of a section, before any model has seen them."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from sections import Section
from variants import HISTOLOGY

import multist as mt
from multist.model.config import MultiSTConfig
from multist.model.features.image_axes import ImageAxes
from multist.model.features.neighbourhood import smooth

HOPS = 2
BEST = "best"


def probe_of_inputs(section: Section, prepared: AnnData) -> dict[str, float]:
    """Accuracy on unseen tissue of components, image and both side by side, each as it is and averaged over two steps.

    The image counts where a spot is wide enough in it for the default to look at it.
    """
    config = MultiSTConfig()
    key = next(key for key in ("X_pca", "X_feat") if key in prepared.obsm)
    inputs = {"components": unit_spread(np.asarray(prepared.obsm[key], dtype=np.float64)[:, : config.n_expression])}
    if section.shows_tissue and HISTOLOGY in prepared.obsm:
        features = np.asarray(prepared.obsm[HISTOLOGY], dtype=np.float64)
        inputs["image"] = unit_spread(ImageAxes.of(features, config.n_image)(features))
        inputs["both"] = np.hstack([*inputs.values()])
    adjacency = prepared.obsp["spatial_connectivities"]
    found = {}
    for name, values in inputs.items():
        found[name] = accuracy(section, values)
        found[f"{name}, {HOPS} hops"] = accuracy(section, smooth(values, adjacency, HOPS))
    return found | {BEST: max(found.values())}


def accuracy(section: Section, values: np.ndarray) -> float:
    return mt.metrics.probe(values, section.truth, section.xy)["accuracy"]


def unit_spread(values: np.ndarray) -> np.ndarray:
    values = values - values.mean(axis=0)
    return values / np.sqrt((values**2).sum(axis=1).mean())
