"""What a mixture learns from: every stroke of a rare class, some of a common one, and tissue that nobody named."""

from __future__ import annotations

import numpy as np
import pytest

from multist.cluster.stroke_lesson import Lesson, held_out, model_weights
from multist.cluster.stroke_mixture import fit_strokes, products
from multist.cluster.stroke_views import ScaledViews


def drawn(most: int) -> Lesson:
    """Of 100 spots the even ones up to 60 have strokes, three of them of class 1."""
    strokes = np.arange(0, 60, 2)
    classes = np.where(np.isin(strokes, [10, 20, 58]), 1, 0)
    belief = np.column_stack([strokes, classes]).astype(float)
    return Lesson.drawn(strokes, classes, belief, 100, most, np.random.default_rng(0))


def test_of_few_spots_all_are_taken():
    lesson = drawn(1000)
    assert lesson.strokes.tolist() == list(range(0, 60, 2))
    assert sorted(lesson.rows.tolist()) == list(range(100))
    assert lesson.rows[:30].tolist() == lesson.strokes.tolist()


def test_of_many_a_class_with_few_strokes_keeps_them_all():
    lesson = drawn(12)
    assert lesson.strokes[lesson.classes == 1].tolist() == [10, 20, 58]
    assert (lesson.classes == 0).sum() == 12 // 2 and len(lesson.free) == 12
    assert (np.diff(lesson.strokes) > 0).all() and (np.diff(lesson.free) > 0).all()
    assert not set(lesson.free.tolist()) & set(range(0, 60, 2))
    # classes and beliefs go with their strokes
    np.testing.assert_array_equal(lesson.belief, np.column_stack([lesson.strokes, lesson.classes]))


def test_each_class_keeps_a_stroke_however_few_are_asked_for():
    assert sorted(drawn(1).classes.tolist()) == [0, 1]


def test_models_weigh_by_how_they_recognise_what_they_have_not_seen():
    held = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.5, 0.5]]])
    gain = np.array([np.log(0.901) + np.log(0.801), 2 * np.log(0.501)])
    expected = np.exp(0.05 * gain) / np.exp(0.05 * gain).sum()
    np.testing.assert_allclose(model_weights([held], [np.array([0, 1])]), expected)
    # an impossible stroke costs no more than one in a thousand
    assert model_weights([np.array([[[0.0, 1.0]], [[1.0, 0.0]]])], [np.array([0])])[0] > 0.4
    # the mean over deals counts, not their sum
    twice = model_weights([held, held], [np.array([0, 1])] * 2)
    np.testing.assert_allclose(twice, expected)
    other = np.mean([gain, np.log([0.101, 0.501])], axis=0)
    found = model_weights([held, held[:, :1]], [np.array([0, 1]), np.array([1])])
    np.testing.assert_allclose(found, np.exp(0.05 * other) / np.exp(0.05 * other).sum())


@pytest.fixture(scope="module")
def tissue() -> tuple[ScaledViews, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = np.arange(80) % 2
    views = [[kind[:, None] * 3 + rng.normal(size=(80, 2))], [kind[:, None] + rng.normal(size=(80, 3))]]
    return ScaledViews.of(views), kind


def test_held_out_strokes_are_judged_by_what_the_others_teach(tissue):
    views, kind = tissue
    strokes, section = np.arange(1, 80, 7), np.arange(80) // 3 % 2
    fold = np.array([-1, 0, 0, 1, 1, 1, -1, 0, 0, 1, 1, 1])
    belief = np.eye(2)[kind[strokes]]
    lesson = Lesson(strokes, kind[strokes], belief, np.setdiff1d(np.arange(80), strokes))
    found = held_out(views, lesson, strokes, fold, section)
    assert found.shape == (2, 10, 2)
    for number in (0, 1):
        out = strokes[fold == number]
        kept = np.flatnonzero(fold != number)  # what is left out is tissue that nobody named
        for group, width in enumerate(views.widths):
            points = views.points(slice(None))[:, :width]
            model = fit_strokes(points, products(points), strokes[kept], belief[kept], section)
            expected = model.probability(points[out], section[out])
            np.testing.assert_allclose(found[group, fold[fold >= 0] == number], expected, atol=1e-6)
