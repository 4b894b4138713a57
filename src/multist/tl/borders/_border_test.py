"""Are ligand and receptor raised where two domains touch? A permutation test whose null keeps space."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from multist.tl.borders._contacts import Contact

_MIN_COUNTED = 10
_MAX_CUT_ANEW = 20_000  # spots up to which every permutation cuts patches of its own
_PERMS_A_CUT = 10  # of more spots, as cutting sorts them


class Spots(NamedTuple):
    """What the null has to keep: ``xy`` (n, 2), ``section`` and ``domain`` codes (n,), ``spacing`` of each section."""

    xy: np.ndarray
    section: np.ndarray
    domain: np.ndarray
    spacing: np.ndarray


class Evidence(NamedTuple):
    """Arrays (n_pairs, n_contacts, 2).

    The last axis is the direction: the ligand in the first domain, or in the second.

    Attributes
    ----------
    score
        Mean over pairs of spots within reach, one on each side, of ligand times receptor.
    enrichment
        Binary logarithm of the score over its mean under the null: the smaller of both sides.
    ligand, receptor
        p-values of either side.
    """

    score: np.ndarray
    enrichment: np.ndarray
    ligand: np.ndarray
    receptor: np.ndarray


def shuffle_patches(xy: np.ndarray, side: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Exchange square patches of tissue and turn or mirror each; what lies within a patch stays together.

    Spots left over, fewer than one patch, stay where they are.

    Parameters
    ----------
    xy
        (n, 2) places of the spots of one domain in one section.
    side
        Spots along a patch; 1 shuffles single spots.
    spacing
        Distance between neighbours.
    rng
        Source of randomness.

    Returns
    -------
    (n,) permutation: place ``i`` takes the value of spot ``result[i]``.
    """
    grid = cut_patches(xy, side, spacing, rng)
    source = np.arange(len(xy))
    source[grid.ravel()] = exchanged(grid, np.arange(len(grid)), rng).ravel()
    return source


def cut_patches(xy: np.ndarray, side: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """(m, side, side) spots of each patch, a small grid; takes what :func:`shuffle_patches` takes.

    The spots are read in strips of a random direction and cut into patches of ``side * side`` spots.
    """
    n, size = len(xy), side * side
    angle = rng.uniform(0, 2 * np.pi)
    u, v = xy @ [np.cos(angle), np.sin(angle)], xy @ [-np.sin(angle), np.cos(angle)]
    strip = np.floor((u - u.min()) / (side * spacing) + rng.random()).astype(np.int64)
    # every other strip is read backwards, so that a patch which runs over into the next one stays in one piece
    order = np.lexsort((np.where(strip % 2, -v, v), strip))
    count = n // size
    start = rng.integers(0, n - count * size + 1)
    patches = order[start : start + count * size].reshape(count, size)
    columns = np.take_along_axis(patches, np.argsort(u[patches], axis=1), axis=1).reshape(count * side, side)
    return np.take_along_axis(columns, np.argsort(v[columns], axis=1), axis=1).reshape(count, side, side)


def exchanged(grid: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(len(chosen), side, side) spots that come to where the chosen patches of a grid are."""
    donors = grid[rng.permutation(len(grid))[chosen]]
    for axis in (1, 2):
        mirrored = rng.random(len(donors)) < 0.5
        donors[mirrored] = np.flip(donors[mirrored], axis)
    turned = rng.random(len(donors)) < 0.5
    donors[turned] = donors[turned].transpose(0, 2, 1)
    return donors


def border_test(
    expression: np.ndarray,
    ligand: np.ndarray,
    receptor: np.ndarray,
    spots: Spots,
    reached: sparse.csr_matrix,
    contacts: list[Contact],
    *,
    patch_size: int,
    n_perms: int,
    random_state: int,
) -> Evidence:
    """Compare each pair's score at each border with what shuffled patches of tissue give.

    The ligand is shuffled within its domain with the receptor in place, and the receptor within its own with the ligand
    in place. Of a domain with more than 20,000 spots in a section, patches are cut once for ten permutations.

    Parameters
    ----------
    expression
        (n, n_molecules) float32.
    ligand, receptor
        (n_pairs,) columns of it.
    spots
        Where they are.
    reached
        (n, n) ones for spots within reach.
    contacts
        The domains that touch.
    patch_size, n_perms, random_state
        As :func:`multist.tl.interactions` takes them.

    Returns
    -------
    Scores, enrichments and p-values.
    """
    shape = (len(ligand), len(contacts), 2)
    score, enrichment = np.zeros(shape), np.full(shape, np.inf)
    sides = {"ligand": np.ones(shape), "receptor": np.ones(shape)}
    domains = sorted({domain for contact in contacts for domain in contact[:2]})
    streams = np.random.SeedSequence(random_state).spawn(max(domains) + 1)
    for domain in domains:
        here = np.flatnonzero(spots.domain == domain)
        own = reached[here]
        touching = [(c, contact) for c, contact in enumerate(contacts) if domain in contact[:2]]
        others = np.isin(spots.domain, [code for _, contact in touching for code in contact[:2] if code != domain])
        # shuffles are kept of the spots alone that face another domain
        facing_any = np.flatnonzero(own @ others.astype(np.float32))
        shuffles = _shuffles(here, facing_any, spots, patch_size, n_perms, np.random.default_rng(streams[domain]))
        for c, contact in touching:
            in_second = int(domain == contact.second)
            there = np.flatnonzero(spots.domain == contact[1 - in_second])
            facing = sparse.csr_matrix(own[:, there])
            rows = np.flatnonzero(facing.getnnz(axis=1))
            facing = facing[rows] * np.float32(1 / facing.nnz)
            for name, shuffled, other, direction in (
                ("ligand", ligand, receptor, in_second),
                ("receptor", receptor, ligand, 1 - in_second),
            ):
                weights = facing @ expression[there][:, other]
                observed, null = _scores(
                    expression[here][:, shuffled], weights, rows, shuffles[:, np.searchsorted(facing_any, rows)]
                )
                at = (slice(None), c, direction)
                score[at], sides[name][at] = observed, _pvalues(observed, null)
                with np.errstate(divide="ignore", invalid="ignore"):
                    enrichment[at] = np.fmin(enrichment[at], np.log2(observed / null.mean(axis=0)))
    enrichment[(score <= 0) | ~np.isfinite(enrichment)] = np.nan
    return Evidence(score, enrichment, sides["ligand"], sides["receptor"])


def _shuffles(
    rows: np.ndarray, kept: np.ndarray, spots: Spots, side: int, n_perms: int, rng: np.random.Generator
) -> np.ndarray:
    """(n_perms, len(kept)) what comes to some positions in ``rows``, the spots of a domain, each within its section."""
    shuffles = np.tile(kept.astype(np.int32), (n_perms, 1))
    for section in np.unique(spots.section[rows]):
        inside = np.flatnonzero(spots.section[rows] == section)
        if len(inside) < side * side:
            continue  # not one patch: it stays as it is
        xy, spacing = spots.xy[rows[inside]], float(spots.spacing[section])
        own = np.flatnonzero(spots.section[rows[kept]] == section)
        wanted = np.searchsorted(inside, kept[own])
        for number, shuffle in enumerate(shuffles):
            if len(inside) <= _MAX_CUT_ANEW:
                source = shuffle_patches(xy, side, spacing, rng)
            else:
                if number % _PERMS_A_CUT == 0:
                    grid, source = cut_patches(xy, side, spacing, rng), np.arange(len(inside))
                    touched = np.flatnonzero(np.isin(grid, wanted).any(axis=(1, 2)))
                source[grid[touched].ravel()] = exchanged(grid, touched, rng).ravel()
            shuffle[own] = inside[source[wanted]]
    return shuffles


def _scores(
    values: np.ndarray, weights: np.ndarray, rows: np.ndarray, shuffles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n_pairs,) observed and (n_perms, n_pairs) shuffled sums of ``values[rows] * weights``."""
    null = np.empty((len(shuffles), values.shape[1]), dtype=np.float32)
    for score, source in zip(null, shuffles, strict=True):
        np.einsum("ip,ip->p", weights, values[source], out=score)
    return np.einsum("ip,ip->p", weights, values[rows]), null


def _pvalues(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """One-sided p-values.

    The share of shuffles that reach the score, plus one (Phipson and Smyth 2010). Where fewer than ten do, it says
    little, and a Pearson type III distribution with the mean, variance and skewness of the shuffles takes its place
    (Winkler et al. 2016); a skewness below zero, whose tail would end, counts as zero, and no p-value is taken below
    the square of the smallest that counting can give.
    """
    from scipy.stats import pearson3

    n_perms = len(null)
    # sums of the same terms in another order differ in the last bits
    reached = (null >= observed * (1 - 1e-5)).sum(axis=0)
    pvalues = (reached + 1) / (n_perms + 1)
    center, spread = null.mean(axis=0, dtype=np.float64), null.std(axis=0, dtype=np.float64)
    few = (reached < _MIN_COUNTED) & (spread > 0)
    if few.any() and n_perms >= 10 * _MIN_COUNTED:
        standard = (null[:, few] - center[few]) / spread[few]
        skewness = np.maximum((standard**3).mean(axis=0), 0)
        tail = pearson3.sf((observed[few] - center[few]) / spread[few], skewness)
        pvalues[few] = np.maximum(tail, (n_perms + 1.0) ** -2)
    return pvalues
