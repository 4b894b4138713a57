"""How far one modality can be trusted, judged by the other on held-out tissue."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge

_BLOCKS, _FOLDS, _PENALTY = 25, 5, 30.0


def held_out_agreement(
    image: np.ndarray, expression: np.ndarray, xy: np.ndarray, *, random_state: int = 0
) -> np.ndarray:
    """Share of each image factor's variance that the expression predicts on tissue it was not fitted on.

    A block of tissue is held out as a whole: neighbours resemble each other, so single held-out spots would be predicted
    by theirs whatever the image shows. Uneven stain, folds and noise are not predicted; tissue types are.

    Parameters
    ----------
    image
        (n, q) image factors, smoothed, unit variance.
    expression
        (n, d) expression factors, smoothed, unit variance.
    xy
        (n, 2) coordinates.
    random_state
        Seed of the division into blocks.

    Returns
    -------
    (q,) float64 between 0 and 1; zero where the prediction is no better than the mean.
    """
    n_blocks = int(np.clip(len(xy) // 8, 2, _BLOCKS))
    block = KMeans(n_blocks, n_init=1, random_state=random_state).fit_predict(xy)
    fold = block % min(_FOLDS, n_blocks)
    predicted = np.zeros_like(image)
    for held_out in np.unique(fold):
        test = fold == held_out
        fitted = Ridge(alpha=_PENALTY).fit(expression[~test], image[~test])
        predicted[test] = fitted.predict(expression[test]).reshape(
            -1, image.shape[1]
        )  # of one factor it drops the axis
    residual = ((image - predicted) ** 2).sum(axis=0)
    return np.clip(1 - residual / np.maximum(((image - image.mean(axis=0)) ** 2).sum(axis=0), 1e-12), 0, 1)
