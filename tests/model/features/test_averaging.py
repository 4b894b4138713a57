"""How much a spot takes of its surroundings is read off the data: noise goes, what space structures stays."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from multist.model.features import averaging
from multist.model.features.averaging import STEPS, Averaging
from multist.model.features.neighbourhood import neighbourhood_mean, smooth


def square_lattice(side: int) -> tuple[np.ndarray, sp.csr_matrix]:
    """Places, and up to four neighbours each."""
    line, one = sp.diags([1.0, 1.0], [-1, 1], shape=(side, side)), sp.identity(side)
    xy = np.stack(np.divmod(np.arange(side**2), side), axis=1).astype(float)
    return xy, sp.csr_matrix(sp.kron(line, one) + sp.kron(one, line))


def hexagonal(rows: int, columns: int) -> sp.csr_matrix:
    """Six neighbours each, as on a Visium slide."""
    place = np.arange(rows * columns).reshape(rows, columns)
    pairs = [np.stack([place[:, :-1], place[:, 1:]], -1).reshape(-1, 2)]
    for row in range(rows - 1):
        upper, lower = place[row], place[row + 1]
        pairs.append(np.stack([upper, lower], -1))
        pairs.append(np.stack([upper[:-1], lower[1:]] if row % 2 else [upper[1:], lower[:-1]], -1))
    start, end = np.concatenate(pairs).T
    half = sp.coo_matrix((np.ones(len(start)), (start, end)), shape=(place.size, place.size))
    return sp.csr_matrix(half + half.T)


def slow_fields(side: int, n: int) -> np.ndarray:
    """(side * side, n) waves of unit variance, a few to a section."""
    rng, xy = np.random.default_rng(0), square_lattice(side)[0] / side
    waves = np.sin(xy @ rng.normal(scale=6, size=(2, n)) + rng.uniform(0, 6, n))
    return (waves - waves.mean(axis=0)) / waves.std(axis=0)


def estimate(features: np.ndarray, adjacency: sp.csr_matrix, **kwargs) -> np.ndarray:
    return Averaging.fit(features, adjacency, **kwargs)(features, adjacency)


@pytest.mark.parametrize("shape", [(14, 19), (72, 70)], ids=["266 spots", "5,040 spots"])
def test_noise_keeps_nothing_of_its_own_value(shape):
    near = hexagonal(*shape)
    noise = np.random.default_rng(0).normal(size=(near.shape[0], 12))
    fitted = Averaging.fit(noise, near)
    assert fitted.structured.mean() < 0.1 and fitted.structured.max() < 0.3
    assert np.abs(fitted.weights[:, 0]).mean() < 0.12
    # what is left is less than what is there by far
    assert (fitted(noise, near) ** 2).mean() < 0.12 * (noise**2).mean()


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0, 4.0])
def test_of_a_smooth_field_noise_is_averaged_away_better_than_by_any_number_of_hops(noise):
    near, truth = square_lattice(40)[1], slow_fields(40, 8)
    seen = truth + noise * np.random.default_rng(0).normal(size=truth.shape)
    hops = [((smooth(seen - seen.mean(0), near, n) - truth) ** 2).mean() for n in range(12)]
    found = ((estimate(seen, near) - truth) ** 2).mean()
    assert found < min(hops)
    assert found < 0.5 * hops[0]


def test_thin_layers_keep_more_of_their_own_value_than_thick_ones():
    side, rng = 48, np.random.default_rng(0)
    (x, _), near = square_lattice(side)[0].T, square_lattice(side)[1]
    thin, thick = (np.where(x // width % 2, 1.0, -1.0) for width in (2, 12))
    seen = np.stack([thin, thick], axis=1) + 0.7 * rng.normal(size=(side * side, 2))
    fitted = Averaging.fit(seen, near)
    assert fitted.weights[0, 0] > fitted.weights[1, 0] + 0.1
    # the thin ones are not averaged away: they are told better than by a mean over each spot and its neighbours
    found, mean = fitted(seen, near)[:, 0], smooth(seen, near, 1)[:, 0]
    assert ((found - thin) ** 2).mean() < 0.8 * ((mean - thin) ** 2).mean()
    assert ((found - thin) ** 2).mean() < ((seen[:, 0] - thin) ** 2).mean()


@pytest.mark.parametrize(
    ("lattice", "width", "noise"),
    [
        ("square", 1, 0.7),
        ("square", 2, 0.3),
        ("square", 3, 1.5),
        ("square", 24, 0.7),
        ("hexagonal", 1, 0.3),
        ("hexagonal", 2, 1.5),
        ("hexagonal", 3, 0.7),
        ("hexagonal", 24, 1.5),
    ],
)
def test_stripes_of_any_width_are_told_no_worse_than_by_the_spots_themselves_or_a_mean(lattice, noise, width):
    near = square_lattice(48)[1] if lattice == "square" else hexagonal(48, 48)
    truth = np.where(np.arange(48 * 48) // 48 // width % 2, 1.0, -1.0)[:, None]
    seen = truth + noise * np.random.default_rng(0).normal(size=truth.shape)
    error = [((found - truth) ** 2).mean() for found in (estimate(seen, near), seen, np.zeros_like(seen))]
    assert error[0] < min(error[2], 1.7 * error[1])
    if width > 1:
        assert error[0] < error[1]
        # stripes three wide are told a quarter worse than by one mean on a square lattice: more noise is taken for
        # structure
        assert error[0] < 1.3 * ((smooth(seen, near, 1) - truth) ** 2).mean()


def test_what_is_structured_is_told_apart_from_noise():
    near, truth = square_lattice(40)[1], slow_fields(40, 4)
    seen = truth + np.array([0.5, 1, 2, 4]) * np.random.default_rng(0).normal(size=truth.shape)
    expected = 1 / (1 + np.array([0.5, 1, 2, 4]) ** 2)
    np.testing.assert_allclose(Averaging.fit(seen, near).structured, expected, atol=0.08)


def test_a_constant_factor_is_nothing_and_no_obstacle():
    near, truth = square_lattice(20)[1], slow_fields(20, 3)
    seen = np.column_stack([truth[:, 0], np.full(400, 7.0), truth[:, 1:]])
    fitted = Averaging.fit(seen, near)
    found = fitted(seen, near)
    assert np.isfinite(fitted.weights).all() and np.isfinite(fitted.structured).all()
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-9)
    np.testing.assert_allclose(found[:, [0, 2, 3]], estimate(truth, near), atol=1e-9)


@pytest.mark.parametrize("what", ["no edges", "two spots", "one spot", "some alone"])
def test_graphs_that_say_little(what):
    n = {"two spots": 2, "one spot": 1}.get(what, 100)
    near = square_lattice(10)[1].tolil() if n == 100 else sp.lil_matrix((n, n))
    if what == "no edges":
        near = sp.lil_matrix((n, n))
    elif what == "two spots":
        near[0, 1] = near[1, 0] = 1
    elif what == "some alone":
        for spot in (0, 50):
            near[spot], near[:, spot] = 0, 0
    found = estimate(np.random.default_rng(0).normal(size=(n, 3)), sp.csr_matrix(near))
    assert found.shape == (n, 3) and np.isfinite(found).all()


def test_sections_without_edges_between_them_are_estimated_each_by_itself():
    one, truth = square_lattice(20)[1], slow_fields(20, 4)
    near = sp.csr_matrix(sp.block_diag([one, one]))
    rng = np.random.default_rng(0)
    first, second = (truth + rng.normal(size=truth.shape) for _ in range(2))
    fitted = Averaging.fit(np.concatenate([first, second]), near)
    found = fitted(np.concatenate([first, second]), near)
    np.testing.assert_allclose(found[:400], fitted(first, one), atol=1e-6)
    changed = fitted(np.concatenate([first, second + 100]), near)
    np.testing.assert_allclose(changed[:400], found[:400], atol=1e-6)


def test_blocks_of_columns_are_the_whole(monkeypatch):
    near, seen = square_lattice(20)[1], slow_fields(20, 11) + np.random.default_rng(0).normal(size=(400, 11))
    whole = Averaging.fit(seen, near)
    monkeypatch.setattr(averaging, "_column_blocks", lambda x: [slice(i, min(i + 3, 11)) for i in range(0, 11, 3)])
    blocks = Averaging.fit(seen, near)
    for one, other in zip(whole, blocks, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(whole(seen, near), blocks(seen, near), atol=1e-9)


def test_of_many_spots_some_are_looked_at_and_the_rest_is_as_before(monkeypatch):
    near, truth = square_lattice(45)[1], slow_fields(45, 9)
    seen = truth + np.random.default_rng(0).normal(size=truth.shape)
    exact = estimate(seen, near)
    monkeypatch.setattr(averaging, "ENOUGH", 1200)
    assert len(averaging._column_blocks(seen)) == 2
    found = estimate(seen.astype(np.float32), near)
    assert found.dtype == np.float32
    assert ((found - exact) ** 2).mean() < 0.01 * (exact**2).mean()


def test_attention_that_tells_domains_takes_the_place_of_plain_averages():
    side, rng = 40, np.random.default_rng(0)
    (x, _), near = square_lattice(side)[0].T, square_lattice(side)[1]
    domain = x // 4 % 2
    truth = np.where(domain, 1.0, -1.0)[:, None]
    seen = truth + rng.normal(size=(side * side, 1))
    same = near.multiply(sp.csr_matrix(domain[:, None] == domain)).tocsr()
    told = neighbourhood_mean(same, with_self=False)
    fitted = Averaging.fit(seen, near, told)
    assert fitted.weights.shape == (1, 2 + len(STEPS))
    with_attention = ((fitted(seen, near, told) - truth) ** 2).mean()
    assert with_attention < 0.8 * ((estimate(seen, near) - truth) ** 2).mean()


def test_same_seed_same_bits_and_the_global_random_state_is_left_alone():
    near, seen = square_lattice(12)[1], np.random.default_rng(0).normal(size=(144, 4))
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (Averaging.fit(seen, near, random_state=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(first.weights, again.weights)
    assert (first.weights != other.weights).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def structured_of(values: np.ndarray, adjacency: sp.csr_matrix) -> list[float]:
    return averaging._structured_variance(np.array(values, dtype=float), adjacency, np.random.default_rng(0)).tolist()


def test_the_structured_variance_by_hand():
    """Six spots in a ring: the first ring holds the two beside a spot, the second the two after them."""
    ring = sp.csr_matrix(np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1))
    steps = np.array([3.0, 2, -1, -3, -2, 1])  # variance 28 / 6
    near = sum(a * (b + c) / 2 for a, b, c in zip(steps, np.roll(steps, 1), np.roll(steps, -1), strict=True)) / 6
    far = sum(a * (b + c) / 2 for a, b, c in zip(steps, np.roll(steps, 2), np.roll(steps, -2), strict=True)) / 6
    assert (near, far) == (14 / 6, -14 / 6)
    slow = np.array([3.0, 3, 0, -3, -3, 0])  # variance 6, first ring 3, second -3
    fine = np.array([1.0, -1, 1, -1, 1, -1])  # first ring -1, second 1
    values = np.column_stack([steps, slow, fine, np.zeros(6)])
    # where the second ring holds nothing, the first counts twice, but no more than there is
    np.testing.assert_allclose(structured_of(values, ring), [28 / 6, 6, 0, 0])


def test_a_steep_fall_from_ring_to_ring_goes_on_to_the_spot_itself():
    """On a long ring a wave of which the rings hold ``cos`` of one step and two, and noise that neither holds."""
    n = 24
    ring = sp.csr_matrix(np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1))
    angle = 2 * np.pi * np.arange(n) / n
    wave = np.cos(angle)
    noise = np.cos(3 * angle) + np.cos(9 * angle)  # turns by an eighth and by three a step: neither ring holds it
    near, far = 0.5 * np.cos(2 * np.pi / n), 0.5 * np.cos(4 * np.pi / n)
    assert structured_of((wave + noise)[:, None], ring)[0] == pytest.approx(near**2 / far)
    assert structured_of(wave[:, None], ring)[0] == pytest.approx(0.5)  # no more than there is
    # spots without neighbours say nothing of it
    alone = sp.block_diag([ring, sp.csr_matrix((n, n))], format="csr")
    both = np.concatenate([wave + noise, 5 * noise])[:, None]
    assert structured_of(both, alone)[0] == pytest.approx(near**2 / far, rel=1e-6)


def test_the_averages_are_those_of_the_matrices():
    near = square_lattice(6)[1]
    values = np.random.default_rng(0).normal(size=(36, 2))
    first, mean = (neighbourhood_mean(near, with_self=own).toarray().astype(float) for own in (False, True))
    told = sp.csr_matrix(np.roll(np.eye(36), 5, axis=0))
    found = averaging._averages(values, near, told)
    expected = [values, np.roll(values, 5, axis=0)]
    expected += [np.linalg.matrix_power(mean, step - 1) @ first @ values for step in STEPS]
    assert len(found) == len(expected) == 7
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert len(averaging._averages(values, near, None)) == 6


def test_the_estimate_is_the_weighted_sum_of_the_averages():
    near = square_lattice(6)[1]
    values = np.random.default_rng(0).normal(size=(36, 2))
    weights = np.random.default_rng(1).normal(size=(2, 6))
    found = Averaging(np.array([1.0, -2.0]), weights, np.ones(2))(values, near)
    stack = averaging._averages(values - [1.0, -2.0], near, None)
    expected = sum(weights[:, place] * each for place, each in enumerate(stack))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("signs", "off"), [(averaging._MOST_PROBES, 1e-3), (4000, 1e-4)])
def test_weights_solve_the_equations_of_kriging(monkeypatch, signs, off):
    """With 4000 random signs, what returns to a spot is known to a thousandth; with as many as usual, well enough."""
    monkeypatch.setattr(averaging, "_MOST_PROBES", signs)
    near = square_lattice(12)[1]
    first, mean = (neighbourhood_mean(near, with_self=own).toarray().astype(float) for own in (False, True))
    powers = [np.eye(144), *(np.linalg.matrix_power(mean, step - 1) @ first for step in STEPS)]
    returned = np.array([np.trace(each) / 144 for each in powers])
    seen = slow_fields(12, 3) * [2, 1, 0.2] + np.random.default_rng(0).normal(size=(144, 3))
    fitted = Averaging.fit(seen, near)
    np.testing.assert_allclose(fitted.center, seen.mean(axis=0))
    values = seen - seen.mean(axis=0)
    structured = structured_of(values, near)
    for column in range(3):
        stack = np.stack([each @ values[:, column] for each in powers])
        covariance = stack @ stack.T / 144
        ridged = covariance + 1e-3 * np.trace(covariance) / 6 * np.eye(6)
        most = 1 / (returned @ np.linalg.solve(ridged, returned))
        noise = np.clip(covariance[0, 0] - structured[column], 0, most)
        assert fitted.structured[column] == pytest.approx(1 - noise / covariance[0, 0], abs=0.02)
        expected = np.linalg.solve(ridged, covariance[0] - returned * noise)
        assert (((fitted.weights[column] - expected) @ stack) ** 2).mean() < off * covariance[0, 0]


def test_many_spots_are_averaged_eight_columns_at_a_time(monkeypatch):
    assert averaging._column_blocks(np.zeros((5, 19))) == [slice(0, 19)]
    monkeypatch.setattr(averaging, "ENOUGH", 5)
    assert averaging._column_blocks(np.zeros((5, 19))) == [slice(0, 19)]
    assert averaging._column_blocks(np.zeros((6, 19))) == [slice(0, 8), slice(8, 16), slice(16, 19)]
