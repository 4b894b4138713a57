"""Lay sections on each other by their outlines, and turn them so that what lies on each other is related."""

from __future__ import annotations

from itertools import product

import numpy as np
from anndata import AnnData
from scipy.spatial import cKDTree

N_COMPONENTS, N_FOLDS, N_NEAREST = 50, 5, 60


def laid_on_each_other(adata: AnnData, library_key: str, rep: str) -> np.ndarray:
    """(n, 2) coordinates: boxes centred, every later section mirrored as its components say best. No truth is used.

    Of the four ways to mirror, that one is taken in which a rotation of the section's averaged components, fitted on
    four fifths of the tissue, predicts those of the first section on the last fifth best.
    """
    section = adata.obs[library_key].astype(str).to_numpy()
    names = list(dict.fromkeys(section))
    place = np.asarray(adata.obsm["spatial"], dtype=np.float64)[:, :2].copy()
    averaged = np.asarray(adata.obsm[rep], dtype=np.float64)[:, :N_COMPONENTS].copy()
    for name in names:
        own = section == name
        place[own] -= (place[own].min(axis=0) + place[own].max(axis=0)) / 2
        near = cKDTree(place[own]).query(place[own], k=N_NEAREST)[1]
        averaged[own] = (averaged[own] - averaged[own].mean(axis=0))[near].mean(axis=1)
    first = section == names[0]
    for name in names[1:]:
        own = section == name
        turns = [np.array(turn) for turn in product((1, -1), repeat=2)]
        scores = [predicted(place[own] * turn, averaged[own], place[first], averaged[first]) for turn in turns]
        place[own] *= turns[int(np.argmax(scores))]
    return place


def predicted(place: np.ndarray, values: np.ndarray, onto: np.ndarray, known: np.ndarray) -> float:
    """Share of the known values' variance that a rotation of the values at the same places gives on held-out tissue."""
    values = values[cKDTree(place).query(onto)[1]]
    tile = np.floor((onto - onto.min(axis=0)) / (np.ptp(onto, axis=0) + 1e-9) * N_FOLDS).astype(int)
    fold = (tile[:, 0] + 2 * tile[:, 1]) % N_FOLDS
    guess = np.zeros_like(known)
    for number in range(N_FOLDS):
        train = fold != number
        left, strength, right = np.linalg.svd(values[train].T @ known[train])
        guess[~train] = values[~train] @ (left @ right) * strength.sum() / (values[train] ** 2).sum()
    return 1 - ((guess - known) ** 2).sum() / ((known - known.mean(axis=0)) ** 2).sum()
