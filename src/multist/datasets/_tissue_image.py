"""An H&E-like photograph of a made tissue, by the law of Beer and Lambert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multist.datasets._tissue_geometry import TissuePlan
from multist.datasets._tissue_nuclei import Nuclei, per_domain

HEMATOXYLIN = np.array([0.64, 0.71, 0.29])
EOSIN = np.array([0.24, 0.90, 0.36])
GLASS = np.array([244.0, 242.0, 245.0])
Noise = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
_STRIP = 64
_TILE = 1024


def image_affine(plan: TissuePlan, image_size: int, section: int) -> np.ndarray:
    """(3, 3) matrix from pixels (x, y) to micrometres: a scale, a small turn about the middle, and a shift."""
    angle = np.deg2rad(3.0 + 2.0 * section)
    scale = 1.02 * plan.side / image_size
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    affine = np.eye(3)
    affine[:2, :2] = turn
    affine[:2, 2] = plan.side / 2 - turn @ np.full(2, image_size / 2)
    return affine


def stains(shift: float) -> np.ndarray:
    """(2, 3) optical density of haematoxylin and eosin; ``shift`` moves both towards a bluer, stronger batch."""
    moved = np.stack(
        [HEMATOXYLIN + shift * np.array([0.07, -0.03, -0.07]), EOSIN + shift * np.array([0.09, 0.0, -0.11])]
    )
    moved = np.clip(moved, 0.01, None) / np.linalg.norm(moved, axis=1, keepdims=True)
    return moved * np.exp(shift * np.array([[0.25], [-0.20]]))


def render(
    plan: TissuePlan,
    nuclei: Nuclei,
    affine: np.ndarray,
    image_size: int,
    *,
    stain_shift: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Photograph the section: (image_size, image_size, 3) uint8."""
    from scipy.ndimage import gaussian_filter

    look = _Look(plan, affine, _noise(rng), tuple(_field(plan.side, rng) for _ in range(2)))
    illumination = _field(plan.side, rng)
    h, e = stamp(nuclei, affine, image_size), np.empty((image_size, image_size), dtype=np.float32)
    light = np.empty_like(e)
    for start in range(0, image_size, _STRIP):
        rows = slice(start, min(start + _STRIP, image_size))
        x, y = _positions(affine, image_size, rows)
        h[rows], e[rows] = _optical_density(look, x, y, h[rows])
        light[rows] = 1 + 0.015 * illumination(x, y)
    vectors = stains(stain_shift).astype(np.float32)
    out = np.empty((image_size, image_size, 3), dtype=np.uint8)
    for c in range(3):
        channel = gaussian_filter(np.exp(-(h * vectors[0, c] + e * vectors[1, c])), 0.55)
        channel *= light
        channel *= np.float32(GLASS[c])
        channel += rng.standard_normal(channel.shape, dtype=np.float32) * np.float32(1.2)
        out[..., c] = np.clip(channel, 0, 255, out=channel)
    return out


@dataclass(frozen=True)
class _Look:
    """What the pixels of one photograph are computed from; ``fields`` are the unevenness of the two stains."""

    plan: TissuePlan
    affine: np.ndarray
    noise: Noise
    fields: tuple[Field, ...]


def _positions(affine: np.ndarray, image_size: int, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Micrometres of the pixel centres of some rows."""
    a = affine.astype(np.float32)
    px = np.arange(image_size, dtype=np.float32)[None, :] + np.float32(0.5)
    py = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + np.float32(0.5)
    return a[0, 0] * px + a[0, 1] * py + a[0, 2], a[1, 0] * px + a[1, 1] * py + a[1, 2]


def _optical_density(look: _Look, x: np.ndarray, y: np.ndarray, nuclei: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Haematoxylin and eosin of some pixels, given the haematoxylin of the nuclei there."""
    plan, noise = look.plan, look.noise
    ragged = 0.004 * noise(x, y, 110.0) + 0.002 * noise(y, x, 30.0)
    blur = 2.0 * float(np.hypot(look.affine[0, 0], look.affine[1, 0])) / plan.side
    tissue = _soft(plan.edge + 0.006 - plan.level(x, y) + ragged, blur)
    stray = np.float32(0.0026 * plan.side)
    code = plan.domain(x + stray * noise(x, y, 35.0), y + stray * noise(y, x, 35.0))
    h, e, filled = _background(plan, x, y, code, noise)
    nuclei = nuclei * filled
    tissue *= 1 + 0.85 * _fold(plan, x, y)
    h = (h + nuclei) * tissue * (1 + 0.16 * look.fields[0](x, y))
    return h, e * (1 - 0.45 * np.minimum(nuclei, 1)) * tissue * (1 + 0.16 * look.fields[1](x, y))


def stamp(nuclei: Nuclei, affine: np.ndarray, image_size: int) -> np.ndarray:
    """Haematoxylin of all nuclei, (image_size, image_size) float32: ellipses with soft rims, the darker on top."""
    inverse = np.linalg.inv(affine)
    scale = float(np.hypot(inverse[0, 0], inverse[1, 0]))
    cx = (inverse[0, 0] * nuclei.x + inverse[0, 1] * nuclei.y + inverse[0, 2]).astype(np.float32)
    cy = (inverse[1, 0] * nuclei.x + inverse[1, 1] * nuclei.y + inverse[1, 2]).astype(np.float32)
    turn = nuclei.angle + np.float32(np.arctan2(inverse[1, 0], inverse[0, 0]))
    cos, sin = np.cos(turn), np.sin(turn)
    # nuclei below a pixel keep their amount of stain, not their size
    a, b = (np.maximum(axis * scale, 0.6).astype(np.float32) for axis in (nuclei.a, nuclei.b))
    stain = (nuclei.stain * np.minimum(1, nuclei.a * nuclei.b * scale**2 / (a * b))).astype(np.float32)
    pad = int(np.ceil(a.max())) + 1 if len(a) else 1
    width = image_size + 2 * pad
    canvas = np.zeros(width * width, dtype=np.float32)
    ix, iy = np.floor(cx).astype(np.int64), np.floor(cy).astype(np.int64)
    order = np.argsort(a, kind="stable")
    for dy in range(-pad, pad + 1):
        for dx in range(-pad, pad + 1):
            first = np.searchsorted(a[order], np.hypot(max(abs(dx) - 1, 0), max(abs(dy) - 1, 0)) - 0.5)
            k = order[first:]
            k = k[
                (ix[k] + dx >= -pad)
                & (ix[k] + dx < image_size + pad)
                & (iy[k] + dy >= -pad)
                & (iy[k] + dy < image_size + pad)
            ]
            qx, qy = ix[k] + dx + 0.5 - cx[k], iy[k] + dy + 0.5 - cy[k]
            rho = np.hypot((qx * cos[k] + qy * sin[k]) / a[k], (qy * cos[k] - qx * sin[k]) / b[k])
            value = stain[k] * np.clip(0.5 + (1 - rho) * b[k], 0, 1) * (0.82 + 0.18 * np.minimum(rho, 1))
            np.maximum.at(canvas, (iy[k] + dy + pad) * width + ix[k] + dx + pad, value.astype(np.float32))
    return canvas.reshape(width, width)[pad:-pad, pad:-pad].copy()


def _background(
    plan: TissuePlan, x: np.ndarray, y: np.ndarray, code: np.ndarray, noise: Noise
) -> tuple[np.ndarray, ...]:
    """Haematoxylin and eosin between the nuclei (ground, grain, fibres along the layers), and where no gap is."""
    across = np.hypot(x - plan.center[0] * plan.side, y - plan.center[1] * plan.side)
    along = np.arctan2(x - plan.center[0] * plan.side, plan.center[1] * plan.side - y) * np.float32(plan.side)
    across += 22 * noise(x, y, 130.0)
    fibre = noise(across, along / 7, 9.0)
    grain = noise(x, y, 7.0)
    e = per_domain("eosin")[code] * (1 + per_domain("fibres")[code] * 1.2 * fibre) + per_domain("grain")[code] * grain
    filled = 1 - per_domain("gaps")[code] * _soft(noise(across, along / 3, 20.0) - 1.0, 0.3)
    h = per_domain("basophilia")[code] * (1 + 0.5 * grain)
    return np.maximum(h, 0), np.maximum(e, 0.02) * filled, filled


def _noise(rng: np.random.Generator) -> Noise:
    """Smooth noise of unit variance and any grain, as a function of two coordinates, tiled seamlessly."""
    from scipy.ndimage import gaussian_filter

    tile = gaussian_filter(rng.standard_normal((_TILE, _TILE), dtype=np.float32), 1.5, mode="wrap")
    tile = np.pad(tile / tile.std(), (0, 1), mode="wrap")
    flat, width = tile.ravel(), tile.shape[1]

    def sample(x: np.ndarray, y: np.ndarray, grain: float) -> np.ndarray:
        step = np.float32(3.0 / grain)
        u, v = x * step, y * step
        iu, iv = np.floor(u), np.floor(v)
        u -= iu
        v -= iv
        at = (iv.astype(np.int32) & (_TILE - 1)) * width + (iu.astype(np.int32) & (_TILE - 1))
        top, below = flat[at], flat[at + width]
        top += (flat[at + 1] - top) * u
        below += (flat[at + (width + 1)] - below) * u
        return top + (below - top) * v

    return sample


def _field(side: float, rng: np.random.Generator) -> Field:
    """A smooth random function over the slide, about -1 to 1."""
    waves = [(*rng.uniform(-4.5, 4.5, 2) / side, rng.uniform(0, 2 * np.pi)) for _ in range(4)]

    def sample(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        total = np.zeros(x.shape, dtype=np.float32)
        for kx, ky, phase in waves:
            total += np.sin(np.float32(kx) * x + np.float32(ky) * y + np.float32(phase))
        return total / np.float32(2.5)

    return sample


def _fold(plan: TissuePlan, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the tissue lies double: a bent strip that starts at the left edge and tapers off."""
    u, v = x / plan.side, y / plan.side
    center = 0.42 + 0.18 * (u - 0.1) + 0.02 * np.sin(14 * u)
    half = 0.012 * np.clip(1 - (u - 0.05) / 0.30, 0, 1)
    return _soft(half - np.abs(v - center), 0.002) * (half > 0)


def _soft(value: np.ndarray, width: float) -> np.ndarray:
    """0 below and 1 above zero, with a linear ramp of ``width``."""
    return np.clip(value / np.float32(width) + np.float32(0.5), 0, 1)
