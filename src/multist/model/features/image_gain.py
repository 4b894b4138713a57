"""What an image adds: how much better it lets the expression of hidden spots be told on tissue that was held out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import stdtr

from multist.model.features.neighbourhood import second_ring

JUDGED = 2048
"""Spots of a fold at most on which a prediction is fitted, and as many on which it is judged."""

_FOLDS = 4  # parts of the tissue, held out in turn
_ENOUGH_HIDDEN = 1000  # hidden spots that are told before blocks are dealt out no further time
_MOST_DEALS = 3  # of blocks to folds, where spots are few
_BLOCKS = 5  # along each axis of a section; a block is held out as a whole
_MIN_SPOTS_IN_BLOCK = 8  # spots in a block
_SIGNIFICANCE = 0.05  # of the test whether the image adds anything
_RIDGE = 1e-3  # of the mean variance of what predicts


def held_out_tissue(
    xy: np.ndarray, section: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(n,) int64 block of each spot, and rows of what is held out in turn, whole blocks; nothing if there is one block.

    Blocks are dealt out once, and where spots are few up to three times, as one deal then decides what is found.
    """
    block = tissue_blocks(xy, section)
    n_blocks = int(block.max()) + 1
    if n_blocks < 2:
        return block, []
    n_parts = min(_FOLDS, n_blocks)
    # as many parts as blocks are the same parts in every deal
    n_deals = 1 if n_parts == n_blocks else min(-(-_ENOUGH_HIDDEN // len(xy)), _MOST_DEALS)
    parts = []
    for _ in range(n_deals):
        dealt = rng.permutation(n_blocks)[block] % n_parts
        parts += [np.flatnonzero(dealt == number) for number in range(n_parts)]
    return block, parts


def tissue_blocks(xy: np.ndarray, section: np.ndarray) -> np.ndarray:
    """(n,) int64 block of each spot: cells of a grid of quantiles, in each section its own."""
    block = np.zeros(len(xy), dtype=np.int64)
    for number in range(int(section.max()) + 1):
        rows = np.flatnonzero(section == number)
        side = int(np.clip((len(rows) / _MIN_SPOTS_IN_BLOCK) ** 0.5, 2, _BLOCKS))
        cuts = np.linspace(0, 1, side + 1)[1:-1]
        x, y = (np.digitize(xy[rows, axis], np.quantile(xy[rows, axis], cuts)) for axis in (0, 1))
        block[rows] = block.max() + 1 + x * side + y if number else x * side + y
    return np.unique(block, return_inverse=True)[1]


def linear_gain(
    expression: np.ndarray,
    image: np.ndarray,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    section: np.ndarray,
    *,
    random_state: int = 0,
) -> float:
    """Share of the error of hidden spots that a linear term of their own image takes away on held-out tissue.

    Zero if it may be chance.

    Parameters
    ----------
    expression, image
        (n, p) and (n, q) factors, centred, of unit variance on average.
    adjacency
        (n, n) spatial neighbourhoods without the diagonal.
    xy, section
        (n, 2) coordinates and (n,) section of each spot, by which blocks are cut.
    random_state
        Seed of the folds and of the spots that are looked at.
    """
    rng = np.random.default_rng(random_state)
    block, parts = held_out_tissue(xy, section, rng)
    if not parts:
        return 0.0
    rows: list[np.ndarray] = []
    alone: list[np.ndarray] = []
    helped: list[np.ndarray] = []
    for part in parts:
        trained, judged = (some_of(each, JUDGED, rng) for each in (others_than(part, len(xy)), part))
        rows.append(judged)
        for errors, seen_image in ((alone, None), (helped, image)):
            slope = slopes_of_neighbours(expression, adjacency, trained, seen_image)
            errors.append(error_of_neighbours(slope, expression, adjacency, judged, seen_image))
    return lasting_gain(np.concatenate(alone), np.concatenate(helped), block[np.concatenate(rows)])


def lasting_gain(alone: np.ndarray, helped: np.ndarray, block: np.ndarray) -> float:
    """Share of the (m,) errors ``alone`` that is gone in those ``helped``.

    Zero unless it holds over the (m,) blocks (t-test).
    """
    gained = np.array([(alone - helped)[block == number].mean() for number in np.unique(block)])
    if len(gained) < 2 or np.ptp(gained) == 0:
        return 0.0
    t = gained.mean() / gained.std(ddof=1) * np.sqrt(len(gained))
    if stdtr(len(gained) - 1, -t) >= _SIGNIFICANCE:  # scipy.stats takes a second to load
        return 0.0
    return max(0.0, 1 - float(helped.mean()) / max(float(alone.mean()), 1e-12))


def error_of_neighbours(
    slope: np.ndarray,
    values: np.ndarray,
    adjacency: sp.csr_matrix,
    judged: np.ndarray,
    image: np.ndarray | None = None,
) -> np.ndarray:
    """(m,) squared error of a linear prediction, fitted on other tissue, for expression of ``judged`` (m,) spots.

    ``slope`` is what :func:`slopes_of_neighbours` found there.
    """
    predicted = np.einsum("npk,pk->np", _predictors(values, adjacency, judged, image), slope)
    return ((predicted - values[judged]) ** 2).sum(axis=1)


def slopes_of_neighbours(
    values: np.ndarray, adjacency: sp.csr_matrix, trained: np.ndarray, image: np.ndarray | None = None
) -> np.ndarray:
    """(p, 2 or more) least-squares slopes of each factor on its means over two rings and, if given, on the image."""
    seen, truth = _predictors(values, adjacency, trained, image), values[trained]
    gram = np.einsum("npk,npl->pkl", seen, seen)
    ridge = _RIDGE * np.trace(gram, axis1=1, axis2=2) / gram.shape[1] + 1e-12
    gram += ridge[:, None, None] * np.eye(gram.shape[1])
    return np.linalg.solve(gram, np.einsum("npk,np->pk", seen, truth)[..., None])[..., 0]


def _predictors(values: np.ndarray, adjacency: sp.csr_matrix, rows: np.ndarray, image: np.ndarray | None) -> np.ndarray:
    """(m, p, 2 or more) means over the spots one and two steps away, and the image's factors."""
    rings = (sp.csr_matrix(adjacency)[rows] != 0, second_ring(adjacency, rows))
    means = [ring @ values / np.maximum(np.asarray(ring.sum(axis=1)), 1) for ring in rings]
    around = np.stack(means, axis=2)
    if image is None:
        return around
    image_of_spot = np.broadcast_to(image[rows][:, None, :], (len(rows), values.shape[1], image.shape[1]))
    return np.concatenate([around, image_of_spot], axis=2)


def others_than(rows: np.ndarray, n: int) -> np.ndarray:
    """The rows of ``n`` that are not among these."""
    return np.setdiff1d(np.arange(n), rows, assume_unique=True)


def some_of(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The rows, or a sample of so many of them."""
    return rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))


def unit_variance(factors: np.ndarray) -> np.ndarray:
    """(n, p) as precise as given, centred and scaled by one number, so that a factor's variance is one on average."""
    centred = factors - factors.mean(axis=0, dtype=np.float64).astype(factors.dtype)
    scale = float(np.sqrt((centred**2).mean(dtype=np.float64)))
    return centred / max(scale, 1e-12)
