"""Counts of a made tissue: markers, a programme along the depth, signals across a border, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from multist._spacing import spacing

PROFILES = ("rim", "cortex_a", "cortex_b", "band", "stroma", "lesion")
"""Domains that expression tells apart; ``stroma`` is both ``stroma_loose`` and ``stroma_dense``."""

PLANTED = (
    ("CXCL12", "CXCR4", "cortex_b", "band"),
    ("TGFB1", "TGFBR2", "cortex_b", "band"),
    ("WNT5A", "FZD5", "cortex_b", "band"),
    ("JAG1", "NOTCH2", "cortex_a", "rim"),
    ("VEGFA", "KDR", "cortex_a", "rim"),
    ("PDGFB", "PDGFRB", "cortex_a", "rim"),
)
DECOYS = (
    ("APOE", "LRP1", "diffuse"),
    ("FN1", "ITGB1", "diffuse"),
    ("CCL19", "CCR7", "apart"),
    ("SPP1", "CD44", "apart"),
    ("EGF", "EGFR", "one_sided"),
    ("HGF", "MET", "one_sided"),
)
SIGNALS = tuple(dict.fromkeys(gene for pair in PLANTED + DECOYS for gene in pair[:2]))
MIN_GENES = 4 * len(SIGNALS)
_APART = (("rim", "stroma"), ("stroma", "rim"))
_SPOTS_AT_ONCE = 2048
_STRIP = 1.8
_STATE_SHARE = 0.3
_SIGNAL_FOLD = np.log(4.0)


@dataclass(frozen=True)
class GeneModel:
    """Log-scale effects on every gene, shared by all sections.

    Attributes
    ----------
    names
        Gene symbols.
    base
        (n_genes,) log abundance.
    markers
        (n_profiles, n_genes) shift in each profile.
    slope, middle
        (n_genes,) height and turning point of the programme along the depth; the slope is 0 for other genes.
    states
        (n_states, n_genes) cell states that vary from spot to spot and know nothing of space.
    dispersion
        (n_genes,) size of the negative binomial; the variance is mean + mean**2 / size.
    """

    names: np.ndarray
    base: np.ndarray
    markers: np.ndarray
    slope: np.ndarray
    middle: np.ndarray
    states: np.ndarray
    dispersion: np.ndarray


def gene_model(n_genes: int, random_state: tuple[int, ...]) -> GeneModel:
    """Draw what each gene does; the ligands and receptors come first."""
    rng = np.random.default_rng(random_state)
    n_signals, n_free = len(SIGNALS), n_genes - len(SIGNALS)
    names = np.array([*SIGNALS, *(f"GENE{i:04d}" for i in range(1, n_free + 1))], dtype=object)
    base = rng.normal(0.0, 1.1, n_genes)
    base[:n_signals] = rng.normal(0.6, 0.2, n_signals)
    free = n_signals + rng.permutation(n_free)
    n_markers, n_programme, n_state = max(3, n_free // 50), max(6, n_free // 14), max(4, n_free // 20)
    markers = np.zeros((len(PROFILES), n_genes))
    for i in range(len(PROFILES)):
        columns = free[i * n_markers : (i + 1) * n_markers]
        markers[i, columns] = rng.uniform(0.4, 0.95, n_markers) * rng.choice([1.0, -1.0], n_markers, p=[0.75, 0.25])
    used = len(PROFILES) * n_markers
    programme = free[used : used + n_programme]
    slope, middle = np.zeros(n_genes), rng.uniform(0.2, 0.8, n_genes)
    slope[programme] = rng.uniform(0.3, 0.7, n_programme) * rng.choice([1.0, -1.0], n_programme)
    states = np.zeros((3, n_genes))
    for i in range(len(states)):
        states[i, rng.choice(free, n_state, replace=False)] = rng.normal(0.0, 0.8, n_state)
    for (ligand, receptor, _), (left, right) in zip(DECOYS[2:4], _APART, strict=True):
        markers[PROFILES.index(left), SIGNALS.index(ligand)] = _SIGNAL_FOLD / 2
        markers[PROFILES.index(right), SIGNALS.index(receptor)] = _SIGNAL_FOLD / 2
    return GeneModel(names, base, markers, slope, middle, states, rng.gamma(6.0, 2.0, n_genes) + 2.0)


def near_border(xy: np.ndarray, domain: np.ndarray, here: str, there: str) -> np.ndarray:
    """Which spots of ``here`` lie within two rows of one of ``there``."""
    from scipy.spatial import cKDTree

    found = np.zeros(len(xy), dtype=bool)
    one_side, other = np.flatnonzero(domain == here), np.flatnonzero(domain == there)
    if len(one_side) and len(other):
        found[one_side] = cKDTree(xy[other]).query(xy[one_side])[0] < _STRIP * spacing(xy)
    return found


def draw_counts(
    model: GeneModel,
    xy: np.ndarray,
    domain: np.ndarray,
    depth: np.ndarray,
    *,
    umi: float,
    batch: np.ndarray,
    rng: np.random.Generator,
) -> sp.csr_matrix:
    """Draw negative-binomial counts, (n_obs, n_genes) float32; no image and no place but the domain and depth enter.

    ``umi`` is the median library size, ``batch`` a log-scale shift of every gene.
    """
    profile = np.array([PROFILES.index(name.split("_")[0] if name.startswith("stroma") else name) for name in domain])
    signal = np.zeros((len(xy), len(SIGNALS)))
    for ligand, receptor, here, there in PLANTED:
        signal[near_border(xy, domain, here, there), SIGNALS.index(ligand)] = _SIGNAL_FOLD
        signal[near_border(xy, domain, there, here), SIGNALS.index(receptor)] = _SIGNAL_FOLD
    for ligand, _, kind in DECOYS:
        if kind == "one_sided":
            signal[near_border(xy, domain, "cortex_b", "band"), SIGNALS.index(ligand)] = _SIGNAL_FOLD
    blocks = []
    for start in range(0, len(xy), _SPOTS_AT_ONCE):
        rows = slice(start, start + _SPOTS_AT_ONCE)
        log = model.base + batch + model.markers[profile[rows]]
        log += model.slope * np.tanh((depth[rows, None] - model.middle) / 0.4)
        log += (rng.random((len(log), len(model.states))) < _STATE_SHARE) @ model.states
        log[:, : len(SIGNALS)] += signal[rows]
        mean = np.exp(log, out=log)
        library = umi * np.exp(0.35 * rng.standard_normal(len(mean)))
        mean *= (library / mean.sum(1))[:, None]
        rate = rng.gamma(np.broadcast_to(model.dispersion, mean.shape)) * (mean / model.dispersion)
        blocks.append(sp.csr_matrix(rng.poisson(rate).astype(np.float32)))
    return sp.vstack(blocks, format="csr")


def interaction_tables(present: set[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Planted pairs whose two domains exist, and decoys."""
    planted = [pair for pair in PLANTED if present.issuperset(pair[2:])]
    columns = ["source", "target", "ligand_domain", "receptor_domain"]
    return pd.DataFrame(planted, columns=columns, dtype=object), pd.DataFrame(
        DECOYS, columns=["source", "target", "kind"], dtype=object
    )
