"""One call: resolved once, written once or not at all, with what was decided."""

from __future__ import annotations

from importlib import import_module

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt
from multist._settings import logger
from multist.access import open_part, run
from multist.access.run import check_seed


@pytest.fixture
def table() -> ad.AnnData:
    rng = np.random.default_rng(0)
    return ad.AnnData(
        rng.poisson(1.0, (6, 3)).astype(np.float32),
        obs=pd.DataFrame({"size": np.arange(6.0), "old": 1}, index=list("uvwxyz")),
        obsm={"spatial": rng.random((6, 2)), "X_pca": rng.random((6, 4))},
        obsp={"spatial_connectivities": sparse.identity(6, format="csr")},
        uns={"multist": {"params": {"a": 1}, "decisions": {"earlier": np.array(["a line"])}}},
    )


def write_all(part) -> None:
    part.write(
        obs={"new": np.ones(6), "size": np.zeros(6)},
        obsm={"X_new": np.ones((6, 2))},
        obsp={"spatial_connectivities": sparse.csr_matrix((6, 6))},
        uns={"multist": {"more": 2}},
    )
    part.table.drop("obs", "old")
    part.table.drop("obsm", "X_pca")


def test_results_can_be_read_at_once_and_are_written_at_the_end(table):
    frame = table.obs
    with run(table, "test", image=False) as work:
        write_all(work.part)
        seen = work.part.table
        assert seen.obs["new"].sum() == 6 and seen.obs["size"].sum() == 0 and "old" not in seen.obs
        assert set(seen.obsm) == {"spatial", "X_new"} and len(seen.obsm) == 2
        assert seen.uns["multist"]["more"] == 2 and seen.uns["multist"]["params"] == {"a": 1}
        assert table.obs is frame and set(frame) == {"size", "old"} and set(table.obsm) == {"spatial", "X_pca"}
        assert frame["size"].tolist() == list(range(6))
    assert work.result is None
    assert set(table.obs) == {"new", "size"} and set(table.obsm) == {"spatial", "X_new"}
    assert table.obsp["spatial_connectivities"].nnz == 0
    assert table.uns["multist"]["params"] == {"a": 1} and table.uns["multist"]["more"] == 2


@pytest.mark.filterwarnings("error::anndata.ImplicitModificationWarning")
def test_a_view_becomes_a_table_of_its_own_when_results_are_written(table):
    view = table[:]
    with run(view, "test", image=False) as work:
        write_all(work.part)
        assert view.is_view
    assert not view.is_view and set(view.obs) == {"new", "size"} and set(view.obsm) == {"spatial", "X_new"}
    assert view.uns["multist"]["more"] == 2
    assert [line for line in view.uns["multist"]["decisions"]["test"] if "becomes a copy" in line]
    assert set(table.obs) == {"size", "old"} and "X_pca" in table.obsm and "more" not in table.uns["multist"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_call_leaves_a_view_a_view_and_copies_nothing(table, error, monkeypatch, caplog):
    copy_frame = pd.DataFrame.copy

    def copied(frame, deep=True):
        assert not deep, "nothing is to be copied for a call that fails"
        return copy_frame(frame, deep)

    view, frame = table[:4], table.obs
    for data in (view, table):
        with monkeypatch.context() as patched:
            patched.setattr(import_module("multist.access.run"), "copy_data", copied)
            patched.setattr(pd.DataFrame, "copy", copied)
            with pytest.raises(error), run(data, "test", image=False, copy=True) as work:
                work.part.write(obsm={"X_new": np.ones((data.n_obs, 2))}, uns={"multist": {"more": 2}})
                raise error
    assert view.is_view and table.obs is frame
    assert caplog.text.count("interrupted: the data is as it was") == 2 * (error is KeyboardInterrupt)
    assert "X_new" not in table.obsm and "more" not in table.uns["multist"]


def test_the_copy_gets_everything_and_the_original_nothing(table):
    with run(table, "test", image=False, copy=True) as work:
        write_all(work.part)
    assert "X_new" in work.result.obsm and "old" not in work.result.obs
    assert set(table.obs) == {"size", "old"} and "more" not in table.uns["multist"]


def test_what_is_said_is_kept_whether_or_not_it_is_shown(table, monkeypatch, capsys):
    monkeypatch.setattr(mt.settings, "verbosity", "error")
    with run(table, "test", image=False):
        logger.info("%d of %s", 3, "them")
        logger.warning("something surprising")
        logger.debug("a detail")
        logger.info("please wait", extra={"decision": False})
        logger.warning("something surprising")
    logger.info("after it")
    kept = table.uns["multist"]["decisions"]
    assert kept["test"].tolist() == ["3 of them", "something surprising"] and kept["earlier"].tolist() == ["a line"]
    assert table.uns["multist"]["schema"] == 1
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_decisions_go_through_files(table, form, tmp_path):
    for name, lines in (("several", ["one", "two words, and more"]), ("none", [])):
        with run(table, name, image=False):
            for line in lines:
                logger.info(line)
    path = tmp_path / f"a.{form}"
    getattr(table, f"write_{form}")(path)
    read = {"h5ad": ad.read_h5ad, "zarr": ad.read_zarr}[form](path).uns["multist"]["decisions"]
    assert list(map(str, read["several"])) == ["one", "two words, and more"] and len(read["none"]) == 0


@pytest.mark.parametrize("entry", ["neighbors", "spatial"])
def test_entries_of_others_are_not_mixed_with_results(table, entry):
    table.uns[entry] = {"params": {"n_neighbors": 15}}
    with (
        pytest.raises(ValueError, match=rf"uns\['{entry}'\] holds 'params' and is not of this package"),
        run(table, "test", key_added=entry, image=False),
    ):
        pass
    assert set(table.uns[entry]) == {"params"}
    with run(table, "test", key_added="mine", image=False):
        pass
    with run(table, "test", key_added="mine", image=False):
        pass
    assert "schema" in table.uns["mine"]


def test_coordinates_are_not_replaced_by_results(table):
    before = table.obsm["spatial"].copy()
    with pytest.raises(ValueError, match=r"obsm\['spatial'\] holds the coordinates"), run(table, "test") as work:
        work.part.write(obsm={"spatial": np.ones((6, 4))})
    np.testing.assert_array_equal(table.obsm["spatial"], before)


def test_lists_give_lists(table):
    other = table.copy()
    with run([table, other], "test", image=False, copy=True) as work:
        for part in work.parts:
            part.write(obs={"new": np.ones(6)})
    assert len(work.result) == 2 and all("new" in each.obs for each in work.result)
    for given, words in (([table, table], "the same object twice"), ([], "an empty list")):
        with pytest.raises(ValueError, match=words), run(given, "test", image=False):
            pass


@pytest.mark.slow
def test_spots_have_their_own_coordinates_without_a_second_look(tissue, tissue_table, monkeypatch):
    from multist.access import resolve

    for data in (tissue, tissue_table):
        plain = resolve(data, image=False)
        part = open_part(data, image=True)
        monkeypatch.setattr("multist.access.elements.element_spots", None)
        found = part.record.without_image()
        monkeypatch.undo()
        np.testing.assert_array_equal(found.xy, plain.xy)
        np.testing.assert_array_equal(found.diameter, plain.diameter)
        assert found.microns_per_pixel == plain.microns_per_pixel and found.images == plain.images
        assert not np.allclose(found.xy, part.record.xy) and found.table is part.table


@pytest.mark.parametrize(
    ("seed", "error", "words"),
    [
        (-1, ValueError, "from 0 to 4294967295; got -1"),
        (2**32, ValueError, "from 0 to 4294967295"),
        (1.0, TypeError, "whole number"),
        (True, TypeError, "whole number"),
    ],
)
def test_a_seed_is_what_every_generator_takes(seed, error, words):
    check_seed(0)
    check_seed(np.uint32(2**32 - 1))
    with pytest.raises(error, match=words):
        check_seed(seed)


@pytest.mark.parametrize("anew", [True, False])
def test_what_is_made_anew_in_the_same_call_is_not_said_to_be_removed(table, anew):
    table.uns["multist"]["params"] = {"expression_key": "X_pca"}
    table.obsm["X_multist"] = np.ones((6, 2))
    with run(table, "test", image=False) as work:
        work.part.write(obsm={"X_pca": np.zeros((6, 4))})
        if anew:
            work.part.write(obsm={"X_multist": np.zeros((6, 2))})
    assert ("X_multist" in table.obsm) == anew
    said = " ".join(table.uns["multist"]["decisions"]["test"])
    assert ("obsm['X_multist'] is removed: it was made from obsm['X_pca']" in said) != anew


def test_a_result_within_uns_that_is_made_anew_is_not_said_to_be_removed_either(table):
    table.obs["multist_domain"] = pd.Categorical(list("aabbcc"))
    table.uns["multist"]["ligrec"] = {"params": {"cluster_key": "multist_domain"}}
    with run(table, "test", image=False) as work:
        work.part.write(obs={"multist_domain": pd.Categorical(list("abcabc"))})
        work.part.write(uns={"multist": {"ligrec": {"params": {"cluster_key": "multist_domain"}}}})
    assert len(table.uns["multist"]["decisions"]["test"]) == 0
