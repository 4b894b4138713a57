"""Domains guided by strokes: a person names some spots, and all others follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from multist._settings import logger
from multist.cluster.further_domains import further_domains
from multist.cluster.guided_classifier import GuidedClassifier
from multist.cluster.neighbour_walk import similar_edges, strength_from_held_out, walk_to_neighbours
from multist.cluster.stroke_doubt import doubtful_strokes
from multist.cluster.stroke_folds import stroke_folds
from multist.cluster.stroke_lesson import CHECK, Lesson, held_out, model_weights
from multist.cluster.stroke_mixture import fit_strokes
from multist.cluster.stroke_views import ScaledViews, checked_views

_LEARN = 20_000  # spots without a stroke, and strokes, from which a mixture learns
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
        How many times farther from a stroke the unnamed spots of sections with strokes lie than the strokes that were
        held out, at least one; where it is large, strokes elsewhere in the section would tell most.
    classifier
        For other sections.
    doubted
        (m,) rows of strokes that the others contradict: they stay as they were drawn, unless trust is less
        than one, but nothing is learnt from them.
    """

    labels: np.ndarray
    probability: np.ndarray
    held_out_accuracy: float
    remoteness: float
    classifier: GuidedClassifier
    doubted: np.ndarray


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
    narrower ones side by side; their probabilities are averaged, more heed being paid to models that recognise strokes
    while these are held out, and walk to neighbours that are alike, as far as held-out strokes are recognised best.
    Strokes that all others contradict (:func:`~multist.cluster.stroke_doubt.doubtful_strokes`) are kept, but nothing
    is learnt from them.
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
        Probability that a stroke is right. Strokes are kept as they are if it is one, and may be overruled if it is
        less. What is learnt from is doubted in either case as far as strokes contradict each other.
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
    tissue = ScaledViews.of(groups)
    drawn = np.flatnonzero(labels >= 0)
    as_drawn = np.full((len(drawn), k), (1 - trust) / (k - 1))
    as_drawn[np.arange(len(drawn)), labels[drawn]] = trust
    doubted = doubtful_strokes(tissue, drawn, labels[drawn], section, np.random.default_rng(random_state))
    strokes, belief = drawn[~doubted], as_drawn[~doubted]
    classes = labels[strokes].astype(np.int64)
    lesson = Lesson.drawn(strokes, classes, belief, n, _LEARN, rng)
    start = further_domains(tissue, lesson.rows, lesson.belief, n_classes, n_more, rng) if n_more else None
    models = [
        fit_strokes(tissue.points(g, lesson.rows), lesson.belief, section[lesson.rows], start=start)
        for g in range(len(groups))
    ]
    few = Lesson.drawn(strokes, classes, belief, n, CHECK, rng)
    apart = np.column_stack([xy, section * 10 * (np.ptp(xy, axis=0).max() + 1)])
    # how far from a stroke means nothing in a section that has none
    near = np.flatnonzero(np.isin(section, section[strokes]))
    fold, remoteness = stroke_folds(apart[near], np.searchsorted(near, few.strokes), few.classes, rng)
    held = held_out(tissue, few, few.strokes, fold, section, models)
    told = fold >= 0
    rows, truth = few.strokes[told], few.classes[told]
    weights = model_weights(held, truth)
    expected = np.tensordot(weights, held, 1)
    _warn_of_contradictions(expected, truth, n_classes)
    found, scores = tissue.mixed(models, weights, section)
    shares = found.mean(axis=0)
    edges = similar_edges(scores, adjacency)
    strength = strength_from_held_out(found, edges, rows, expected, truth)
    if trust == 1:
        found[strokes] = belief
        found = walk_to_neighbours(found, edges, strength, (strokes, belief))
        found[drawn] = as_drawn
    else:
        found[drawn] = _believed(found[drawn], as_drawn)
        found = walk_to_neighbours(found, edges, strength)
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
        doubted=drawn[doubted],
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
            "the strokes contradict each other: of those that are held out %.0f %% of a class are "
            "recognised, and chance gives %.0f %%: look at "
            "them in pl.domains(labels_key=), or let them be overruled by trust= below 1",
            100 * share,
            100 / n_classes,
        )


def _believed(probability: np.ndarray, belief: np.ndarray) -> np.ndarray:
    both = np.maximum(probability, 1e-12) * belief
    return both / both.sum(axis=1, keepdims=True)


def _check(
    n: int,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    labels: np.ndarray,
    section: np.ndarray,
    n_classes: int,
    n_more: int,
    trust: float,
) -> None:
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
