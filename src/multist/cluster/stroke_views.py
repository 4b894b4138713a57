"""One tissue seen at several scales of averaging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from multist._neighbourhood import neighbourhood_mean
from multist._rows import row_slices
from multist.cluster.stroke_mixture import Discriminant

_WIDE, _WIDEST = (2, 5), (3, 8, 12)  # steps over which the second and the third group average


def scale_views(sources: Mapping[str, np.ndarray], adjacency: sp.csr_matrix) -> list[list[np.ndarray]]:
    """Views of a tissue from the narrowest to the widest.

    Parameters
    ----------
    sources
        What is known of a spot by itself, (n, d) arrays by name: components of expression first, which are averaged
        more and more widely, and dimensions of an embedding. What the ``"image"`` shows is averaged a bit: a patch is
        smaller than a domain, and says more with those around it.
    adjacency
        (n, n) sparse neighbourhoods.

    Returns
    -------
    Three groups: the sources, averages over 2 and 5 steps, averages over 3, 8 and 12 steps and of the image over 2.
    """
    near = list(sources.values())
    walk = neighbourhood_mean(adjacency, with_self=True)
    average, averages = np.asarray(near[0], dtype=np.float32), {}
    for step in range(1, max(_WIDE + _WIDEST) + 1):
        average = walk @ average
        if step in _WIDE + _WIDEST:
            averages[step] = average
    seen = [walk @ (walk @ np.asarray(sources["image"], dtype=np.float32))] if "image" in sources else []
    return [near, [averages[step] for step in _WIDE], [*(averages[step] for step in _WIDEST), *seen]]


class ScaledViews:
    """Views as points: group ``g`` and all narrower ones side by side, centred and scaled."""

    def __init__(
        self,
        groups: Sequence[Sequence[np.ndarray]],
        centers: tuple[np.ndarray, ...],
        scales: tuple[np.ndarray, ...],
    ) -> None:
        self.groups, self.centers, self.scales = groups, centers, scales

    @classmethod
    def of(cls, groups: Sequence[Sequence[np.ndarray]]) -> ScaledViews:
        """Each view divided by the deviation of its most varied column, so that the order of its components counts."""
        centers = tuple(np.concatenate([v.mean(axis=0, dtype=np.float64) for v in group]) for group in groups)
        scales = tuple(
            np.concatenate([np.full(v.shape[1], max(float(v.std(axis=0).max()), 1e-12)) for v in group])
            for group in groups
        )
        return cls(groups, centers, scales)

    @property
    def widths(self) -> list[int]:
        """(g,) columns of the points that are a group and all narrower ones."""
        return np.cumsum([len(center) for center in self.centers]).tolist()

    def points(self, rows: np.ndarray | slice) -> np.ndarray:
        """(m, d) float32 points of (m,) rows: all groups, the narrowest first."""
        blocks = []
        for views, center, scale in zip(self.groups, self.centers, self.scales, strict=True):
            points = np.hstack([view[rows] for view in views]) - center
            points /= scale
            blocks.append(points.astype(np.float32))
        return np.hstack(blocks)

    def mixed(
        self, models: list[Discriminant], weights: np.ndarray, section: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) probabilities and scores of all spots, averaged over the models."""
        n, k = len(section), len(models[0].offset)
        probability, scores = np.zeros((n, k)), np.zeros((n, k))
        for rows in row_slices(n):
            points = self.points(rows)
            for model, weight in zip(models, weights, strict=True):
                part = points[:, : len(model.slope)]
                probability[rows] += weight * model.probability(part, section[rows])
                score = model.scores(part)
                scores[rows] += weight * (score - score.mean(axis=1, keepdims=True))
        return probability, scores
