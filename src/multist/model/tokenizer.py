"""How features become tokens, as numbers that can be kept and applied to another section."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multist.model.factors import ENOUGH
from multist.model.sections import Surroundings

_CLIP = 5.0  # standard deviations; folds and debris are further out and would each become a domain


class Centred(NamedTuple):
    """Centring, and scaling by one number so that the variances add up to one; relative scales carry information.

    Attributes
    ----------
    mean
        (p,) float64; further columns of the features are left out.
    spread
        Square root of the sum of the variances.
    """

    mean: np.ndarray
    spread: float

    @classmethod
    def of(cls, features: np.ndarray) -> Centred:
        """As (n, p) floating-point ``features`` need it."""
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean.astype(features.dtype)
        spread = float(np.sqrt((centred**2).sum(axis=1).mean(dtype=np.float64)))
        return cls(mean, max(spread, 1e-12))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n, p) of (n, p or more) ``features``."""
        features = as_floats(features)[:, : len(self.mean)]
        features = features - self.mean.astype(features.dtype)
        features /= self.spread
        return features


class ImageAxes(NamedTuple):
    """Standardised image features, their principal axes, and the spatial factors of those.

    Attributes
    ----------
    varied
        (q,) bool. Features that are not the same everywhere.
    median, scale
        Of those; further than five scales away they are clipped.
    center, axes
        Mean of the clipped features, and the (, c) principal axes.
    centred
        Of the c components.
    loadings
        (c, d) of the spatial factors.
    reliability
        (d,) share of each factor that expression predicts on held-out tissue.
    known
        Surroundings that other sections are brought to; None if sections are left where they are.
    """

    varied: np.ndarray
    median: np.ndarray
    scale: np.ndarray
    center: np.ndarray
    axes: np.ndarray
    centred: Centred
    loadings: np.ndarray = np.zeros((0, 0))
    reliability: np.ndarray = np.zeros(0)
    known: Surroundings | None = None

    @classmethod
    def of(cls, features: np.ndarray, n_components: int) -> ImageAxes:
        """Axes of (n, q) ``features``, without factors as yet."""
        features = as_floats(features)
        kind = features.dtype
        scale = features.std(axis=0, dtype=np.float64).astype(kind)
        varied = scale > 1e-9 * max(float(np.abs(features).max(initial=0)), 1e-30)
        median = np.median(features[:, varied], axis=0)
        standard = np.clip((features[:, varied] - median) / scale[varied], -_CLIP, _CLIP)
        center, axes = np.zeros(0), np.zeros((0, 1))
        if varied.any():
            center = standard.mean(axis=0, dtype=np.float64)
            standard = standard - center.astype(kind)
            variance, vectors = np.linalg.eigh((standard.T @ standard).astype(np.float64))
            axes = vectors[:, np.argsort(variance)[::-1][:n_components]]
        components = standard @ axes.astype(kind)
        return cls(varied, median, scale[varied], center, axes, Centred.of(components))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(n, c) components of (n, q) ``features``."""
        features = as_floats(features)
        kind = features.dtype
        standard = (features[:, self.varied] - self.median.astype(kind)) / self.scale.astype(kind)
        standard = np.clip(standard, -_CLIP, _CLIP) - self.center.astype(kind)
        return self.centred(standard @ self.axes.astype(kind))

    def weighed(self, factors: np.ndarray, least: float) -> np.ndarray | None:
        """(n, d) ``factors`` by their reliability, those of at most ``least`` left out; None if none remains."""
        agreed = self.reliability > least
        return (factors * self.reliability.astype(factors.dtype))[:, agreed] if agreed.any() else None


class Tokenizer(NamedTuple):
    """How the tokens of a section are made.

    Attributes
    ----------
    n_hops
        Range of a neighbourhood.
    centred, loadings
        Of the expression's components, and (p, d) those of its spatial factors.
    known
        Surroundings that other sections are brought to; None if sections are left where they are.
    image
        None if no image took part.
    own
        (m, c) what :func:`multist.model.common_axes.own_axes` found in the expression: whether its axes are of these sections.
    """

    n_hops: int
    centred: Centred
    loadings: np.ndarray
    known: Surroundings | None
    image: ImageAxes | None
    own: np.ndarray = np.zeros((0, 0))


def as_floats(features: np.ndarray) -> np.ndarray:
    """Of few spots every digit is kept; of many, half of the memory counts for more."""
    return np.asarray(features, dtype=np.float64 if len(features) <= ENOUGH else np.float32)
