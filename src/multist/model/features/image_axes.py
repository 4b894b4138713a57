"""Principal axes of the image's features, as numbers that can be kept and applied to another section."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multist.model.features.neighbourhood import as_floats

_MAX_DEVIATIONS = 5.0  # standard deviations; folds and debris are further out and would each become an axis


class ImageAxes(NamedTuple):
    """Standardised image features and their principal axes.

    Attributes
    ----------
    varied
        (q,) bool. Features that are not the same everywhere.
    median, scale
        Of those; further than five scales away they are clipped.
    center, axes
        Mean of the clipped features, and the (, c) principal axes.
    """

    varied: np.ndarray
    median: np.ndarray
    scale: np.ndarray
    center: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, n_components: int) -> ImageAxes:
        """Axes of (n, q) ``features``."""
        features = as_floats(features)
        kind = features.dtype
        scale = features.std(axis=0, dtype=np.float64).astype(kind)
        varied = scale > 1e-9 * max(float(np.abs(features).max(initial=0)), 1e-30)
        median = np.median(features[:, varied], axis=0)
        standard = np.clip((features[:, varied] - median) / scale[varied], -_MAX_DEVIATIONS, _MAX_DEVIATIONS)
        center, axes = np.zeros(0), np.zeros((0, 1))
        if varied.any():
            center = standard.mean(axis=0, dtype=np.float64)
            standard = standard - center.astype(kind)
            variance, vectors = np.linalg.eigh((standard.T @ standard).astype(np.float64))
            axes = vectors[:, np.argsort(variance)[::-1][:n_components]]
            axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])] < 0, -1.0, 1.0)
        return cls(varied, median, scale[varied], center, axes)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n, c) components of (n, q) ``features``."""
        features = as_floats(features)
        kind = features.dtype
        standard = (features[:, self.varied] - self.median.astype(kind)) / self.scale.astype(kind)
        standard = np.clip(standard, -_MAX_DEVIATIONS, _MAX_DEVIATIONS) - self.center.astype(kind)
        return standard @ self.axes.astype(kind)
