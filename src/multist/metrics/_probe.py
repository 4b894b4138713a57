from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist._missing import is_named

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_FOLDS = 5  # and cells of the grid along each axis


def probe(embedding: ArrayLike, truth: ArrayLike, xy: ArrayLike) -> dict[str, float]:
    """How much of known domains an embedding holds, as a linear classifier reads it on tissue that it has not seen.

    Unlike :func:`multist.metrics.agreement`, this score does not hang on a clustering: it says what the embedding
    knows, whether or not a mixture finds it.

    Parameters
    ----------
    embedding
        (n_obs, d), finite.
    truth
        (n_obs,) known domains. Observations without one (NaN, None or such as text, ``"nan"``) do not count.
    xy
        (n_obs, 2) coordinates of one section, in any unit; further columns are ignored.

    Returns
    -------
    ``accuracy``, the share of observations whose domain is told right, and ``balanced``, its mean over the domains.
    Both are 1 for an embedding that tells everything; ``balanced`` is one over the number of domains for one that tells
    nothing.

    Raises
    ------
    ValueError
        If the lengths differ, a value is not finite, or the known observations are too few: they need two domains
        wherever one fifth of the tissue is taken away, and five blocks.

    Notes
    -----
    The known observations are cut into 5 x 5 blocks at quantiles of their coordinates. The blocks are dealt to five
    folds; each fold is told by a linear discriminant with Ledoit-Wolf shrinkage, fitted on the other four. No seed is
    involved.

    Examples
    --------
    >>> sorted(mt.metrics.probe(adata.obsm["X_multist"], adata.obs["layer"], adata.obsm["spatial"]))
    ['accuracy', 'balanced']
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    points, place = np.asarray(embedding, dtype=float), np.asarray(xy, dtype=float)
    series = pd.Series(np.asarray(truth, dtype=object))
    if points.ndim != 2:
        raise ValueError(f"embedding must have shape (n_obs, d), not {points.shape}")
    if place.ndim != 2 or place.shape[1] < 2:
        raise ValueError(f"xy must have shape (n_obs, 2), not {place.shape}")
    if not len(points) == len(series) == len(place):
        raise ValueError(
            f"{len(points)} rows of embedding, {len(series)} of truth and {len(place)} of xy; pass one each"
        )
    labelled = is_named(series)
    points, labels, place = points[labelled], series[labelled].astype(str).to_numpy(), place[labelled, :2]
    for name, values in (("embedding", points), ("xy", place)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite")
    block = _blocks(place) if len(place) else np.zeros(0, int)
    if len(np.unique(block)) < _FOLDS:
        raise ValueError(
            f"{labelled.sum()} observations with a known domain lie in fewer than {_FOLDS} blocks of tissue"
        )
    folds = list(GroupKFold(_FOLDS).split(points, labels, block))
    if min(len(np.unique(labels[seen])) for seen, _ in folds) < 2:
        raise ValueError("two known domains are needed outside of each fifth of the tissue")
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    found = cross_val_predict(model, points, labels, cv=folds)
    return {
        "accuracy": float((found == labels).mean()),
        "balanced": float(balanced_accuracy_score(labels, found)),
    }


def _blocks(xy: np.ndarray) -> np.ndarray:
    """(n,) cell of a grid of quantiles in which each observation lies."""
    cuts = np.linspace(0, 1, _FOLDS + 1)[1:-1]
    x, y = (np.digitize(values, np.quantile(values, cuts)) for values in xy.T)
    return x * _FOLDS + y
