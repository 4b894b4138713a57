from __future__ import annotations

import numpy as np
import pytest

from multist.metrics import section_mixing


def cloud(n: int, *, at: float = 0.0, seed: int = 0) -> np.ndarray:
    """(n, 5) normal numbers around a place."""
    return np.random.default_rng(seed).normal(at, 1.0, (n, 5))


@pytest.mark.parametrize("sizes", [(500, 500), (900, 100), (960, 40), (400, 300, 300)])
def test_mixed_is_one_and_apart_is_zero_whatever_the_sizes(sizes: tuple[int, ...]) -> None:
    section = np.repeat([f"s{i}" for i in range(len(sizes))], sizes)
    mixed = section_mixing(cloud(1000), np.random.default_rng(1).permutation(section))
    apart = section_mixing(cloud(1000) + 100 * np.unique(section, return_inverse=True)[1][:, None], section)
    assert set(mixed) == {"ilisi"}
    assert mixed["ilisi"] > 0.9
    assert apart["ilisi"] == 0


def test_it_falls_with_the_shift() -> None:
    section = np.repeat(["a", "b"], 500)
    scores = [section_mixing(cloud(1000) + shift * (section == "b")[:, None], section)["ilisi"] for shift in (0, 1, 2)]
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2


def test_it_is_the_inverse_simpson_index() -> None:
    rng = np.random.default_rng(3)
    section = np.repeat([0, 1], [40, 20])
    points = rng.normal(size=(60, 2)) + section[:, None]
    inverse = []
    for i in range(60):
        near = np.argsort(((points - points[i]) ** 2).sum(axis=1))[1:8]
        inverse.append(1 / ((section[near] == 0).mean() ** 2 + (section[near] == 1).mean() ** 2))
    drawn = 5 / 9 + (1 - 5 / 9) / 7
    expected = (np.mean(inverse) - 1) / (1 / drawn - 1)
    assert section_mixing(points, section, n_neighbors=7)["ilisi"] == pytest.approx(expected)


def test_erasing_a_domain_of_one_section_is_not_rewarded_within_domains() -> None:
    section = np.repeat(["a", "b"], 400)
    domain = np.array(["shared"] * 800, dtype=object)
    domain[:150] = "own"
    kept = cloud(800) + 100 * (domain == "own")[:, None]
    erased = cloud(800)
    own, none = (section_mixing(points, section, domain=domain) for points in (kept, erased))
    assert none["ilisi"] > own["ilisi"] + 0.1
    assert none["ilisi_within"] == pytest.approx(own["ilisi_within"])
    assert own["ilisi_within"] > 0.9


def test_domains_count_by_their_size_and_not_without_a_name() -> None:
    section = np.tile(["a", "b"], 400)
    domain = np.repeat(["mixed", "apart"], [600, 200]).astype(object)
    points = cloud(800) + 100 * (domain == "apart")[:, None] * (1 + (section == "b"))[:, None]
    score = section_mixing(points, section, domain=domain)["ilisi_within"]
    assert score == pytest.approx(0.75, abs=0.02)
    domain[600:] = None
    assert section_mixing(points, section, domain=domain)["ilisi_within"] > 0.95
    assert np.isnan(section_mixing(points, section, domain=section)["ilisi_within"])


def test_a_small_domain_that_is_apart_scores_zero() -> None:
    section = np.repeat(["a", "b"], [500, 30])
    points = cloud(530) + 100 * (section == "b")[:, None]
    assert section_mixing(points, section, domain=["one"] * 530) == {"ilisi": 0, "ilisi_within": 0}


def test_equal_observations_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    section = np.tile(["a", "b"], 250)
    twice = np.repeat(cloud(250), 2, axis=0)
    assert 0 <= section_mixing(np.zeros((500, 2)), section)["ilisi"] <= 1
    whole = section_mixing(twice, section)
    monkeypatch.setattr("multist.metrics._mixing._OBSERVATIONS_AT_ONCE", 7)
    assert section_mixing(twice, section) == pytest.approx(whole)


def test_bad_input_is_named() -> None:
    points, section = cloud(40), np.repeat(["a", "b"], 20)
    with pytest.raises(ValueError, match="section has 3 entries for 40"):
        section_mixing(points, ["a", "b", "a"])
    with pytest.raises(ValueError, match="domain has 1 entries"):
        section_mixing(points, section, domain=["x"])
    with pytest.raises(ValueError, match="no section"):
        section_mixing(points, [None, *section[1:]])
    with pytest.raises(ValueError, match="1 of 40 observations have no section"):
        section_mixing(points, [np.nan, *section[1:]])
    with pytest.raises(ValueError, match="finite"):
        section_mixing(np.full((40, 2), np.nan), section)
    with pytest.raises(ValueError, match="n_dims"):
        section_mixing(points[:, 0], section)
    with pytest.raises(ValueError, match="n_neighbors"):
        section_mixing(points, section, n_neighbors=1)
    with pytest.raises(ValueError, match="two sections"):
        section_mixing(points, ["a"] * 40)
    with pytest.raises(ValueError, match="two sections"):
        section_mixing(points, np.repeat(["a", "b"], [35, 5]))
