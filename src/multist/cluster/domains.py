"""From an embedding to spatial domains."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from multist._rows import row_slices
from multist._settings import logger
from multist._words import counted
from multist.cluster.assign import DomainClassifier
from multist.cluster.distinct import count_distinct
from multist.cluster.mixture import fit_mixture
from multist.cluster.neighbour_prior import NeighbourPrior, neighbour_prior
from multist.cluster.refine import fewest_spots, leading_axes, majority_vote, with_exact_count
from multist.cluster.sampled import ENOUGH, Partition, sampled_mixture

_ROUNDS = 3  # of setting odd spots aside and dividing the others again, at most
_MOST_ODD = 0.05  # share of the spots that are set aside at most: if more are odd, too many domains were asked for


def find_domains(
    embedding: np.ndarray,
    adjacency: sp.csr_matrix,
    n_domains: int,
    *,
    structured_share: float = 1.0,
    refine: bool = False,
    random_state: int = 0,
) -> Partition:
    """Partition an embedding into exactly ``n_domains`` domains.

    A mixture with one covariance for all domains is searched for from many starts, and then by splitting and merging
    its components as long as that makes it likelier, until three searches come to the same; else what they found is
    recombined. Spots that would be a domain of fewer than five are set aside meanwhile. Of more than 10,000 points the
    search sees a sample, and what it finds is polished on all; time and memory grow at most linearly with the points.

    Parameters
    ----------
    embedding
        (n, d), finite.
    adjacency
        (n, n) sparse spatial neighbourhoods; read if ``refine``, or if space structures less than half.
    n_domains
        Number of domains, at most n.
    structured_share
        How much of what the embedding was made of space structures, see
        :func:`multist.cluster.neighbour_prior.neighbour_prior`.
    refine
        Let spots that stand alone join what surrounds them. It erases domains that are one spot wide.
    random_state
        Seed.

    Returns
    -------
    Labels from 0, the largest domain, upwards; confidence, float64, is that before refinement.
    """
    points = _leading_first(embedding)
    if n_domains == 1 or count_distinct(points, n_domains) < n_domains:
        if n_domains > 1:
            logger.warning(
                "the embedding has only %s, so that %d domains are cut, not found: ask for fewer",
                counted(count_distinct(points, n_domains), "different point"),
                n_domains,
            )
        start = np.zeros(len(points), dtype=np.int64)
        return Partition(with_exact_count(start, points, n_domains), np.ones(len(points)), repeated=False)
    prior = neighbour_prior(points, adjacency, structured_share)
    if prior is not None:
        logger.info(
            "space structures only a share of %.2f of what is measured, as in single cells: the differences between "
            "neighbours count %.2f in the shape of domains",
            structured_share,
            prior.weight,
        )
    smallest = fewest_spots(len(points), n_domains)
    labels, confidence, repeated = _without_odd_ones(points, n_domains, smallest, prior, random_state)
    if not repeated:
        logger.info(
            "one search alone found this likeliest division into %d domains, so others are about as likely: a border "
            "that moves with another random_state is not certain",
            n_domains,
        )
    filled = int((np.bincount(labels, minlength=n_domains) >= smallest).sum())
    if filled < n_domains:
        logger.warning(
            "only %d of %d domains have %s or more of their own, the others are cut off the widest ones: ask for fewer",
            filled,
            n_domains,
            counted(smallest, "spot"),
        )
    if refine:
        labels = majority_vote(labels, adjacency)
    return Partition(with_exact_count(labels, points, n_domains), confidence.astype(np.float64), repeated)


def _without_odd_ones(
    points: np.ndarray, n_domains: int, smallest: int, prior: NeighbourPrior | None, random_state: int
) -> Partition:
    """The division of (n, d) points in which no few odd ones take up a domain.

    Those of a component that is too small for a domain are set aside, and the others are divided again. They join the
    likeliest in the end.
    """
    found, inside = _divided(points, n_domains, prior, random_state), np.arange(len(points))
    for _ in range(_ROUNDS):
        kept = inside[np.bincount(found.labels, minlength=n_domains)[found.labels] >= smallest]
        few_odd = len(inside) > len(kept) >= (1 - _MOST_ODD) * len(points)
        if not few_odd or count_distinct(points[kept], n_domains) < n_domains:
            break
        found, inside = _divided(points[kept], n_domains, prior, random_state), kept
    if len(inside) == len(points):
        return found
    aside = np.setdiff1d(np.arange(len(points)), inside)
    logger.info("%s unlike all others, too few for a domain, joined the likeliest domain", counted(len(aside), "spot"))
    labels, confidence = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    labels[inside], confidence[inside] = found.labels, found.confidence
    names, domain = np.unique(found.labels, return_inverse=True)
    probability = DomainClassifier.fit(points[inside], domain, len(names), prior).predict(points[aside])
    labels[aside], confidence[aside] = names[probability.argmax(axis=1)], probability.max(axis=1)
    return Partition(labels, confidence, found.repeated)


def _divided(points: np.ndarray, n_domains: int, prior: NeighbourPrior | None, random_state: int) -> Partition:
    if len(points) > ENOUGH:
        return sampled_mixture(points, n_domains, prior=prior, random_state=random_state)
    fit = fit_mixture(points, n_domains, prior=prior, random_state=random_state)
    return Partition(fit.labels, fit.responsibilities.max(axis=1), fit.repeated)


def _leading_first(embedding: np.ndarray) -> np.ndarray:
    """Rotate to principal axes, signs fixed by the largest loading, and scale by a power of two to about one."""
    points = np.array(embedding, dtype=np.float64)  # a copy, as all that follows is done in place: points are many
    np.ldexp(points, -np.frexp(max(points.max(), -points.min()))[1], out=points)  # exact, and squares stay in range
    points -= points.mean(axis=0)
    axes = leading_axes(points)
    signs = np.where(axes[range(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)
    turn = (axes * signs[:, None]).T
    turned = points if turn.shape[1] == points.shape[1] else np.empty((len(points), turn.shape[1]))
    for rows in row_slices(len(points)):
        turned[rows] = points[rows] @ turn
    return turned
