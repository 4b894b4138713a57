from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

N_NEIGHBORS = 10


def coherence(labels: ArrayLike, xy: ArrayLike) -> dict[str, float]:
    """How well found domains hang together in space; no truth is needed, lower is better.

    Parameters
    ----------
    labels
        (n_obs,) found domains.
    xy
        (n_obs, 2) coordinates of one section, in any unit; further columns are ignored. Each axis is standardised.

    Returns
    -------
    ``pas``, the share of observations of which more than half of the 10 nearest neighbours lie in another domain, and
    ``chaos``, the mean distance to the nearest observation of the same domain (domains of fewer than three
    observations add nothing).

    Raises
    ------
    ValueError
        If the lengths differ, a label is missing, the coordinates are not finite, have fewer than two columns, do not
        vary along an axis, or there are fewer than two observations.

    Notes
    -----
    PAS and CHAOS as in Shang and Zhou, Nature Communications 13, 7203 (2022).

    Examples
    --------
    >>> mt.metrics.coherence(adata.obs["multist_domain"], adata.obsm["spatial"])
    """
    from sklearn.neighbors import NearestNeighbors

    series = pd.Series(np.asarray(labels, dtype=object))
    names = series.astype(str).to_numpy()
    points = np.asarray(xy, dtype=float)
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"xy must have shape (n_obs, 2), not {points.shape}")
    if len(names) != len(points):
        raise ValueError(f"{len(names)} labels for {len(points)} observations in xy; pass one label each")
    if series.isna().any():
        raise ValueError(f"{int(series.isna().sum())} of {len(series)} labels are missing (NaN)")
    points = points[:, :2]
    if len(points) < 2 or not np.isfinite(points).all() or (points.std(0) == 0).any():
        raise ValueError("xy needs at least two observations with finite coordinates that vary along both axes")
    z = (points - points.mean(0)) / points.std(0)
    # without points of its own, it leaves out each point itself, also where others lie at the same place
    near = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(z) - 1)).fit(z).kneighbors(return_distance=False)
    pas = ((names[near] != names[:, None]).sum(1) > near.shape[1] / 2).mean()
    total = 0.0
    for name in np.unique(names):
        places = z[names == name]
        if len(places) > 2:
            total += NearestNeighbors(n_neighbors=1).fit(places).kneighbors()[0].sum()
    return {"pas": float(pas), "chaos": float(total / len(z))}
