from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist._missing import is_named
from multist._words import counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MIN_OBSERVATIONS = 10  # observations of a section; fewer have too few neighbours to tell mixed from apart
_OBSERVATIONS_AT_ONCE = 10_000  # observations whose neighbours are held at once


def section_mixing(
    embedding: ArrayLike, section: ArrayLike, *, domain: ArrayLike | None = None, n_neighbors: int = 90
) -> dict[str, float]:
    r"""How well sections mix in an embedding: 0 where each keeps to itself, 1 where they lie as if drawn at random.

    Parameters
    ----------
    embedding
        (n_obs, n_dims) embedding of all sections; distances are Euclidean.
    section
        (n_obs,) section of each observation.
    domain
        (n_obs,) known domains. Observations without one (NaN, None or such as text, ``"nan"``) do not count in
        ``ilisi_within``.
    n_neighbors
        Nearest neighbours to look at. They are fewer, in all or in a domain, where the smallest section has not so many
        other observations: sections that are apart then still score 0, however small one is.

    Returns
    -------
    ``ilisi``, the mixing of all observations. It cannot reach 1 if the sections differ in what they hold, and an
    embedding that erases what only one of them holds scores *higher*.

    ``ilisi_within``, only with ``domain``: the mixing among the observations of one domain, on average over all
    observations of domains that two sections share at least. What a single section holds does not count, so that
    nothing is gained by erasing it. NaN if no domain is shared.

    Raises
    ------
    ValueError
        If the lengths differ, a section is missing, the embedding is not finite or has not two dimensions,
        ``n_neighbors`` is below 2, or fewer than two sections have ten observations.

    Notes
    -----
    The inverse Simpson's index of the sections among an observation's neighbours (iLISI; Korsunsky et al., Nature
    Methods 16, 2019), with plain nearest neighbours instead of weighted ones, as in

    .. math:: \mathrm{score} = \frac{1}{n} \sum_{i=1}^{n} \frac{(\sum_s p_{is}^2)^{-1} - 1}{E^{-1} - 1}, \qquad
        E = \sum_s q_s^2 + \frac{1 - \sum_s q_s^2}{k}

    clipped to 0 to 1: :math:`p_{is}` is the share of section *s* among the *k* neighbours of *i*, :math:`q_s` its share
    of all, and *E* the mean of :math:`\sum_s p_{is}^2` if *k* are drawn at random. Sections of unequal size can
    therefore reach 1, which the scaling by their number (Luecken et al., Nature Methods 19, 2022) does not allow.
    Sections of fewer than ten observations, in all or in a domain, do not count there. Memory grows linearly with
    ``n_obs``.

    Examples
    --------
    >>> mt.tl.multist_domains([first, second], 7)
    >>> both = np.vstack([first.obsm["X_multist"], second.obsm["X_multist"]])
    >>> mt.metrics.section_mixing(both, ["first"] * first.n_obs + ["second"] * second.n_obs)
    """
    points = np.asarray(embedding)
    if points.ndim != 2 or points.dtype.kind not in "biuf" or not np.isfinite(points).all():
        raise ValueError(
            f"embedding must be a finite (n_obs, n_dims) array of numbers, not {points.dtype} {points.shape}"
        )
    sections = _aligned(section, len(points), "section")
    if sections.isna().any():
        raise ValueError(f"{int(sections.isna().sum())} of {len(sections)} observations have no section (NaN)")
    if n_neighbors < 2:
        raise ValueError(f"n_neighbors must be at least 2, as one neighbour is never mixed; got {n_neighbors}")
    code = pd.factorize(sections.astype(str))[0]
    found = _mixed(points, code, n_neighbors)
    if found is None:
        raise ValueError(
            f"mixing needs two sections with {_MIN_OBSERVATIONS} observations each; "
            f"there are {counted(len(points), 'observation')} of {counted(len(set(code)), 'section')}"
        )
    scores = {"ilisi": found[0]}
    if domain is not None:
        domains = _aligned(domain, len(points), "domain")
        has_domain = is_named(domains)
        names = domains[has_domain].astype(str)
        rows = [np.asarray(index) for index in names.groupby(names).groups.values()]
        parts = [part for these in rows if (part := _mixed(points[these], code[these], n_neighbors)) is not None]
        mixing, counts = zip(*parts, strict=True) if parts else ((np.nan,), (1,))
        scores["ilisi_within"] = float(np.average(mixing, weights=counts))
    return scores


def _aligned(values: ArrayLike, n_obs: int, name: str) -> pd.Series:
    series = pd.Series(np.asarray(values, dtype=object))
    if len(series) != n_obs:
        raise ValueError(f"{name} has {len(series)} entries for {n_obs} observations in embedding; pass one each")
    return series


def _mixed(points: np.ndarray, code: np.ndarray, n_neighbors: int) -> tuple[float, int] | None:
    """Scaled index of these observations and how many of them count; None if there is no pair of sections."""
    from sklearn.neighbors import NearestNeighbors

    sizes = np.bincount(code)
    kept = sizes[code] >= _MIN_OBSERVATIONS
    points, code = points[kept], np.unique(code[kept], return_inverse=True)[1]
    sizes = np.bincount(code)
    if len(sizes) < 2:
        return None
    k = min(n_neighbors, int(sizes.min()) - 1)
    search = NearestNeighbors(n_neighbors=k).fit(points)
    total = 0.0
    for start in range(0, len(points), _OBSERVATIONS_AT_ONCE):
        block = points[start : start + _OBSERVATIONS_AT_ONCE]
        near = _without_self(search.kneighbors(block, k + 1, return_distance=False), start)
        shares = np.stack([(code[near] == one).mean(axis=1) for one in range(len(sizes))])
        total += float((1 / (shares**2).sum(axis=0)).sum())
    simpson = float(((sizes / len(points)) ** 2).sum())
    ceiling = 1 / (simpson + (1 - simpson) / k)
    return float(np.clip((total / len(points) - 1) / (ceiling - 1), 0, 1)), len(points)


def _without_self(near: np.ndarray, start: int) -> np.ndarray:
    """(n, k) of (n, k + 1) neighbours: without the observation, or without the farthest where equals crowded it out."""
    is_itself = near == np.arange(start, start + len(near))[:, None]
    is_itself[~is_itself.any(axis=1), -1] = True
    return near[~is_itself].reshape(len(near), -1)
