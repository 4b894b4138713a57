"""Which strokes are contradicted by all the others."""

from __future__ import annotations

import numpy as np

from multist.cluster.stroke_folds import deal_folds
from multist.cluster.stroke_lesson import CHECK, Lesson, belief_of, held_out, model_weights
from multist.cluster.stroke_mixture import softmax
from multist.cluster.stroke_views import ScaledViews

_FEWEST = 10  # strokes of a class that are doubted: of five, right ones were on small sections (ARI -.1 at worst)
_LENIENT = 0.9  # trust in the strokes that judge others, of which some may be wrong
_WRONG = np.array([0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3])  # shares that are tried
_COST = 1.0  # of log-likelihood that either has to gain: a parameter more (Akaike 1974)
_OVERCONFIDENCE = (1.0, 1.5, 2.0, 3.0, 4.0)  # temperatures that are tried


def doubtful_strokes(
    tissue: ScaledViews, strokes: np.ndarray, classes: np.ndarray, section: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(m,) bool. Strokes that are more probably wrong than right, as the others see it.

    Single spots are held out, so that a wrong one has right ones of the same stroke beside it. Strokes of tissue that
    looks different from what was drawn elsewhere are thus not doubted, nor are those of a class with fewer than ten:
    without one of them, too little is known of the class.

    Parameters
    ----------
    tissue
        Views.
    strokes, classes
        (m,) rows with a stroke, ascending, and (m,) class of each, from zero.
    section
        (n,) int codes from zero.
    rng
        Deals the strokes out to folds.
    """
    k = int(classes.max()) + 1
    doubted = np.zeros(len(strokes), dtype=bool)
    if k == 1:
        return doubted
    fold = deal_folds(np.zeros((len(strokes), 1)), classes, len(strokes), rng)
    fold[np.bincount(classes)[classes] < _FEWEST] = -1
    lesson = Lesson.drawn(strokes, classes, belief_of(classes, k, _LENIENT), len(section), CHECK, rng)
    told = np.flatnonzero(fold >= 0)
    if not len(told):
        return doubted
    by_model = held_out(tissue, lesson, strokes, fold, section)
    expected = np.tensordot(model_weights([by_model], [classes[told]]), by_model, 1)
    doubted[told] = probably_wrong(expected, classes[told]) > 0.5
    for name in range(k):
        if doubted[classes == name].all():  # a class needs a stroke
            doubted[classes == name] = False
    return doubted


def probably_wrong(unseen: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(m,) probability that a stroke has a wrong name, from the (m, k) probabilities found without it.

    A share of the strokes is named at random, and models claim too much by a temperature; the likelihood of what was
    drawn decides both together. Where overconfidence alone explains the contradictions nearly as well, the share is
    zero, and so are all probabilities.
    """
    k = unseen.shape[1]
    logs = np.log(np.maximum(unseen, 1e-12))
    best, probability = -np.inf, np.zeros(len(classes))
    for temperature in _OVERCONFIDENCE:
        as_drawn = softmax(logs / temperature)[np.arange(len(classes)), classes][:, None]
        wrong, right = _WRONG * (1 - as_drawn) / (k - 1), (1 - _WRONG) * as_drawn
        evidence = np.log(wrong + right).sum(axis=0) - _COST * ((_WRONG > 0) + float(temperature > 1))
        top = int(evidence.argmax())
        if evidence[top] > best:
            best, probability = evidence[top], (wrong / (wrong + right))[:, top]
    return probability
