"""Variants of a section by which no constant was chosen: parts of it, and the whole with less or less exact data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from sections import Section

DEPTHS = (0.5, 0.3, 0.15)
DRAWS = 2
MISSING = 0.2  # of the spots
JITTER = 0.2  # of the distance of a spot from the nearest other, in each coordinate
FEWEST = 10  # spots of a label that a variant has to hold
SIDES = {2: (("left", "right"), ("low", "high")), 3: (("left", "middle", "right"), ("low", "centre", "high"))}
NAMES = {2: "half", 3: "third"}


def made_sections(section: Section, kinds: Iterable[str]) -> Iterator[tuple[str, Section]]:
    """Kind of each variant, and the variant, which is named by what was drawn or cut; those that hold two domains."""
    for kind in kinds:
        yield from KINDS[kind](section)


def cut(section: Section, n_parts: int) -> Iterator[tuple[str, Section]]:
    """Parts of as many spots, along each axis."""
    for axis, sides in enumerate(SIDES[n_parts]):
        values = section.xy[:, axis]
        part = np.digitize(values, np.quantile(values, np.arange(1, n_parts) / n_parts))
        for number, side in enumerate(sides):
            yield from some_spots(section, part == number, NAMES[n_parts], side)


def thinned(section: Section) -> Iterator[tuple[str, Section]]:
    """The section as if fewer molecules had been caught."""
    if section.adata.n_vars:
        for depth in DEPTHS:
            for draw in range(DRAWS):
                counts = sp.csr_matrix(section.adata.X, copy=True)
                kept = np.random.default_rng(draw).binomial(counts.data.astype(np.int64), depth)
                counts.data = kept.astype(np.float32)
                counts.eliminate_zeros()
                adata = section.adata.copy()
                adata.X = counts
                yield f"{depth:.0%} of the molecules", section._replace(name=f"draw {draw}", adata=adata)


def fewer_genes(section: Section) -> Iterator[tuple[str, Section]]:
    """Half of the genes."""
    if section.adata.n_vars:
        for draw in range(DRAWS):
            genes = np.random.default_rng(draw).permutation(section.adata.n_vars) % 2 == 0
            yield "half of the genes", section._replace(name=f"draw {draw}", adata=section.adata[:, genes].copy())


def missing(section: Section) -> Iterator[tuple[str, Section]]:
    """Holes all over the tissue."""
    for draw in range(DRAWS):
        kept = np.random.default_rng(draw).random(section.adata.n_obs) >= MISSING
        yield from some_spots(section, kept, f"{MISSING:.0%} of the spots missing", f"draw {draw}")


def jittered(section: Section) -> Iterator[tuple[str, Section]]:
    """Spots beside their places, without the array that would tell these."""
    spacing = float(np.median(cKDTree(section.xy).query(section.xy, k=2)[0][:, 1]))
    for draw in range(DRAWS):
        adata = section.adata.copy()
        adata.obs = adata.obs[[name for name in adata.obs if not name.startswith("array_")]].copy()
        adata.obsm["spatial"] = (
            section.xy + np.random.default_rng(draw).normal(size=(adata.n_obs, 2)) * JITTER * spacing
        )
        yield "jittered", section._replace(name=f"draw {draw}", adata=adata)


def some_spots(section: Section, kept: np.ndarray, kind: str, name: str) -> Iterator[tuple[str, Section]]:
    """The section cut down to the spots of a mask, unless fewer than two domains are left."""
    truth = section.truth[kept].copy()
    truth[~truth.isin(truth.value_counts().loc[lambda count: count >= FEWEST].index)] = np.nan
    if truth.nunique() > 1:
        yield kind, Section(name, section.adata[kept].copy(), truth, int(truth.nunique()))


KINDS: dict[str, Callable[[Section], Iterator[tuple[str, Section]]]] = {
    "halves": partial(cut, n_parts=2),
    "thirds": partial(cut, n_parts=3),
    "molecules": thinned,
    "genes": fewer_genes,
    "missing": missing,
    "jittered": jittered,
}
