"""Domains that touch, and how long their borders are."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from multist.access import resolve
from multist.tl.borders._contacts import border_lengths, domain_codes, find_contacts, within_reach


def path_graph(n: int) -> sparse.csr_matrix:
    return sparse.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1], format="csr")


def test_contacts_count_joins_once_and_leave_out_spots_without_domain():
    codes = np.array([0, 0, 1, -1, 2, 2, 0])
    assert find_contacts(path_graph(7), codes) == [(0, 1, 1), (0, 2, 1)]
    one_sided = sparse.triu(path_graph(7))
    assert find_contacts(one_sided, codes) == [(0, 1, 1), (0, 2, 1)]


def test_measurements_are_no_domains_and_whole_numbers_are():
    table = ad.AnnData(obs=pd.DataFrame({"depth": [0.1, 0.25, 0.9], "region": [2.0, np.nan, 1.0]}, index=list("abc")))
    with pytest.raises(ValueError, match=r"obs\['depth'\] holds measurements, such as 0.1, not names of domains"):
        domain_codes(table, "depth")
    assert domain_codes(table, "region")[0].tolist() == [1, -1, 0]


def test_reach_counts_steps():
    for steps in (1, 2, 3):
        reached = within_reach(path_graph(9), steps).toarray()
        assert np.flatnonzero(reached[4]).tolist()[0] == 4 - steps
        assert set(np.unique(reached)) == {0, 1}
    assert within_reach(path_graph(9), 1)[4].nnz == 2


def hexagonal(n: int) -> np.ndarray:
    row, column = np.divmod(np.arange(n * n), n)
    return np.column_stack([column + row % 2 / 2, row * 3**0.5 / 2])


def lengths(xy: np.ndarray, codes: np.ndarray, section: np.ndarray | None = None, **spatial) -> tuple[np.ndarray, str]:
    obs = pd.DataFrame({"section": "a" if section is None else section}, index=np.arange(len(xy)).astype(str))
    adata = ad.AnnData(np.zeros((len(xy), 1)), obs=obs, obsm={"spatial": xy}, uns=spatial)
    record = resolve(adata, library_key="section", image=False)
    places, unit = record.in_microns()
    return border_lengths(places, record.section, codes), unit


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0, 10, 20, 30, 45, 90])
def test_a_straight_border_on_a_lattice_has_its_length_in_any_direction(angle: float):
    xy = hexagonal(60) * 7.0
    center, turn = xy.mean(axis=0), np.radians(angle)
    offset = xy - center - [0.3, 0.2]
    along, across = offset @ [np.cos(turn), np.sin(turn)], offset @ [-np.sin(turn), np.cos(turn)]
    inside = np.abs(along) < 20 * 7.0
    codes = np.where(inside, (across > 0).astype(int), 2)
    found, unit = lengths(xy, codes)
    assert unit == "coordinates"
    assert found[0, 1] == pytest.approx(40 * 7.0, rel=0.13)  # 4/pi is the mean over directions


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "error"), [(False, 0.05), (True, 0.12)])
def test_a_circle_has_its_circumference(cells: bool, error: float):
    xy = np.random.default_rng(0).uniform(0, 60, (3600, 2)) if cells else hexagonal(60)
    codes = (np.linalg.norm(xy - xy.mean(axis=0), axis=1) < 18).astype(int)
    scale = {"spatial": {"a": {"images": {}, "scalefactors": {"microns_per_pixel": 3.0}}}}
    found, unit = lengths(xy, codes, **scale)
    assert unit == "um"
    assert found[0, 1] == found[1, 0] == pytest.approx(2 * np.pi * 18 * 3, rel=error)


def test_sections_add_up_and_do_not_touch_each_other():
    xy = np.concatenate([hexagonal(20), hexagonal(20) + [10, 10]])
    section = np.repeat(["a", "b"], 400)
    halves = (hexagonal(20)[:, 1] > 8).astype(int)
    one = lengths(hexagonal(20), halves)[0][0, 1]
    both, _ = lengths(xy, np.concatenate([halves, halves]), section)
    assert both[0, 1] == pytest.approx(2 * one)
    apart, _ = lengths(xy, np.repeat([0, 1], 400), section)
    assert apart[0, 1] == 0


def test_the_border_of_a_row_of_spots_is_as_long_as_one_spot_is_wide():
    found, _ = lengths(np.column_stack([3 * np.arange(12.0), np.zeros(12)]), np.repeat([0, 1], 6))
    assert found[0, 1] == pytest.approx(3 * np.pi / 4)


def test_one_domain_has_no_border():
    assert (lengths(hexagonal(5), np.zeros(25, dtype=int))[0] == 0).all()
