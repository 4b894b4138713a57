"""Which column names the sections, also in calls that do not say it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.access import find_sections, resolve
from multist.access.run import run


@pytest.fixture
def table() -> ad.AnnData:
    """Two sections of six spots each, in one place."""
    y, x = np.mgrid[:2, :3].reshape(2, -1)
    obs = pd.DataFrame({"lib": np.repeat(["A", "B"], 6), "other": "one"}, index=[f"s{i}" for i in range(12)])
    return ad.AnnData(obs=obs, obsm={"spatial": np.tile(np.c_[x, y] * 10.0, (2, 1))})


def remember(table: ad.AnnData, library_key: str | None, key_added: str = "multist") -> None:
    with run(table, "test", image=False, library_key=library_key, key_added=key_added):
        pass


def names(table: ad.AnnData, library_key: str | None = None) -> tuple[str, ...]:
    assert resolve(table, library_key=library_key).section_names == find_sections(table, library_key)[1]
    return find_sections(table, library_key)[1]


def test_the_column_of_an_earlier_call_names_the_sections(table, capsys):
    assert names(table) == ("section",)
    remember(table, None)
    assert names(table) == ("section",) and "lib" not in capsys.readouterr().err
    remember(table, "lib")
    remember(table, None)  # which changes nothing about it
    assert names(table) == ("A", "B") and names(table, "other") == ("one",)
    assert table.uns["multist"]["library_key"] == "lib"
    assert "obs['lib'] tells the sections, as in an earlier call" in table.uns["multist"]["decisions"]["test"]


def first_of_two(table: ad.AnnData) -> None:
    remember(table, "other", key_added="second")


def without_the_column(table: ad.AnnData) -> None:
    del table.obs["lib"]


def with_rows_of_another_table(table: ad.AnnData) -> None:
    table.obs.loc["s3", "lib"] = None


@pytest.mark.parametrize("spoil", [first_of_two, without_the_column, with_rows_of_another_table])
def test_a_column_that_tells_no_sections_is_warned_of(table, spoil, caplog):
    remember(table, "lib")
    spoil(table)
    assert names(table) == ("section",)
    assert "earlier calls told the sections by library_key 'lib'" in caplog.text and "give library_key" in caplog.text


def test_an_empty_name_is_no_column(table):
    with pytest.raises(KeyError, match="library_key '' not found"):
        resolve(table, library_key="")


def test_a_step_without_coordinates_is_remembered_too(table):
    table = ad.AnnData(np.random.default_rng(0).poisson(3.0, (12, 30)).astype(np.float32), table.obs, obsm=table.obsm)
    mt.pp.embed_expression(table, n_comps=3, library_key="lib")
    assert names(table) == ("A", "B")


def test_somebody_elses_entry_names_nothing(table):
    table.uns["theirs"] = {"library_key": "lib"}
    assert names(table) == ("section",)


@pytest.mark.slow
def test_plots_and_outlines_go_by_it_without_being_told(table, tmp_path):
    table.obs["domain"] = np.tile(["left", "right"], 6)
    mt.pp.spatial_graph(table, library_key="lib")
    outlines = mt.tl.domain_shapes(table, "domain")
    assert outlines.area.sum() == pytest.approx(mt.tl.domain_shapes(table, "domain", library_key="lib").area.sum())
    assert len(mt.pl.domains(table, "domain", show=False)) == 2
    with pytest.raises(ValueError, match="several sections"):
        mt.tl.write_domains(table, tmp_path / "both.geojson", "domain")
