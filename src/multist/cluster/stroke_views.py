"""One tissue seen at several scales of averaging."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from multist._neighbourhood import neighbourhood_mean
from multist._rows import row_slices
from multist.cluster.stroke_mixture import Discriminant

_WIDE, _WIDEST = (2, 5), (3, 8, 12)  # steps over which the second and the third group average


def scale_views(
    near: Sequence[np.ndarray], components: np.ndarray, adjacency: sp.csr_matrix, image: np.ndarray | None = None
) -> list[list[np.ndarray]]:
    """Views of a tissue from the narrowest to the widest.

    Parameters
    ----------
    near
        What a spot is by itself: (n, d) components of expression, their average along what belongs together, the same
        of the image.
    components
        (n, d) components of expression, to be averaged more and more widely.
    adjacency
        (n, n) sparse neighbourhoods.
    image
        (n, p) what the image shows, if it takes part; a patch is smaller than a domain, and says more with those
        around it.

    Returns
    -------
    Three groups: ``near``, averages over 2 and 5 steps, averages over 3, 8 and 12 steps and of the image over 2.
    """
    walk = neighbourhood_mean(adjacency, with_self=True)
    average, averages = np.asarray(components, dtype=np.float32), {}
    for step in range(1, max(_WIDE + _WIDEST) + 1):
        average = walk @ average
        if step in _WIDE + _WIDEST:
            averages[step] = average
    seen = [] if image is None else [walk @ (walk @ np.asarray(image, dtype=np.float32))]
    return [list(near), [averages[step] for step in _WIDE], [*(averages[step] for step in _WIDEST), *seen]]


class ScaledViews:
    """Views as points: group ``g`` and all narrower ones side by side, centred and scaled."""

    def __init__(self, groups: list[list[np.ndarray]], centers: tuple[np.ndarray, ...], scales: tuple[np.ndarray, ...]):
        self.groups, self.centers, self.scales = groups, centers, scales

    @classmethod
    def of(cls, groups: list[list[np.ndarray]]) -> ScaledViews:
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


def checked_views(views: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """The groups as lists of arrays; raises ValueError where they do not describe the same spots, or are not finite."""
    groups = [[np.asarray(view) for view in group] for group in views]
    if not groups or not all(groups):
        raise ValueError("views must be groups of arrays, none of them empty")
    shapes = [view.shape for group in groups for view in group]
    if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"views must be (n, d) arrays of the same n spots; got shapes {shapes}")
    if not all(np.isfinite(view).all() for group in groups for view in group):
        raise ValueError("views must be finite")
    return groups
