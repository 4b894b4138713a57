"""Domains guided by strokes: a person names some spots, and all others follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from multist.cluster.stroke_folds import stroke_folds
from multist.cluster.stroke_mixture import Discriminant, class_shares, fit_strokes, softmax

_LEARN = 20_000  # spots, strokes among them, from which a mixture learns
_CHECK = 2_000  # of them while strokes are held out
_STRENGTHS = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)
_STEPS = 20
_HALO = 6  # steps around held-out strokes within which strengths are compared
_BLOCK = 2**16
_DOUBT = 1e-3  # the least probability that a held-out stroke counts with


def scale_views(near: Sequence[np.ndarray], components: np.ndarray, adjacency: sp.csr_matrix) -> list[list[np.ndarray]]:
    """Views of a tissue from the narrowest to the widest.

    Parameters
    ----------
    near
        What a spot is by itself: (n, d) components of expression, their average along what belongs together, the same of the image.
    components
        (n, d) components of expression, to be averaged more and more widely.
    adjacency
        (n, n) sparse neighbourhoods.

    Returns
    -------
    Three groups: ``near``, averages over 2 and 5 steps, averages over 3, 8 and 12 steps.
    """
    walk = sp.csr_matrix(adjacency, dtype=np.float32) + sp.identity(len(components), format="csr", dtype=np.float32)
    walk.data[:] = 1
    walk = sp.diags((1 / np.asarray(walk.sum(axis=1)).ravel()).astype(np.float32)) @ walk
    average, averages = np.asarray(components, dtype=np.float32), {}
    for step in range(1, 13):
        average = walk @ average
        averages[step] = average
    return [list(near), [averages[2], averages[5]], [averages[3], averages[8], averages[12]]]


@dataclass(frozen=True)
class GuidedClassifier:
    """What strokes taught, to be applied to another section; plain arrays.

    Attributes
    ----------
    centers, scales
        Of each group of views: (d,) means and (d,) divisors of its columns side by side.
    slopes, offsets
        Of the model of each group and all narrower ones: (d, k) and (k,).
    weights
        (g,) share of each model in the answer.
    shares
        (k,) how common each class was.
    strength
        Of the spatial prior.
    """

    centers: tuple[np.ndarray, ...]
    scales: tuple[np.ndarray, ...]
    slopes: tuple[np.ndarray, ...]
    offsets: tuple[np.ndarray, ...]
    weights: np.ndarray
    shares: np.ndarray
    strength: float

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything as named arrays, for a file without pickle."""
        arrays = {"weights": self.weights, "shares": self.shares, "strength": np.array([self.strength])}
        for name in ("centers", "scales", "slopes", "offsets"):
            arrays |= {f"{name}.{i}": value for i, value in enumerate(getattr(self, name))}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> GuidedClassifier:
        """The classifier that :meth:`to_arrays` wrote; raises KeyError where an array is missing."""
        groups = range(len(arrays["weights"]))
        several = {
            name: tuple(arrays[f"{name}.{i}"] for i in groups) for name in ("centers", "scales", "slopes", "offsets")
        }
        return cls(
            **several, weights=arrays["weights"], shares=arrays["shares"], strength=float(arrays["strength"][0])
        )

    def predict(
        self, views: Sequence[Sequence[np.ndarray]], adjacency: sp.csr_matrix, *, section: np.ndarray | None = None
    ) -> np.ndarray:
        """(n, k) probability of each class in a tissue without strokes.

        How common the classes are is estimated anew in each section.

        Parameters
        ----------
        views
            Groups as those that were learnt from.
        adjacency
            (n, n) sparse neighbourhoods.
        section
            (n,) int codes, or None for one section.

        Raises
        ------
        ValueError
            If the views have another shape.
        """
        groups = _checked(views)
        widths = [sum(view.shape[1] for view in group) for group in groups]
        if widths != [len(center) for center in self.centers]:
            raise ValueError(f"views have {widths} columns in their groups; the classifier learnt from {[len(c) for c in self.centers]}")
        section = np.zeros(len(groups[0][0]), dtype=np.int64) if section is None else np.asarray(section)
        rows = _thinned(np.arange(len(section)), _LEARN)
        tissue = _Tissue(groups, self.centers, self.scales)
        models = []
        for g, (slope, offset) in enumerate(zip(self.slopes, self.offsets, strict=True)):
            model = Discriminant(slope, offset, np.tile(self.shares, (section.max() + 1, 1)))
            learnt = tissue.points(g, rows)
            for _ in range(10):
                found = model.probability(learnt, section[rows])
                model = model._replace(share=class_shares(_sums(found, section[rows], section.max() + 1)))
            models.append(model)
        found, scores = tissue.mixed(models, self.weights, section)
        return walk_to_neighbours(found, similar_edges(scores, adjacency), self.strength)


@dataclass(frozen=True)
class GuidedDomains:
    """Classes of all spots.

    Attributes
    ----------
    labels
        (n,) int64. 0 to ``n_classes - 1`` are the named classes; further domains follow.
    probability
        (n, k) float64, rows summing to one.
    held_out_accuracy
        Share of strokes that were recognised while they were held out, before the spatial prior; nan if none could be.
    classifier
        For other sections.
    """

    labels: np.ndarray
    probability: np.ndarray
    held_out_accuracy: float
    classifier: GuidedClassifier


def guided_domains(
    views: Sequence[Sequence[np.ndarray]],
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    *,
    n_more: int = 0,
    trust: float = 1.0,
    section: np.ndarray | None = None,
    random_state: int = 0,
) -> GuidedDomains:
    groups = _checked(views)
    n = len(groups[0][0])
    section = np.zeros(n, dtype=np.int64) if section is None else np.asarray(section)
    adjacency = sp.csr_matrix(adjacency)
    rng = np.random.default_rng(random_state)
    strokes = np.flatnonzero(labels >= 0)
    classes = labels[strokes]
    k = n_classes + n_more
    belief = np.full((len(strokes), k), (1 - trust) / max(k - 1, 1))
    belief[np.arange(len(strokes)), classes] = trust if k > 1 else 1.0
    tissue = _Tissue.of(groups)
    learn = _Lesson.drawn(strokes, classes, belief, n, _LEARN, rng)
    models = [learn.fit(tissue, g, section) for g in range(len(groups))]
    apart = np.column_stack([xy, section * 10 * (np.ptp(xy, axis=0).max() + 1)])
    check = _Lesson.drawn(strokes, classes, belief, n, _CHECK, rng)
    fold = stroke_folds(apart, check.strokes, check.classes, rng)
    held = np.full((len(groups), len(fold), k), np.nan)
    for number in np.unique(fold[fold >= 0]):
        out = fold == number
        if len(np.unique(check.classes[~out])) < len(np.unique(check.classes)):
            continue
        lesson = check.without(out)
        for g in range(len(groups)):
            model = lesson.fit(tissue, g, section)
            held[g, out] = model.probability(tissue.points(g, check.strokes[out]), section[check.strokes[out]])
    told = ~np.isnan(held).any(axis=(0, 2))
    weights = np.ones(len(groups))
    if told.any():
        gain = np.log(held[:, told][:, np.arange(told.sum()), check.classes[told]] + _DOUBT).sum(axis=1)
        weights = np.exp(WEIGHT * (gain - gain.max()))
    weights = weights / weights.sum()
    found, scores = tissue.mixed(models, weights, section)
    edges = similar_edges(scores, adjacency)
    rows, held = check.strokes[told], np.tensordot(weights, held[:, told], 1)
    strength = _strength(found, edges, rows, held, check.classes[told])
    fixed = (strokes, belief) if trust == 1 else None
    probability = walk_to_neighbours(found, edges, strength, fixed)
    classifier = GuidedClassifier(tissue.centers, tissue.scales, tuple(m.slope for m in models), tuple(m.offset for m in models), weights, found.mean(axis=0), strength)
    accuracy = float((held.argmax(axis=1) == check.classes[told]).mean()) if told.any() else float("nan")
    return GuidedDomains(probability.argmax(axis=1), probability, accuracy, classifier)


WEIGHT = 0.05


@dataclass(frozen=True)
class _Lesson:
    """Strokes, and the rows from which a mixture learns, the strokes first."""

    strokes: np.ndarray
    classes: np.ndarray
    belief: np.ndarray
    free: np.ndarray

    @classmethod
    def drawn(cls, strokes: np.ndarray, classes: np.ndarray, belief: np.ndarray, n: int, most: int, rng: np.random.Generator) -> _Lesson:
        # of each class at most its part, so that a class with few strokes keeps them all
        part = max(1, most // (2 * len(np.unique(classes))))
        kept = np.sort(np.concatenate([
            rng.permutation(np.flatnonzero(classes == name))[:part] for name in np.unique(classes)
        ]))
        free = np.setdiff1d(np.arange(n), strokes)
        return cls(strokes[kept], classes[kept], belief[kept], np.sort(rng.choice(free, min(most, len(free)), replace=False)))

    def without(self, out: np.ndarray) -> _Lesson:
        return _Lesson(self.strokes[~out], self.classes[~out], self.belief[~out], np.concatenate([self.free, self.strokes[out]]))

    def fit(self, tissue: _Tissue, group: int, section: np.ndarray) -> Discriminant:
        rows = np.concatenate([self.strokes, self.free])
        return fit_strokes(tissue.points(group, rows), np.arange(len(self.strokes)), self.belief, section[rows])


class _Tissue:
    """Views as points: group ``g`` and all narrower ones side by side, centred and scaled."""

    def __init__(self, groups: list[list[np.ndarray]], centers: tuple[np.ndarray, ...], scales: tuple[np.ndarray, ...]):
        self.groups, self.centers, self.scales = groups, centers, scales

    @classmethod
    def of(cls, groups: list[list[np.ndarray]]) -> _Tissue:
        """With each view divided by the deviation of its most varied column, so that the order of its components counts."""
        centers = tuple(np.concatenate([v.mean(axis=0, dtype=np.float64) for v in group]) for group in groups)
        scales = tuple(
            np.concatenate([np.full(v.shape[1], max(float(v.std(axis=0).max()), 1e-12)) for v in group])
            for group in groups
        )
        return cls(groups, centers, scales)

    def points(self, group: int, rows: np.ndarray) -> np.ndarray:
        blocks = []
        for views, center, scale in zip(self.groups[: group + 1], self.centers, self.scales, strict=False):
            blocks.append((np.hstack([view[rows] for view in views]).astype(np.float64) - center) / scale)
        return np.hstack(blocks)

    def mixed(self, models: list[Discriminant], weights: np.ndarray, section: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) probabilities and scores of all spots, averaged over the models."""
        n, k = len(section), len(models[0].offset)
        found, scores = np.zeros((n, k)), np.zeros((n, k))
        for start in range(0, n, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, n))
            points = self.points(len(models) - 1, rows)
            for model, weight in zip(models, weights, strict=True):
                part = points[:, : len(model.slope)]
                found[rows] += weight * model.probability(part, section[rows])
                score = model.scores(part)
                scores[rows] += weight * (score - score.mean(axis=1, keepdims=True))
        return found, scores


def similar_edges(scores: np.ndarray, adjacency: sp.csr_matrix) -> sp.csr_matrix:
    """Edges weighted by how alike the (n, k) scores of their ends are: exp(-d^2 / median d^2)."""
    edges = adjacency.tocoo()
    distance = np.zeros(edges.nnz)
    for column in scores.T:
        distance += (column[edges.row] - column[edges.col]) ** 2
    weight = np.exp(-distance / max(float(np.median(distance)) if edges.nnz else 1.0, 1e-12))
    return sp.csr_matrix((weight, (edges.row, edges.col)), shape=adjacency.shape)


def walk_to_neighbours(
    probability: np.ndarray, edges: sp.csr_matrix, strength: float, fixed: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    f = probability.copy()
    if fixed is not None:
        f[fixed[0]] = fixed[1]
    if strength == 0:
        return f
    total = 1 + strength * np.asarray(edges.sum(axis=1)).ravel()[:, None]
    start = probability
    for _ in range(_STEPS):
        f = (start + strength * (edges @ f)) / total
        if fixed is not None:
            f[fixed[0]] = fixed[1]
    return f


def _strength(found: np.ndarray, edges: sp.csr_matrix, rows: np.ndarray, held: np.ndarray, classes: np.ndarray) -> float:
    if not len(rows):
        return 1.0
    reach = np.zeros(len(found), dtype=bool)
    reach[rows] = True
    for _ in range(_HALO):
        reach |= edges @ reach.astype(np.float32) > 0
    near = np.flatnonzero(reach)
    place = np.searchsorted(near, rows)
    start = found[near]
    start[place] = held
    inner = edges[near][:, near]
    gain = [
        np.log(walk_to_neighbours(start, inner, strength)[place, classes] + _DOUBT).mean() for strength in _STRENGTHS
    ]
    return _STRENGTHS[int(np.argmax(gain))]


def _sums(probability: np.ndarray, section: np.ndarray, n_sections: int) -> np.ndarray:
    return np.stack([probability[section == code].sum(axis=0) for code in range(n_sections)])


def _thinned(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[:: -(-len(rows) // most)]


def _checked(views: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    return [[np.asarray(v) for v in g] for g in views]
