"""What strokes taught, kept for sections that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from multist.cluster.neighbour_walk import similar_edges, walk_to_neighbours
from multist.cluster.stroke_mixture import Discriminant
from multist.cluster.stroke_views import ScaledViews


@dataclass(frozen=True)
class GuidedClassifier:
    """What strokes taught, to be applied to another section; plain arrays.

    Attributes
    ----------
    centers, scales
        Of each group of views: (d,) means and (d,) divisors of its columns side by side.
    slopes, offsets
        Of the model of each group and all narrower ones: (d, k) and (k,).
    weights
        (g,) share of each model in the answer.
    shares
        (k,) how common each class was.
    strength
        Of the spatial prior.
    """

    centers: tuple[np.ndarray, ...]
    scales: tuple[np.ndarray, ...]
    slopes: tuple[np.ndarray, ...]
    offsets: tuple[np.ndarray, ...]
    weights: np.ndarray
    shares: np.ndarray
    strength: float

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, for a file without pickle."""
        arrays = {"weights": self.weights, "shares": self.shares, "strength": np.array([self.strength])}
        for name in ("centers", "scales", "slopes", "offsets"):
            arrays |= {f"{name}.{i}": value for i, value in enumerate(getattr(self, name))}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> GuidedClassifier:
        """The classifier that :meth:`to_arrays` wrote; raises KeyError where an array is missing."""
        groups = range(len(arrays["weights"]))
        several = {
            name: tuple(arrays[f"{name}.{i}"] for i in groups) for name in ("centers", "scales", "slopes", "offsets")
        }
        return cls(**several, weights=arrays["weights"], shares=arrays["shares"], strength=float(arrays["strength"][0]))

    def predict(self, views: Sequence[Sequence[np.ndarray]], adjacency: sp.csr_matrix) -> np.ndarray:
        """(n, k) probability of each class in a tissue without strokes, where classes are as common as they were.

        Parameters
        ----------
        views
            Groups as those that were learnt from.
        adjacency
            (n, n) sparse neighbourhoods.

        Raises
        ------
        ValueError
            If the views have another shape.
        """
        widths = [sum(view.shape[1] for view in group) for group in views]
        if widths != [len(center) for center in self.centers]:
            raise ValueError(
                f"views have {widths} columns in their groups, and the strokes were learnt from "
                f"{[len(center) for center in self.centers]}, as by another version of multist: fit the model again"
            )
        tissue = ScaledViews(views, self.centers, self.scales)
        models = [
            Discriminant(slope, offset, self.shares[None])
            for slope, offset in zip(self.slopes, self.offsets, strict=True)
        ]
        section = np.zeros(len(views[0][0]), dtype=np.int64)  # classes are as common in all
        probability, scores = tissue.mixed(models, self.weights, section)
        return walk_to_neighbours(probability, similar_edges(scores, adjacency), self.strength)
