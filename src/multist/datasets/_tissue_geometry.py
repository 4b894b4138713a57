"""Where things are on a made tissue: outline, layers, lesion, and the lattice of spots. Lengths are micrometres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PITCH = 100.0
SPOT_DIAMETER = 55.0
DOMAINS = ("rim", "cortex_a", "cortex_b", "band", "stroma_loose", "stroma_dense", "lesion")
THICKNESS = {"rim": 0.10, "cortex_a": 0.22, "cortex_b": 0.17, "band": 0.11, "stroma": 0.40}
_ROW_HEIGHT = PITCH * 3**0.5 / 2
SPOT_AREA = PITCH * _ROW_HEIGHT


@dataclass(frozen=True)
class TissuePlan:
    """Geometry of one section; functions of position take micrometres.

    Attributes
    ----------
    side
        Width and height of the square that is photographed.
    edge
        Value of :meth:`level` at the tissue's outline.
    missing
        Domain that this section lacks, or None.
    """

    side: float
    edge: float
    missing: str | None
    center: tuple[float, float]
    radii: tuple[float, float]
    phases: tuple[float, ...]
    lesion: tuple[float, float, float]
    split: float

    def _unit(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        u, v = x / self.side, y / self.side
        return u, v, np.hypot(u - self.center[0], v - self.center[1])

    def level(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance-like function that grows outwards; the tissue is where it is below ``edge``."""
        u, v, r = self._unit(x, y)
        middle, half = sum(self.radii) / 2, (self.radii[1] - self.radii[0]) / 2
        t = (r - middle) / half
        s = (u - self.center[0]) / (0.425 + 0.045 * np.clip(t, -1.5, 1.5))
        angle = np.arctan2(v - 0.5, u - 0.5)
        wobble = 0.020 * np.sin(3 * angle + self.phases[2]) + 0.012 * np.sin(7 * angle + self.phases[3])
        wobble += 0.004 * np.sin(16 * angle + self.phases[1])
        return (np.abs(s) ** 4.5 + np.abs(t) ** 4.5) ** (1 / 4.5) * (1 + wobble)

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Relative depth below the convex surface, 0 to 1, along which the layers lie."""
        u, _, r = self._unit(x, y)
        r = r + 0.014 * np.sin(7.0 * u + self.phases[0]) + 0.006 * np.sin(17.0 * u + self.phases[1])
        inner, outer = self.radii[0] - 0.01, self.radii[1] + 0.01
        return np.clip((outer - r) / (outer - inner), 0, 1)

    def lesion_distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance to the lesion's centre over its radius; infinite where the section has none."""
        if self.missing == "lesion":
            return np.full(np.shape(x), np.inf, dtype=np.asarray(x).dtype)
        u, v, _ = self._unit(x, y)
        cx, cy, radius = self.lesion
        angle = np.arctan2(v - cy, u - cx)
        return np.hypot(u - cx, v - cy) / (radius * (1 + 0.04 * np.sin(3 * angle + self.phases[0])))

    def domain(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Code of the domain at each place, an index into :data:`DOMAINS`."""
        depth = self.depth(x, y)
        codes = np.searchsorted(self._borders()[:-1], depth, side="right").astype(np.int8)
        left = x / self.side < self.split + 0.25 * (depth - 0.8) + 0.03 * np.sin(16.0 * depth + self.phases[3])
        if self.missing in ("stroma_loose", "stroma_dense"):
            left = np.full(codes.shape, self.missing == "stroma_dense")
        codes[(codes == DOMAINS.index("stroma_loose")) & ~left] = DOMAINS.index("stroma_dense")
        codes[self.lesion_distance(x, y) < 1] = DOMAINS.index("lesion")
        return codes

    def _borders(self) -> np.ndarray:
        widths = np.array([0.0 if name == self.missing else width for name, width in THICKNESS.items()])
        return np.cumsum(widths) / widths.sum()


def plan_tissue(area: float, *, missing: str | None, rng: np.random.Generator) -> TissuePlan:
    """Draw a section's geometry so that its tissue covers ``area`` square micrometres."""
    shift = rng.uniform(-0.012, 0.012, 5)
    plan = TissuePlan(
        side=1.0,
        edge=1.0,
        missing=missing,
        center=(0.50 + shift[0], 1.62 + shift[1]),
        radii=(0.76 + shift[1], 1.55 + shift[1]),
        phases=tuple(rng.uniform(0, 2 * np.pi, 4)),
        lesion=(0.68 + shift[2], 0.355 + shift[3], 0.122),
        split=0.50 + shift[4],
    )
    grid = (np.arange(400) + 0.5) / 400
    share = float((plan.level(*np.meshgrid(grid, grid)) < 1).mean())
    return replace(plan, side=float(np.sqrt(area / share)))


def lattice(plan: TissuePlan, n_spots: int) -> tuple[TissuePlan, np.ndarray, np.ndarray]:
    """Put exactly ``n_spots`` spots of the Visium lattice on the tissue.

    Returns
    -------
    The plan with its outline drawn around the spots, their centres (n_spots, 2), and their (row, column) on the array.
    """
    n_rows, n_cols = int(plan.side / _ROW_HEIGHT), int(plan.side / PITCH)
    row, half = np.meshgrid(np.arange(n_rows), np.arange(n_cols), indexing="ij")
    col = 2 * half + row % 2
    x, y = (col.ravel() + 0.5) * PITCH / 2, (row.ravel() + 0.5) * _ROW_HEIGHT
    level = plan.level(x, y)
    keep = np.sort(np.argsort(level, kind="stable")[:n_spots])
    grown = replace(plan, edge=float(level[keep].max()) + 0.8 * SPOT_DIAMETER / plan.side)
    return grown, np.column_stack([x, y])[keep], np.column_stack([row.ravel(), col.ravel()])[keep]
