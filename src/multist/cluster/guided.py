"""Domains guided by strokes: a person names some spots, and all others follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from multist._numbers import is_positive
from multist._progress import with_progress
from multist._settings import logger
from multist.cluster.further_domains import further_domains
from multist.cluster.guided_classifier import GuidedClassifier
from multist.cluster.neighbour_walk import HeldOut, similar_edges, strength_from_held_out, walk_to_neighbours
from multist.cluster.stroke_doubt import doubtful_strokes
from multist.cluster.stroke_folds import stroke_folds
from multist.cluster.stroke_lesson import CHECK, Lesson, belief_of, held_out, model_weights
from multist.cluster.stroke_mixture import Discriminant, fit_strokes, products
from multist.cluster.stroke_views import ScaledViews

_MAX_LEARNT_FROM = 20_000  # spots without a stroke, and strokes, from which a mixture learns
_N_DEALS = 5  # of strokes to folds: of a single deal, chance decides as much as the strokes
_MAX_REMOTENESS = 3.0  # beyond which probabilities are not softened further
_MIN_TELLING = 5  # strokes of each class that say whether they are recognised by more than chance
_BY_CHANCE = 0.25  # part of the way from chance to all strokes, below which recognising them may be chance


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


def check_trust(trust: float) -> None:
    """Raise a ValueError if it is no probability above zero."""
    if not is_positive(trust) or trust > 1:
        raise ValueError(f"trust is the probability that a stroke is right, above 0 and at most 1; got {trust!r}")


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
    section = np.zeros(len(labels), dtype=np.int64) if section is None else section
    rng = np.random.default_rng(random_state)
    tissue = ScaledViews.of(views)
    drawn = _Strokes.of(labels, n_classes + n_more, trust)
    doubted = doubtful_strokes(tissue, drawn.rows, drawn.classes, section, np.random.default_rng(random_state))
    strokes = _Strokes(*(each[~doubted] for each in drawn))
    models = _learn(tissue, strokes, section, n_classes, n_more, rng)
    deals, weights, remoteness = _judge(tissue, strokes, xy, section, models if n_more else [], rng)
    _warn_of_contradictions(deals, n_classes)
    before_walk, scores = tissue.mixed(models, weights, section)
    edges = similar_edges(scores, adjacency)
    strength = strength_from_held_out(before_walk, edges, deals)
    probability = _walk(before_walk, edges, strength, drawn, strokes, certain=trust == 1)
    # held-out strokes lie nearer to others than most of the tissue does, and say too much of it
    probability **= 1 / min(remoteness, _MAX_REMOTENESS)
    probability /= probability.sum(axis=1, keepdims=True)
    return GuidedDomains(
        labels=probability.argmax(axis=1),
        probability=probability,
        held_out_accuracy=_accuracy(deals),
        remoteness=remoteness,
        classifier=GuidedClassifier(
            centers=tissue.centers,
            scales=tissue.scales,
            slopes=tuple(model.slope for model in models),
            offsets=tuple(model.offset for model in models),
            weights=weights,
            shares=before_walk.mean(axis=0),
            strength=strength,
        ),
        doubted=drawn.rows[doubted],
    )


class _Strokes(NamedTuple):
    """(m,) rows with a stroke and class of each, and (m, k) how probable each class is as it was drawn."""

    rows: np.ndarray
    classes: np.ndarray
    belief: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, n_domains: int, trust: float) -> _Strokes:
        """Those in (n,) labels, each right with the probability ``trust``."""
        rows = np.flatnonzero(labels >= 0)
        classes = labels[rows].astype(np.int64)
        return cls(rows, classes, belief_of(classes, n_domains, trust))


def _learn(
    tissue: ScaledViews,
    strokes: _Strokes,
    section: np.ndarray,
    n_classes: int,
    n_more: int,
    rng: np.random.Generator,
) -> list[Discriminant]:
    """A model of each group of views and all narrower ones."""
    lesson = Lesson.drawn(*strokes, len(section), _MAX_LEARNT_FROM, rng)
    start = further_domains(tissue, lesson.rows, lesson.belief, n_classes, n_more, rng) if n_more else None
    points, first, where = tissue.points(lesson.rows), np.arange(len(lesson.strokes)), section[lesson.rows]
    scatter = products(points)  # its corner is that of narrower views
    return [
        fit_strokes(points[:, :width], scatter[:width, :width], first, lesson.belief, where, start=start)
        for width in tissue.widths
    ]


def _judge(
    tissue: ScaledViews,
    strokes: _Strokes,
    xy: np.ndarray,
    section: np.ndarray,
    whole: list[Discriminant],
    rng: np.random.Generator,
) -> tuple[list[HeldOut], np.ndarray, float]:
    """Hold strokes out, and see how models recognise them that learnt from the others.

    Gives what is said each time that strokes are dealt out, the (g,) share of each model in the average, and remoteness
    as in :class:`GuidedDomains`. ``whole`` is as :func:`held_out` takes it.
    """
    sections_apart = np.column_stack([xy, section * 10 * (np.ptp(xy, axis=0).max() + 1)])
    # how far from a stroke means nothing in a section that has none
    near = np.flatnonzero(np.isin(section, section[strokes.rows]))
    rows, classes, told, farther = [], [], [], []
    for _ in with_progress(range(_N_DEALS), _N_DEALS, "multist: strokes held out"):
        lesson = Lesson.drawn(*strokes, len(section), CHECK, rng)
        place = np.searchsorted(near, lesson.strokes)
        fold, remoteness = stroke_folds(sections_apart[near], place, lesson.classes, rng)
        rows.append(lesson.strokes[fold >= 0])
        classes.append(lesson.classes[fold >= 0])
        told.append(held_out(tissue, lesson, lesson.strokes, fold, section, whole))
        farther.append(remoteness)
    weights = model_weights(told, classes)
    mixed = (np.tensordot(weights, by_model, 1) for by_model in told)
    deals = [HeldOut(*each) for each in zip(rows, classes, mixed, strict=True)]
    return deals, weights, float(np.mean(farther))


def _accuracy(deals: Sequence[HeldOut]) -> float:
    """Share of the strokes that were recognised; nan of none."""
    right = np.concatenate([deal.probability.argmax(axis=1) == deal.classes for deal in deals])
    return float(right.mean()) if len(right) else float("nan")


def _walk(
    probability: np.ndarray,
    edges: sp.csr_matrix,
    strength: float,
    drawn: _Strokes,
    strokes: _Strokes,
    *,
    certain: bool,
) -> np.ndarray:
    """(n, k) probabilities after the walk; strokes stay as they were drawn if ``certain``, and else weigh as evidence.

    Of all that were ``drawn``, nothing walks from certain ones that are not among the ``strokes`` to be learnt from.
    """
    if certain:
        walked = walk_to_neighbours(probability, edges, strength, (strokes.rows, strokes.belief))
        walked[drawn.rows] = drawn.belief
        return walked
    with_strokes = probability.copy()
    with_strokes[drawn.rows] = _believed(probability[drawn.rows], drawn.belief)
    return walk_to_neighbours(with_strokes, edges, strength)


def _warn_of_contradictions(deals: Sequence[HeldOut], n_classes: int) -> None:
    """Warn if strokes that are held out are hardly recognised better than by chance."""
    truth = np.concatenate([deal.classes for deal in deals])
    classes, counts = np.unique(truth, return_counts=True)
    if len(classes) < 2 or counts.min() < _MIN_TELLING * len(deals):
        return
    # further domains have no strokes, and may share what is named
    right = np.concatenate([deal.probability[:, :n_classes].argmax(axis=1) == deal.classes for deal in deals])
    share = float(np.mean([right[truth == name].mean() for name in classes]))
    if share < _BY_CHANCE + (1 - _BY_CHANCE) / n_classes:
        logger.warning(
            "the strokes contradict each other: of those that are held out %.0f %% of a class are recognised, and "
            "chance gives %.0f %%: look at them in pl.domains(labels_key=), or let them be overruled by trust= below 1",
            100 * share,
            100 / n_classes,
        )


def _believed(probability: np.ndarray, belief: np.ndarray) -> np.ndarray:
    both = np.maximum(probability, 1e-12) * belief
    return both / both.sum(axis=1, keepdims=True)
