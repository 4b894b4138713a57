"""Domains guided by strokes: a person names some spots, and all others follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from multist._settings import logger
from multist.cluster.further_domains import further_domains
from multist.cluster.guided_classifier import GuidedClassifier
from multist.cluster.neighbour_walk import LEAST, similar_edges, strength_from_held_out, walk_to_neighbours
from multist.cluster.stroke_folds import stroke_folds
from multist.cluster.stroke_mixture import Discriminant, fit_strokes
from multist.cluster.stroke_views import ScaledViews, checked_views

_LEARN = 20_000  # spots without a stroke, and strokes, from which a mixture learns
_CHECK = 2_000  # while strokes are held out
_HEED = 0.05  # of the log-likelihood of held-out strokes in the weight of a model: strokes side by side tell the same
_MOST_REMOTE = 3.0
_TELLING = 5  # strokes of each class say whether they are recognised by more than chance
_BY_CHANCE = 0.25  # of the way from chance to all


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
    remoteness
        How many times farther from a stroke the unnamed spots of sections with strokes lie than the strokes that were held out, at
        least one; where it is large, strokes elsewhere in the section would tell most.
    classifier
        For other sections.
    """

    labels: np.ndarray
    probability: np.ndarray
    held_out_accuracy: float
    remoteness: float
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
    """Name all spots after the strokes on a few.

    A mixture of Gaussians (:func:`~multist.cluster.stroke_mixture.fit_strokes`) learns on each group of views with all
    narrower ones side by side; their probabilities are averaged, more heed being paid to models that recognise strokes while
    these are held out, and walk to neighbours that are alike, as far as held-out strokes are recognised best.
    Time and memory grow with the spots in proportion.

    Parameters
    ----------
    views
        Groups of (n, d) features, from the narrowest averaging to the widest, as
        :func:`~multist.cluster.stroke_views.scale_views` makes them.
    adjacency
        (n, n) sparse neighbourhoods.
    xy
        (n, p) coordinates.
    labels
        (n,) int. The class that a person gave the spot, -1 where there is none.
    n_classes
        How many classes there are; each has a stroke.
    n_more
        How many further domains there are in tissue that nobody named.
    trust
        Probability that a stroke is right. Strokes are kept as they are if it is one, and may be overruled if it is less.
    section
        (n,) int codes from zero, or None for one section. How common the classes are is estimated in each.
    random_state
        Seed; the global random state is not used.

    Raises
    ------
    ValueError
        If the shapes disagree, a value is not finite, a class has no stroke, there are fewer than two classes in all,
        or trust is not in (0, 1].

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> line = sp.diags([np.ones(39), np.ones(39)], [-1, 1])
    >>> feature = np.repeat([0.0, 5.0], 20)[:, None] + np.random.default_rng(0).normal(size=(40, 2))
    >>> strokes = np.full(40, -1)
    >>> strokes[[3, 4, 33, 34]] = 0, 0, 1, 1
    >>> xy = np.column_stack([np.arange(40), np.zeros(40)])
    >>> guided_domains([[feature]], line, xy, strokes, 2).labels[[0, 39]].tolist()
    [0, 1]
    """
    groups = checked_views(views)
    n, k = len(groups[0][0]), n_classes + n_more
    section = np.zeros(n, dtype=np.int64) if section is None else np.asarray(section)
    adjacency, xy, labels = sp.csr_matrix(adjacency), np.asarray(xy, dtype=np.float64), np.asarray(labels)
    _check(n, adjacency, xy, labels, section, n_classes, n_more, trust)
    rng = np.random.default_rng(random_state)
    strokes = np.flatnonzero(labels >= 0)
    classes = labels[strokes].astype(np.int64)
    belief = np.full((len(strokes), k), (1 - trust) / (k - 1))
    belief[np.arange(len(strokes)), classes] = trust
    tissue = ScaledViews.of(groups)
    lesson = _Lesson.drawn(strokes, classes, belief, n, _LEARN, rng)
    start = further_domains(tissue, lesson.rows, lesson.belief, n_classes, n_more, rng) if n_more else None
    models = [
        fit_strokes(tissue.points(g, lesson.rows), lesson.belief, section[lesson.rows], start=start)
        for g in range(len(groups))
    ]
    few = _Lesson.drawn(strokes, classes, belief, n, _CHECK, rng)
    apart = np.column_stack([xy, section * 10 * (np.ptp(xy, axis=0).max() + 1)])
    # how far from a stroke means nothing in a section that has none
    near = np.flatnonzero(np.isin(section, section[strokes]))
    fold, remoteness = stroke_folds(apart[near], np.searchsorted(near, few.strokes), few.classes, rng)
    held = _held_out(tissue, few, fold, section, models)
    told = fold >= 0
    rows, truth = few.strokes[told], few.classes[told]
    gain = np.log(held[:, np.arange(len(rows)), truth] + LEAST).sum(axis=1)
    weights = np.exp(_HEED * (gain - gain.max()))
    weights = weights / weights.sum()
    expected = np.tensordot(weights, held, 1)
    _warn_of_contradictions(expected, truth, n_classes)
    found, scores = tissue.mixed(models, weights, section)
    shares = found.mean(axis=0)
    edges = similar_edges(scores, adjacency)
    strength = strength_from_held_out(found, edges, rows, expected, truth)
    found[strokes] = _believed(found[strokes], belief)
    fixed = (strokes, found[strokes]) if trust == 1 else None
    found = walk_to_neighbours(found, edges, strength, fixed)
    # held-out strokes lie nearer to others than most of the tissue does, and say too much of it
    found = found ** (1 / min(remoteness, _MOST_REMOTE))
    found /= found.sum(axis=1, keepdims=True)
    return GuidedDomains(
        labels=found.argmax(axis=1),
        probability=found,
        held_out_accuracy=float((expected.argmax(axis=1) == truth).mean()) if len(rows) else float("nan"),
        remoteness=remoteness,
        classifier=GuidedClassifier(
            centers=tissue.centers,
            scales=tissue.scales,
            slopes=tuple(model.slope for model in models),
            offsets=tuple(model.offset for model in models),
            weights=weights,
            shares=shares,
            strength=strength,
        ),
    )


def _warn_of_contradictions(expected: np.ndarray, truth: np.ndarray, n_classes: int) -> None:
    """Warn if strokes that are held out are hardly recognised better than by chance."""
    classes, counts = np.unique(truth, return_counts=True)
    if len(classes) < 2 or counts.min() < _TELLING:
        return
    right = expected.argmax(axis=1) == truth
    share = float(np.mean([right[truth == name].mean() for name in classes]))
    if share < _BY_CHANCE + (1 - _BY_CHANCE) / n_classes:
        logger.warning(
            "the strokes contradict each other: of those that are held out %.0f %% of a class are recognised, and chance gives %.0f %%: look at "
            "them in pl.domains(labels_key=), or let them be overruled by trust= below 1", 100 * share, 100 / n_classes,
        )  # fmt: skip


@dataclass(frozen=True)
class _Lesson:
    """What a mixture learns from: strokes first, then spots without one."""

    strokes: np.ndarray
    classes: np.ndarray
    belief: np.ndarray
    free: np.ndarray

    @classmethod
    def drawn(
        cls, strokes: np.ndarray, classes: np.ndarray, belief: np.ndarray, n: int, most: int, rng: np.random.Generator
    ) -> _Lesson:
        names = np.unique(classes)
        part = max(1, most // len(names))  # so that a class with few strokes keeps them all
        kept = np.sort(np.concatenate([rng.permutation(np.flatnonzero(classes == name))[:part] for name in names]))
        unnamed = np.ones(n, dtype=bool)
        unnamed[strokes] = False
        free = np.flatnonzero(unnamed)
        free = np.sort(rng.choice(free, min(most, len(free)), replace=False))
        return cls(strokes[kept], classes[kept], belief[kept], free)

    @property
    def rows(self) -> np.ndarray:
        return np.concatenate([self.strokes, self.free])

    def without(self, out: np.ndarray) -> _Lesson:
        free = np.concatenate([self.free, self.strokes[out]])
        return _Lesson(self.strokes[~out], self.classes[~out], self.belief[~out], free)


def _held_out(
    tissue: ScaledViews, few: _Lesson, fold: np.ndarray, section: np.ndarray, models: list[Discriminant]
) -> np.ndarray:
    """(g, m, k) probabilities of the strokes that can be held out, by models that have not seen them."""
    held = np.full((len(models), len(fold), len(models[0].offset)), np.nan)
    for number in np.unique(fold[fold >= 0]):
        out = fold == number
        lesson = few.without(out)
        for g, whole in enumerate(models):
            points = tissue.points(g, lesson.rows)
            # further domains have no strokes to start from, only what the whole lesson found
            further = whole.probability(points, section[lesson.rows]) if whole.n_unnamed else None
            model = fit_strokes(points, lesson.belief, section[lesson.rows], start=further)
            # what is held out comes last in the lesson
            held[g, out] = model.probability(points[-out.sum() :], section[lesson.rows[-out.sum() :]])
    return held[:, fold >= 0]


def _believed(probability: np.ndarray, belief: np.ndarray) -> np.ndarray:
    both = np.maximum(probability, 1e-12) * belief
    return both / both.sum(axis=1, keepdims=True)


def _check(
    n: int, adjacency: sp.csr_matrix, xy: np.ndarray, labels: np.ndarray, section: np.ndarray, n_classes: int,
    n_more: int, trust: float,
) -> None:  # fmt: skip
    if adjacency.shape != (n, n) or labels.shape != (n,) or section.shape != (n,) or xy.ndim != 2 or len(xy) != n:
        raise ValueError(
            f"the views have {n} spots; got adjacency {adjacency.shape}, xy {xy.shape}, labels {labels.shape} "
            f"and section {section.shape}"
        )
    if not np.isfinite(xy).all():
        raise ValueError("xy must be finite")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < -1 or labels.max() >= n_classes:
        raise ValueError(
            f"labels must be integers from -1 (no stroke) to {n_classes - 1}; got {np.unique(labels)[:10]}"
        )
    if missing := sorted(set(range(n_classes)) - set(labels.tolist())):
        raise ValueError(f"classes without any stroke: {missing}; leave them out, or ask for n_more domains")
    if n_more < 0 or n_classes < 1 or n_classes + n_more < 2:
        raise ValueError(f"two domains at least; got {n_classes} named classes and n_more={n_more}")
    if not isinstance(trust, int | float | np.number) or not 0 < trust <= 1:
        raise ValueError(f"trust is the probability that a stroke is right, above 0 and at most 1; got {trust!r}")
