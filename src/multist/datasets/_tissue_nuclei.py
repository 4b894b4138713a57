"""Nuclei of a made tissue: where they lie and what shape they have. Lengths are micrometres."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from multist.datasets._tissue_geometry import DOMAINS, TissuePlan

SPACING = 8.0
"""Nuclei are drawn one per cell of a jittered grid of this spacing, which keeps them apart."""


@dataclass(frozen=True)
class Histology:
    """What a region looks like.

    Attributes
    ----------
    density, radius, elongation, chromatin
        Nuclei per square millimetre, their mean radius, length over width, and optical density.
    basophilia, eosin
        Optical density of haematoxylin and eosin between the nuclei.
    fibres, gaps, grain
        Amount of collagen-like waves, of white clefts between them, and of fine texture.
    """

    density: float
    radius: float
    elongation: float
    chromatin: float
    basophilia: float
    eosin: float
    fibres: float
    gaps: float
    grain: float


_CORTEX = Histology(2600, 4.3, 1.15, 0.85, 0.10, 0.42, 0.10, 0.0, 0.07)
HISTOLOGY = {
    "rim": Histology(1000, 3.2, 1.8, 0.80, 0.03, 0.27, 0.12, 0.0, 0.05),
    "cortex_a": _CORTEX,
    "cortex_b": _CORTEX,
    "band": Histology(7200, 3.4, 1.05, 1.05, 0.16, 0.34, 0.04, 0.0, 0.05),
    "stroma_loose": Histology(1500, 3.0, 2.6, 0.95, 0.02, 0.48, 0.26, 0.92, 0.05),
    "stroma_dense": Histology(2300, 3.1, 2.4, 1.00, 0.04, 0.66, 0.24, 0.0, 0.05),
    "lesion": Histology(5200, 5.4, 1.25, 1.15, 0.24, 0.36, 0.05, 0.0, 0.08),
}
"""The two cortices are one entry: nothing in the image tells them apart."""


def per_domain(name: str) -> np.ndarray:
    """One field of :class:`Histology` for every domain, in the order of the codes."""
    return np.array([getattr(HISTOLOGY[domain], name) for domain in DOMAINS], dtype=np.float32)


@dataclass(frozen=True)
class Nuclei:
    """Rows of nuclei: centres ``x``, ``y``, half-axes ``a`` >= ``b``, ``angle`` of the long one, ``stain``."""

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    angle: np.ndarray
    stain: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> Nuclei:
        """Some of the nuclei, in the order of ``rows``."""
        return Nuclei(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def mean_density(plan: TissuePlan) -> float:
    """Nuclei per square micrometre of tissue, averaged over the section."""
    grid = (np.arange(300) + 0.5) / 300 * plan.side
    x, y = np.meshgrid(grid, grid)
    inside = plan.level(x, y) < plan.edge
    return float(per_domain("density")[plan.domain(x[inside], y[inside])].mean()) * 1e-6


def draw_nuclei(plan: TissuePlan, rng: np.random.Generator) -> Nuclei:
    """Draw the nuclei of a section with the density, size and direction of each region."""
    n = int(np.ceil(plan.side / SPACING))
    cell = np.indices((n, n)).reshape(2, -1) + rng.uniform(0.0, 1.0, (2, n * n))
    x, y = (cell[1] * SPACING).astype(np.float32), (cell[0] * SPACING).astype(np.float32)
    chance = rng.random(n * n)
    keep = plan.level(x, y) < plan.edge
    x, y, chance = x[keep], y[keep], chance[keep]
    stray = np.float32(0.003 * plan.side)  # cells stray a little across a border
    code = plan.domain(
        x + stray * rng.standard_normal(len(x), dtype=np.float32),
        y + stray * rng.standard_normal(len(x), dtype=np.float32),
    )
    keep = chance < per_domain("density")[code] * 1e-6 * SPACING**2
    x, y, code = x[keep], y[keep], code[keep]
    m = len(x)
    lesion = code == DOMAINS.index("lesion")
    spread = np.where(lesion, 0.24, 0.12)
    radius = per_domain("radius")[code] * np.exp(spread * rng.standard_normal(m))
    stretch = 1 + (per_domain("elongation")[code] - 1) * rng.gamma(4, 0.25, m)
    along = np.arctan2(y - plan.center[1] * plan.side, x - plan.center[0] * plan.side) + np.pi / 2
    stiff = np.clip(per_domain("elongation")[code] - 1, 0, 1.2) / 1.2
    angle = along + (1.6 - 1.3 * stiff) * rng.uniform(-1, 1, m)
    stain = per_domain("chromatin")[code] * np.exp(0.18 * rng.standard_normal(m))
    values = (x, y, radius * np.sqrt(stretch), radius / np.sqrt(stretch), angle, stain)
    return Nuclei(*(np.asarray(v, dtype=np.float32) for v in values))
