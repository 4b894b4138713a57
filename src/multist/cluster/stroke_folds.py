"""Which strokes to hold out together, so that they lie as far from the others as the tissue to be named."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

N_FOLDS = 5
_PIECES = (2, 3, 5, 10, 20, 10**9)  # of a class, from two halves to single spots
_QUANTILES = np.linspace(0.025, 0.975, 39)  # of distances, by which two sets of them are compared
_LOOK = 3000  # unnamed spots whose distance to a stroke is looked up


def stroke_folds(
    xy: np.ndarray, strokes: np.ndarray, classes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """(m,) int64 fold of each stroke, -1 for the only spot of a class, and how remote the tissue is.

    Each class is cut into pieces, and whole pieces are held out. Their number is the one at which the distances from
    what is held out to the nearest other stroke are most like those from spots without a stroke to the nearest one:
    halves for a few long strokes, single spots where spots were named here and there (nearest-neighbour distance
    matching, Linnenbrink et al., Geoscientific Model Development 2024).

    Parameters
    ----------
    xy
        (n, p) coordinates; sections far apart.
    strokes
        (m,) rows with a stroke.
    classes
        (m,) int class of each.
    rng
        Deals the pieces out to the folds.

    Returns
    -------
    The folds, and the mean distance from unnamed spots to a stroke as a multiple of that from held-out strokes to
    others, at least one.
    """
    free = np.setdiff1d(np.arange(len(xy)), strokes)
    free = rng.choice(free, min(_LOOK, len(free)), replace=False) if len(free) else strokes
    place = xy[strokes]
    remote = cKDTree(place).query(xy[free])[0]
    wanted = np.quantile(remote, _QUANTILES)
    best, least, farther = np.full(len(strokes), -1), np.inf, 1.0
    for pieces in _PIECES:
        fold = deal_folds(place, classes, pieces, rng)
        distance = _distance_to_others(place, fold)
        if len(distance) and (gap := np.abs(np.quantile(distance, _QUANTILES) - wanted).mean()) < least:
            best, least = fold, gap
            farther = max(1.0, float(remote.mean() / max(distance.mean(), 1e-12)))
    return best, farther


def deal_folds(place: np.ndarray, classes: np.ndarray, pieces: int, rng: np.random.Generator) -> np.ndarray:
    """(m,) int64 folds of the pieces of each class, -1 for its only spot; with ``pieces=m`` pieces are single spots."""
    fold = np.full(len(classes), -1)
    for name in np.unique(classes):
        rows = np.flatnonzero(classes == name)
        if len(rows) > 1:
            piece = _halved(place[rows], min(pieces, len(rows)))
            fold[rows] = ((rng.permutation(piece.max() + 1) + rng.integers(N_FOLDS)) % N_FOLDS)[piece]
    return fold


def _halved(place: np.ndarray, pieces: int) -> np.ndarray:
    """(m,) piece of each point: the largest piece is cut in two across its longest axis until there are enough."""
    if pieces == len(place):
        return np.arange(pieces)
    piece = np.zeros(len(place), dtype=np.int64)
    for new in range(1, pieces):
        rows = np.flatnonzero(piece == np.bincount(piece).argmax())
        centred = place[rows] - place[rows].mean(axis=0)
        along = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
        piece[rows[np.argsort(along, kind="stable")[len(rows) // 2 :]]] = new
    return piece


def _distance_to_others(place: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Of each held-out point to the nearest point that is not held out with it."""
    distances = []
    for number in np.unique(fold[fold >= 0]):
        out = fold == number
        if not out.all():
            distances.append(cKDTree(place[~out]).query(place[out])[0])
    return np.concatenate(distances) if distances else np.empty(0)
