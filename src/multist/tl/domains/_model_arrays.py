"""Whether the arrays of a stored model fit one another, which nothing but a model of another maker violates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_OF_MODALITY = {"center": "{0}", "weights": "{0} {0}m", "structured": "{0}"}
_SURROUNDINGS = {
    "surroundings_values": "{0}n {0}",
    "surroundings_scale": "{0}",
    "surroundings_middle": "{0}",
}
_SHAPES = {
    **{f"fusion.expression.{name}": axes.format("p") for name, axes in (_OF_MODALITY | _SURROUNDINGS).items()},
    **{f"fusion.image.{name}": axes.format("c") for name, axes in _OF_MODALITY.items()},
    **{f"fusion.image.{name}": axes.format("v") for name, axes in _SURROUNDINGS.items()},
    "fusion.embedding.center": "d",
    "fusion.embedding.spread": "d",
    "fusion.axes.median": "v",
    "fusion.axes.scale": "v",
    "fusion.axes.center": "v",
    "fusion.axes.axes": "v c",
    "axes.mean": "g",
    "axes.loadings": "g q",
    "axes.share": "l",
    "axes.depth": "",
    "axes.power": "",
    "linear.slope": "k d",
    "linear.offset": "k",
    "guided.weights": "h",
    "guided.shares": "k",
}
"""Axes of each array; one letter is one length wherever it stands."""


def check_arrays(arrays: Mapping[str, np.ndarray], lengths: Mapping[str, int]) -> None:
    """Raise a ValueError that names an array which does not fit the others.

    Parameters
    ----------
    arrays
        By group and name.
    lengths
        Known lengths by their letters: ``g`` genes, ``l`` genes of the library, ``k`` domains.
    """
    shapes, found = dict(_SHAPES), dict(lengths)
    width = 0
    for number in range(sum(name.startswith("guided.centers.") for name in arrays)):
        letter = f"w{number}"
        width += np.size(arrays.get(f"guided.centers.{number}", ()))
        found[f"s{number}"] = width  # the model of a group goes by all narrower ones too
        shapes |= {f"guided.{name}.{number}": letter for name in ("centers", "scales")}
        shapes |= {f"guided.slopes.{number}": f"s{number} k", f"guided.offsets.{number}": "k"}
    for name, axes in shapes.items():
        if name not in arrays:
            continue
        array, letters = arrays[name], axes.split()
        fits = array.ndim == len(letters) and array.dtype.kind == "f"
        if not fits or any(found.setdefault(a, n) != n for a, n in zip(letters, array.shape, strict=True)):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, which does not fit the other arrays")
