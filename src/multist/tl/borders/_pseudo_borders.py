"""Borders where there is none: a domain is divided in two by its own features, the way domains are found."""

from __future__ import annotations

import numpy as np
from scipy import sparse

_HOPS = 2
_SHARES = (0.3, 0.7)
"""Of the domain in the first half."""


def halved(
    features: np.ndarray, adjacency: sparse.csr_matrix, n_draws: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Divide a domain in two, again and again, along directions in which its averaged features vary.

    Features are averaged over neighbours, projected on a random direction that is the likelier the more they vary along
    it, and cut at a random share from 30 to 70 %. The label of a spot thus depends on its own features, as it does when
    domains are found, and follows gradients within the domain. Lone spots are left as they are: if they joined their
    neighbours, the label would know less of the spot, and a domain divided by k-means would look sharper than these.

    Parameters
    ----------
    features
        (m, p) of the domain's spots.
    adjacency
        (m, m) graph between them.
    n_draws
        How often.
    rng
        Source of the directions.

    Returns
    -------
    (m,) bool per draw.
    """
    from multist.model.features.neighbourhood import smooth

    averaged = smooth(features, adjacency, _HOPS)
    averaged = averaged - averaged.mean(axis=0)
    covariance = averaged.T @ averaged / max(len(averaged), 1)
    halves = []
    for _ in range(n_draws):
        score = averaged @ (covariance @ rng.standard_normal(features.shape[1]))
        halves.append(score > np.quantile(score, rng.uniform(*_SHARES)))
    return halves
