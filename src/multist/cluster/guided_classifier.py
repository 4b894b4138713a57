"""What strokes taught, kept for sections that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from multist.cluster.neighbour_walk import similar_edges, walk_to_neighbours
from multist.cluster.stroke_mixture import Discriminant, class_shares
from multist.cluster.stroke_views import ScaledViews, checked_views

_MAX_COUNTED = 20_000  # spots from which shares are estimated
_SHARE_ROUNDS = 10  # of naming spots by the shares of the classes, and counting shares by the names


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

    def predict(
        self, views: Sequence[Sequence[np.ndarray]], adjacency: sp.csr_matrix, *, section: np.ndarray | None = None
    ) -> np.ndarray:
        """(n, k) probability of each class in a tissue without strokes.

        How common the classes are is estimated anew in each section.

        Parameters
        ----------
        views
            Groups as those that were learnt from.
        adjacency
            (n, n) sparse neighbourhoods.
        section
            (n,) int codes, or None for one section.

        Raises
        ------
        ValueError
            If the views have another shape.
        """
        groups = checked_views(views)
        widths = [sum(view.shape[1] for view in group) for group in groups]
        if widths != [len(center) for center in self.centers]:
            raise ValueError(
                f"views have {widths} columns in their groups, and the strokes were learnt from "
                f"{[len(center) for center in self.centers]}, as by another version of multist: fit the model again"
            )
        section = np.zeros(len(groups[0][0]), dtype=np.int64) if section is None else np.asarray(section)
        rows = np.arange(0, len(section), -(-len(section) // _MAX_COUNTED))
        tissue = ScaledViews(groups, self.centers, self.scales)
        models, points = [], tissue.points(rows)
        for slope, offset in zip(self.slopes, self.offsets, strict=True):
            model = Discriminant(slope, offset, np.tile(self.shares, (section.max() + 1, 1)))
            for _ in range(_SHARE_ROUNDS):
                named = model.probability(points[:, : len(slope)], section[rows]).astype(np.float64)
                total = [named[section[rows] == code].sum(axis=0) for code in range(section.max() + 1)]
                model = model._replace(share=class_shares(np.stack(total)))
            models.append(model)
        probability, scores = tissue.mixed(models, self.weights, section)
        return walk_to_neighbours(probability, similar_edges(scores, adjacency), self.strength)
