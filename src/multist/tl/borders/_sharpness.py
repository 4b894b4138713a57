"""How well features tell the two sides of a border apart, on stretches of it that were held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

_SHRINKAGE = 0.2
"""Weight of the identity in the covariance: a short border has hardly more spots than there are features."""
_HOPS, _SHARES = 2, (0.3, 0.7)
"""How far a domain's features are averaged before it is divided in two, and shares of it in the first half."""
_MIN_FOR_EIGHT = 160
"""Spots from which there are eight stretches rather than four."""
_MAX_SPOTS = 2000
"""Spots of one border that are looked at; more do not change the second digit."""


class Tissue(NamedTuple):
    """Where the spots are.

    Attributes
    ----------
    place
        (n, 3) x, y, and a third coordinate that keeps sections far apart.
    section
        (n,) number of the section.
    adjacency
        (n, n) spatial graph.
    """

    place: np.ndarray
    section: np.ndarray
    adjacency: sparse.csr_matrix


class Border(NamedTuple):
    """Spots near a border: (m,) ``rows`` of the table, and for each whether it lies on the second ``side``."""

    rows: np.ndarray
    side: np.ndarray

    def taken(self, chosen: np.ndarray) -> Border:
        """Some of the spots, in the order of the table."""
        chosen = np.sort(chosen)
        return Border(self.rows[chosen], self.side[chosen])


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


def near_border(reach: sparse.csr_matrix, first: np.ndarray, second: np.ndarray) -> Border:
    """Spots of either side from which the other is within reach.

    Parameters
    ----------
    reach
        (n, n) ones where one spot is within reach of another.
    first, second
        Rows of the two sides.

    Returns
    -------
    The border, its rows in the order of the table.
    """
    between = reach[first][:, second]
    ends = [first[np.diff(between.indptr) > 0], second[np.unique(between.indices)]]
    rows = np.concatenate(ends)
    order = np.argsort(rows)
    return Border(rows[order], np.repeat([False, True], [len(end) for end in ends])[order])


def stretch(border: Border, tissue: Tissue, size: int, rng: np.random.Generator) -> Border:
    """The ``size`` spots of a border that are nearest to one of them, drawn at random; all if there are no more."""
    if len(border.rows) <= size:
        return border
    place = tissue.place[border.rows]
    away = np.linalg.norm(place - place[rng.integers(len(place))], axis=1)
    return border.taken(np.argsort(away, kind="stable")[:size])


def thinned(border: Border, rng: np.random.Generator) -> Border:
    """No more spots than are needed."""
    if len(border.rows) <= _MAX_SPOTS:
        return border
    return border.taken(rng.choice(len(border.rows), _MAX_SPOTS, replace=False))


def blocks(place: np.ndarray) -> np.ndarray:
    """(m,) number of the stretch that each spot lies in: halves of halves of equal size, cut across their length.

    The spots along a border lie in a narrow strip, so the cuts go across it, however it is turned.
    """
    block = np.zeros(len(place), dtype=np.int64)
    for _ in range(3 if len(place) >= _MIN_FOR_EIGHT else 2):
        halves = np.zeros_like(block)
        for number in np.unique(block):
            rows = np.flatnonzero(block == number)
            centred = place[rows] - place[rows].mean(axis=0)
            length = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
            halves[rows[np.argsort(length, kind="stable")[len(rows) // 2 :]]] = 1
        block = 2 * block + halves
    return block


def held_out_auc(features: np.ndarray, border: Border, tissue: Tissue) -> float:
    """How often the features say which of two spots of the same stretch lies on which side.

    A linear discriminant is fitted to all other stretches; spots that are joined with the held-out one are left out of
    the fit. Only spots of the same stretch and section are compared, so that what changes along the border does not
    count.

    Parameters
    ----------
    features
        (n, p) of all spots.
    border
        Spots near the border.
    tissue
        Places of all spots.

    Returns
    -------
    Area under the ROC curve, 0.5 for chance and 1 if every pair is told apart; NaN where fewer than two stretches have
    spots of both sides.
    """
    rows, side = border
    block = blocks(tissue.place[rows])
    joined = tissue.adjacency[rows][:, rows]
    right = pairs = 0.0
    used = 0
    for number in np.unique(block):
        held = block == number
        train = ~held & (joined @ held.astype(np.float64) == 0)
        if min(side[train].sum(), (~side[train]).sum()) < 2:
            continue
        score = features[rows[held]] @ discriminant(features[rows[train]], side[train])
        ordered, n_own = _ordered_pairs(score, side[held], tissue.section[rows[held]])
        right, pairs, used = right + ordered, pairs + n_own, used + (n_own > 0)
    return right / pairs if used >= 2 else np.nan


def discriminant(features: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(p,) direction from the first to the second side, by Fisher's discriminant with a shrunken covariance."""
    one, two = features[~side], features[side]
    means = one.mean(axis=0), two.mean(axis=0)
    centred = np.concatenate([one - means[0], two - means[1]])
    covariance = centred.T @ centred / len(centred)
    scale = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    covariance *= 1 - _SHRINKAGE
    covariance.flat[:: len(covariance) + 1] += _SHRINKAGE * scale
    return np.linalg.solve(covariance, means[1] - means[0])


def _ordered_pairs(score: np.ndarray, side: np.ndarray, section: np.ndarray) -> tuple[float, int]:
    """Pairs across the border in the right order, ties half, and all pairs; each within one section."""
    right, pairs = 0.0, 0
    for number in np.unique(section):
        one, two = score[~side & (section == number)], score[side & (section == number)]
        right += float(np.sign(two[:, None] - one).sum() + len(one) * len(two)) / 2
        pairs += len(one) * len(two)
    return right, pairs
