"""What a mixture learns from, and what it says of strokes that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from multist._threads import n_cores
from multist.cluster.stroke_mixture import Discriminant, fit_strokes, products
from multist.cluster.stroke_views import ScaledViews

CHECK = 2_000
"""Strokes, and spots without one, from which is learnt while strokes are held out."""

_HEED = 0.05  # of the log-likelihood of held-out strokes in the weight of a model: strokes side by side tell the same
LEAST = 1e-3
"""The least probability that a held-out stroke counts with."""


@dataclass(frozen=True)
class Lesson:
    """Strokes first, then spots without one.

    Attributes
    ----------
    strokes, classes, belief
        (m,) rows with a stroke, (m,) class of each, and (m, k) how probable each class is as it was drawn.
    free
        (f,) rows without a stroke.
    """

    strokes: np.ndarray
    classes: np.ndarray
    belief: np.ndarray
    free: np.ndarray

    @classmethod
    def drawn(
        cls, strokes: np.ndarray, classes: np.ndarray, belief: np.ndarray, n: int, most: int, rng: np.random.Generator
    ) -> Lesson:
        """At most so many strokes, and as many of the other spots of ``n``."""
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
        """(m + f,)."""
        return np.concatenate([self.strokes, self.free])


def belief_of(classes: np.ndarray, n_domains: int, trust: float) -> np.ndarray:
    """(m, k) how probable each domain is at strokes of (m,) classes that are right with the probability ``trust``."""
    belief = np.full((len(classes), n_domains), (1 - trust) / (n_domains - 1))
    belief[np.arange(len(classes)), classes] = trust
    return belief


def held_out(
    tissue: ScaledViews,
    lesson: Lesson,
    strokes: np.ndarray,
    fold: np.ndarray,
    section: np.ndarray,
    whole: Sequence[Discriminant] = (),
) -> np.ndarray:
    """(g, m, k) probabilities of the (m,) strokes of which the fold is not -1, by models that have not seen them.

    ``whole`` are models of the whole lesson, from which further domains start, since they have no strokes; there are
    none without further domains.
    """
    by_model = np.full((len(tissue.groups), len(strokes), lesson.belief.shape[1]), np.nan)
    points, where = tissue.points(lesson.rows), section[lesson.rows]
    scatter = products(points)  # its corner is that of narrower views

    def tell(number: int, g: int) -> None:
        width, out = tissue.widths[g], strokes[fold == number]
        kept = np.flatnonzero(~np.isin(lesson.strokes, out))
        seen, known = points[:, :width], scatter[:width, :width]
        further = whole[g].probability(seen, where) if whole else None
        model = fit_strokes(seen, known, kept, lesson.belief[kept], where, start=further)
        by_model[g, fold == number] = model.probability(tissue.points(out)[:, :width], section[out])

    with ThreadPoolExecutor(n_cores()) as pool:
        # the widest views take longest, so they come first
        tasks = [(number, g) for g in reversed(range(len(tissue.groups))) for number in np.unique(fold[fold >= 0])]
        for done in [pool.submit(tell, *task) for task in tasks]:
            done.result()
    return by_model[:, fold >= 0]


def model_weights(by_model: Sequence[np.ndarray], classes: Sequence[np.ndarray]) -> np.ndarray:
    """(g,) weights of models: those that recognise held-out strokes weigh more.

    Parameters
    ----------
    by_model, classes
        Of each deal of strokes to folds: (g, m, k) probabilities, and (m,) class of each stroke. Their mean counts.
    """
    each = zip(by_model, classes, strict=True)
    gain = np.mean([np.log(told[:, np.arange(len(drawn)), drawn] + LEAST).sum(axis=1) for told, drawn in each], axis=0)
    weights = np.exp(_HEED * (gain - gain.max()))
    return weights / weights.sum()
