from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import multist as mt

SHARED = Path(os.environ.get("MULTIST_PROBE", Path(__file__).parents[3] / "shared" / "probe.py"))


def tissue(n: int = 300, n_domains: int = 3, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates, and domains in stripes of which each runs through many blocks."""
    xy = np.random.default_rng(seed).uniform(size=(n, 2))
    return xy, np.array(list("abcdefgh"))[np.floor(xy[:, 0] * 4 * n_domains).astype(int) % n_domains]


def codes(truth: np.ndarray) -> np.ndarray:
    return (truth[:, None] == np.unique(truth)).astype(float)


def test_what_tells_the_domains_scores_one_and_noise_scores_chance():
    xy, truth = tissue(600)
    rng = np.random.default_rng(1)
    clear = codes(truth) + 0.05 * rng.normal(size=(600, 3))
    assert mt.metrics.probe(clear, truth, xy) == {"accuracy": 1.0, "balanced": 1.0}
    noise = mt.metrics.probe(rng.normal(size=(600, 4)), truth, xy)
    assert abs(noise["balanced"] - 1 / 3) < 0.1 and noise["accuracy"] < 0.5


def test_what_holds_in_one_place_only_does_not_count():
    # the place of a spot tells its domain to who has seen that place, but not elsewhere
    rng = np.random.default_rng(0)
    xy = np.stack(np.divmod(np.arange(400), 20), axis=1).astype(float)
    cell = (xy // 4).astype(int) @ np.array([5, 1])
    truth = rng.permutation(np.arange(25) % 2)[cell].astype(str)
    place = np.eye(25)[cell] + 0.01 * rng.normal(size=(400, 25))
    assert mt.metrics.probe(place, truth, xy)["accuracy"] < 0.7  # seen places would give 1


def test_a_rare_domain_that_is_missed_shows_in_the_balanced_score():
    xy, _ = tissue(500)
    truth = np.where(np.arange(500) % 20 == 0, "rare", "frequent")
    score = mt.metrics.probe(np.random.default_rng(0).normal(size=(500, 2)), truth, xy)
    assert score["accuracy"] > 0.9 and score["balanced"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_observations_without_a_truth_do_not_count():
    xy, truth = tissue()
    embedding = codes(truth) + np.random.default_rng(0).normal(size=(300, 3))
    some = truth.astype(object)
    some[:50] = "nan"
    expected = mt.metrics.probe(embedding[50:], truth[50:], xy[50:])
    embedding[0], xy[1] = np.nan, np.inf
    assert mt.metrics.probe(embedding, some, xy) == expected


def test_unit_names_and_further_coordinates_do_not_matter():
    xy, truth = tissue()
    embedding = codes(truth) + np.random.default_rng(0).normal(size=(300, 3))
    renamed = np.array([f"layer {name}" for name in truth], dtype=object)
    with_height = np.hstack([xy * 0.5e-3, np.zeros((300, 1))])
    assert mt.metrics.probe(embedding, renamed, with_height) == mt.metrics.probe(embedding, truth, xy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, t, xy: (e[:, 0], t, xy), r"shape \(n_obs, d\), not \(300,\)"),
        (lambda e, t, xy: (e, t, xy[:, :1]), r"shape \(n_obs, 2\), not \(300, 1\)"),
        (lambda e, t, xy: (e, t[1:], xy), "300 rows of embedding, 299 of truth and 300 of xy"),
        (lambda e, t, xy: (np.where(e > 0, np.nan, e), t, xy), "embedding holds values that are not finite"),
        (lambda e, t, xy: (e, t, np.where(xy > 0.5, np.inf, xy)), "xy holds values that are not finite"),
        (lambda e, t, xy: (e, np.full(300, np.nan), xy), "0 observations with a known domain"),
        (lambda e, t, xy: (e[:4], t[:4], xy[:4]), "fewer than 5 blocks"),
        (lambda e, t, xy: (e, np.full(300, "a"), xy), "two known domains are needed"),
    ],
)
def test_unusable_input_is_named(change, message):
    xy, truth = tissue()
    with pytest.raises(ValueError, match=message):
        mt.metrics.probe(*change(codes(truth), truth, xy))


@pytest.mark.slow
def test_it_is_the_shared_probe():
    if not SHARED.is_file():
        pytest.skip(f"no {SHARED.name} at {SHARED.parent}; set MULTIST_PROBE to compare with another")
    spec = importlib.util.spec_from_file_location("shared_probe", SHARED)
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    rng = np.random.default_rng(1)
    xy, truth = tissue(180, 3, seed=1)
    embedding = codes(truth) @ rng.normal(size=(3, 6)) + rng.normal(size=(180, 6))
    some = truth.astype(object)
    some[rng.random(180) < 0.1] = np.nan
    assert mt.metrics.probe(embedding, some, xy) == shared.probe(embedding, some, xy)
