"""Are ligand and receptor raised where two domains touch? A permutation test whose null keeps space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from multist.tl.borders._contacts import Contact

_MIN_COUNTED = 10  # shuffles that reach a score, below which a fitted distribution gives its p-value
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


def cut_patches(xy: np.ndarray, side: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Read the spots in strips of a random direction, and cut them into square patches.

    Spots left over, fewer than one patch, are in none.

    Parameters
    ----------
    xy
        (n, 2) places of the spots of one domain in one section.
    side
        Spots along a patch; 1 makes single spots patches.
    spacing
        Distance between neighbours.
    rng
        Source of randomness.

    Returns
    -------
    (m, side, side) spots of each patch, a small grid.
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
    """(len(chosen), side, side) spots that come to where the chosen patches of a grid are.

    Patches change places, and each is turned or mirrored; what lies within one stays together.
    """
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
    found = Evidence(np.zeros(shape), np.full(shape, np.inf), np.ones(shape), np.ones(shape))
    for side in _sides(spots, reached, contacts, patch_size, n_perms, random_state):
        for pvalues, shuffled, in_place, direction in (
            (found.ligand, ligand, receptor, side.is_second),
            (found.receptor, receptor, ligand, 1 - side.is_second),
        ):
            at = (slice(None), side.contact, direction)
            found.score[at], enrichment, pvalues[at] = _compared(expression, shuffled, in_place, side)
            found.enrichment[at] = np.fmin(found.enrichment[at], enrichment)
    found.enrichment[(found.score <= 0) | ~np.isfinite(found.enrichment)] = np.nan
    return found


class _Side(NamedTuple):
    """One domain of a contact, whose spots are shuffled while those of the other stay in place.

    Attributes
    ----------
    contact, is_second
        Which contact, and 0 for its first domain or 1 for its second.
    in_domain, in_other
        Rows of the spots of this domain and of the other.
    facing
        (m,) places in ``in_domain`` of the spots that have spots of the other within reach.
    pairs
        (m, n_other) sparse, summing to one: with which spots of the other each of them counts.
    shuffles
        (n_perms, m) places in ``in_domain`` of what comes to them.
    """

    contact: int
    is_second: int
    in_domain: np.ndarray
    in_other: np.ndarray
    facing: np.ndarray
    pairs: sparse.csr_matrix
    shuffles: np.ndarray


def _sides(
    spots: Spots,
    reached: sparse.csr_matrix,
    contacts: list[Contact],
    patch_size: int,
    n_perms: int,
    random_state: int,
) -> Iterator[_Side]:
    """Both sides of each contact; domain by domain, as its shuffles serve all of its contacts."""
    domains = sorted({domain for contact in contacts for domain in contact[:2]})
    streams = np.random.SeedSequence(random_state).spawn(max(domains) + 1)
    for domain in domains:
        in_domain = np.flatnonzero(spots.domain == domain)
        reached_from_domain = reached[in_domain]
        others = {
            number: contact.second if domain == contact.first else contact.first
            for number, contact in enumerate(contacts)
            if domain in contact[:2]
        }
        # shuffles are kept of the spots alone that face another domain
        in_any_other = np.isin(spots.domain, list(others.values()))
        facing_any = np.flatnonzero(reached_from_domain @ in_any_other.astype(np.float32))
        rng = np.random.default_rng(streams[domain])
        shuffles = _shuffles(in_domain, facing_any, spots, patch_size, n_perms, rng)
        for contact, other in others.items():
            in_other = np.flatnonzero(spots.domain == other)
            pairs = sparse.csr_matrix(reached_from_domain[:, in_other])
            facing = np.flatnonzero(pairs.getnnz(axis=1))
            yield _Side(
                contact=contact,
                is_second=int(domain > other),
                in_domain=in_domain,
                in_other=in_other,
                facing=facing,
                pairs=pairs[facing] * np.float32(1 / pairs.nnz),
                shuffles=shuffles[:, np.searchsorted(facing_any, facing)],
            )


def _compared(
    expression: np.ndarray, shuffled: np.ndarray, in_place: np.ndarray, side: _Side
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n_pairs,) scores, enrichments and p-values in one direction.

    The columns ``shuffled`` are those of the side's domain, and ``in_place`` those of the other.
    """
    weights = side.pairs @ expression[side.in_other][:, in_place]
    observed, null = _scores(expression[side.in_domain][:, shuffled], weights, side.facing, side.shuffles)
    with np.errstate(divide="ignore", invalid="ignore"):
        enrichment = np.log2(observed / null.mean(axis=0))
    return observed, enrichment, _pvalues(observed, null)


def _shuffles(
    in_domain: np.ndarray, facing: np.ndarray, spots: Spots, patch_size: int, n_perms: int, rng: np.random.Generator
) -> np.ndarray:
    """(n_perms, len(facing)) places in ``in_domain`` of what comes to the ``facing`` ones, each within its section."""
    shuffles = np.tile(facing.astype(np.int32), (n_perms, 1))
    section = spots.section[in_domain]
    for code in np.unique(section):
        in_section = np.flatnonzero(section == code)
        if len(in_section) < max(patch_size**2, 2):
            continue  # nothing to exchange: it stays as it is
        columns = np.flatnonzero(section[facing] == code)
        wanted = np.searchsorted(in_section, facing[columns])
        xy, spacing = spots.xy[in_domain[in_section]], float(spots.spacing[code])
        for shuffle, sources in zip(shuffles, _sources(xy, wanted, patch_size, spacing, n_perms, rng), strict=True):
            shuffle[columns] = in_section[sources]
    return shuffles


def _sources(
    xy: np.ndarray, wanted: np.ndarray, patch_size: int, spacing: float, n_perms: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Spots that come to the ``wanted`` ones among (n, 2) places, ``n_perms`` times."""
    few = len(xy) <= _MAX_CUT_ANEW
    a_cut = 1 if few else _PERMS_A_CUT
    for first in range(0, n_perms, a_cut):
        grid, source = cut_patches(xy, patch_size, spacing, rng), np.arange(len(xy))
        # of many, what comes to the other patches is not looked at
        touched = np.arange(len(grid)) if few else np.flatnonzero(np.isin(grid, wanted).any(axis=(1, 2)))
        for _ in range(min(a_cut, n_perms - first)):
            source[grid[touched].ravel()] = exchanged(grid, touched, rng).ravel()
            yield source[wanted]


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
