"""Numbers that lie: each is warned of once, in words that say what to do, and kept beside the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt
from multist.model.config import MultiSTConfig


def glass(table: ad.AnnData) -> None:
    image = table.uns["spatial"]["tissue"]["images"]["hires"]
    image[:, : 3 * image.shape[1] // 4] = 240


def white(table: ad.AnnData) -> None:
    table.uns["spatial"]["tissue"]["images"]["hires"][:] = 240


def pieces(table: ad.AnnData) -> None:
    halves = np.arange(table.n_obs) // 72
    join = sparse.csr_matrix((halves[:, None] == halves).astype(np.float32))
    table.obsp["spatial_connectivities"] = join


def beside_the_tissue(table: ad.AnnData) -> None:
    table.obs["in_tissue"] = (np.arange(table.n_obs) >= 10).astype(int)


def without_molecules(table: ad.AnnData) -> None:
    table.X = sparse.csr_matrix(table.X.toarray() * (np.arange(table.n_obs) >= 7)[:, None])


def two_sections_in_one_place(table: ad.AnnData) -> None:
    table.obs["piece"] = pd.Categorical(np.repeat(["first", "second"], 72))
    first = table.obsm["spatial"][:72]
    turned = (first - first.mean(axis=0)) @ [[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]]
    table.obsm["spatial"] = np.concatenate([first, turned + first.mean(axis=0)])


def sections_above_one_another(table: ad.AnnData) -> None:
    table.obsm["spatial"] = np.column_stack([table.obsm["spatial"], np.repeat([0.0, 5000.0], 72)])


def all_alike(table: ad.AnnData) -> None:
    table.obsm["X_pca"] = np.ones((table.n_obs, 4))


def any_strokes(table: ad.AnnData) -> None:
    rng = np.random.default_rng(0)
    named = np.where(np.arange(table.n_obs) % 3 == 0, rng.choice(["a", "b", "c"], table.n_obs), None)
    table.obs["annotation"] = pd.Categorical(named)


def noise(table: ad.AnnData) -> None:
    rng = np.random.default_rng(1)
    table.obsm["X_histology"] = rng.normal(size=(table.n_obs, 12))


def black(table: ad.AnnData) -> None:
    table.uns["spatial"]["tissue"]["images"]["hires"][:] = 0


def fluorescent(table: ad.AnnData) -> None:
    image = table.uns["spatial"]["tissue"]["images"]["hires"]
    image[:] = (255 - image) * np.array([0, 0, 1], np.uint8)


def coarse(table: ad.AnnData) -> None:
    table.uns["spatial"]["tissue"]["scalefactors"]["spot_diameter_fullres"] = 4.0


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def decisions(table: ad.AnnData, function: str) -> list[str]:
    return list(table.uns["multist"]["decisions"][function])


class Doubt(NamedTuple):
    spoil: Callable[[ad.AnnData], None]
    options: dict[str, Any]
    says: str
    advises: str


PLAIN = {"n_domains": 3, "use_image": False}
SEEN = {"n_domains": 3}
DOUBTS = {
    "most spots on glass": Doubt(glass, SEEN, "spots of section 'tissue' lie on glass", "use_image=False"),
    "all spots on glass": Doubt(white, SEEN, "144 of 144 spots of section 'tissue' lie on glass", "scale factor"),
    "image of nothing": Doubt(noise, SEEN, "the image adds nothing", "expression and space alone"),
    "black image": Doubt(black, SEEN, "black under all spots of section 'tissue'", "image_key"),
    "fluorescence": Doubt(fluorescent, SEEN, "fluorescence by its colours under the spots of section", "image_key"),
    "image too coarse": Doubt(coarse, SEEN, "a spot is only 4.0 pixels wide", "use_image=True"),
    "sections that nobody named": Doubt(
        two_sections_in_one_place, PLAIN, "obs['piece'] has 2 values whose spots lie over", "library_key='piece'"
    ),
    "spots that are all alike": Doubt(all_alike, PLAIN, "only 1 different point, ", "ask for fewer"),
    "strokes at random": Doubt(
        any_strokes, {"labels_key": "annotation", "use_image": False}, "strokes contradict each other", "trust="
    ),
}


def assert_said_once_and_kept(table: ad.AnnData, caplog: pytest.LogCaptureFixture, says: str, advises: str) -> None:
    said = [line for line in warnings_in(caplog) if says in line]
    assert len(said) == 1 and advises in said[0]
    assert [*decisions(table, "multist_domains"), *decisions(table, "cluster_domains")].count(said[0]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", DOUBTS)
def test_a_doubtful_result_is_warned_of_once_and_the_warning_kept(name, table, quick, caplog):
    doubt = DOUBTS[name]
    doubt.spoil(table)
    mt.tl.multist_domains(table, config=quick, device="cpu", **doubt.options)
    assert_said_once_and_kept(table, caplog, doubt.says, doubt.advises)


@pytest.mark.slow
def test_each_of_several_doubts_is_warned_of_once_and_the_warning_kept(table, quick, caplog):
    for spoil in (pieces, beside_the_tissue, without_molecules, sections_above_one_another):
        spoil(table)
    mt.tl.multist_domains(table, config=quick, device="cpu", **PLAIN)
    for says, advises in (
        ("is in 2 pieces, the largest of 72 of 144 spots", "pp.spatial_graph"),
        ("10 of 144 spots lie beside the tissue", "adata[adata.obs['in_tissue'] == 1]"),
        ("7 of 144 spots have no molecule in X", "leave them out"),
        ("third column of obsm['spatial'] of section 'tissue' spans 5000", "library_key"),
    ):
        assert_said_once_and_kept(table, caplog, says, advises)


@pytest.mark.slow
def test_of_several_objects_each_is_told(table, quick, caplog):
    other = table.copy()
    for each in (table, other):
        beside_the_tissue(each)
    mt.tl.multist_domains([table, other], 3, config=quick, use_image=False, device="cpu")
    said = [line for line in warnings_in(caplog) if "beside the tissue" in line]
    assert [line[:9] for line in said] == ["data[0]: ", "data[1]: "]


@pytest.mark.slow
def test_what_starts_from_domains_tells_of_spots_beside_the_tissue(finished, caplog):
    beside_the_tissue(finished)
    pairs = pd.DataFrame({"source": finished.var_names[:1], "target": finished.var_names[1:2]})
    mt.tl.border_sharpness(finished, n_null=38)
    mt.tl.interactions(finished, pairs, n_perms=10)
    mt.tl.pseudotime(finished)
    for function in ("border_sharpness", "interactions", "pseudotime"):
        assert "10 of 144 spots lie beside the tissue" in "\n".join(decisions(finished, function))


def test_a_third_coordinate_with_a_gap_or_like_noise(table, caplog):
    sections_above_one_another(table)
    table.obsm["spatial"][5, 2] = np.nan
    mt.pp.spatial_graph(table)
    assert "spans 5000 and is left aside" in caplog.text
    caplog.clear()
    table.obsm["spatial"][:, 2] = np.linspace(0, 1, table.n_obs)  # of a section as thick as one cell
    mt.pp.spatial_graph(table)
    assert "third column" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("options", [PLAIN, {"labels_key": "annotation", "use_image": False}], ids=str)
def test_of_sound_tissue_nothing_is_said(table, options, caplog):
    mt.tl.multist_domains(table, device="cpu", **options)
    assert warnings_in(caplog) == []


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "its own": lambda own, other: own,
    "another section's": lambda own, other: other,
    "a spot further": lambda own, other: np.roll(own, 20, axis=1),
}


@pytest.mark.full_training
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_image_of_another_section_speaks_and_its_own_keeps_silent(new_mingled, way, caplog):
    table, other = new_mingled(0), new_mingled(1)
    images = table.uns["spatial"]["tissue"]["images"]
    images["hires"] = np.ascontiguousarray(
        WAYS[way](images["hires"], other.uns["spatial"]["tissue"]["images"]["hires"])
    )
    mt.tl.multist_domains(table, 3, config=MultiSTConfig(epochs=10), device="cpu")
    said = [line for line in warnings_in(caplog) if "the image adds nothing" in line]
    assert len(said) == (way != "its own")
    assert said == warnings_in(caplog)  # nor is anything else wrong with it
    assert set(said) <= set(decisions(table, "multist_domains"))


@pytest.mark.slow
def test_a_dark_image_is_not_a_black_one(new_mingled, quick, caplog):
    table = new_mingled(0)
    table.uns["spatial"]["tissue"]["images"]["hires"] //= 4
    mt.tl.multist_domains(table, 3, config=quick, device="cpu")
    assert "black" not in caplog.text and "X_histology" in table.obsm


def test_domains_that_are_empty_speak(table, caplog):
    table.obsm["X_rounded"] = np.repeat(np.eye(3), 48, axis=0)
    table.obsm["X_rounded"][:2, 0] += [1e-9, -1e-9]
    mt.tl.cluster_domains(table, 5, use_rep="X_rounded")
    (said,) = warnings_in(caplog)
    assert "of 5 domains have 5 spots or more of their own" in said and "ask for fewer" in said
    assert decisions(table, "cluster_domains").count(said) == 1
    assert table.obs["multist_domain"].nunique() == 5


@pytest.mark.slow
def test_a_line_that_every_stage_says_is_said_once(finished, capsys):
    finished.obsp["spatial_connectivities"].data[:3] = np.nan
    capsys.readouterr()
    mt.tl.multist_domains(finished, 3, use_image=False, device="cpu")
    assert capsys.readouterr().err.count("NaN or infinite, and left out") == 1


@pytest.fixture
def gradient(table) -> ad.AnnData:
    """Bands along which an embedding changes steadily."""
    y = table.obsm["spatial"][:, 1]
    noise = np.random.default_rng(0).normal(size=(table.n_obs, 3))
    table.obsm["X_steady"] = np.column_stack([y / 20, 0.2 * noise])
    table.obs["multist_domain"] = pd.cut(y, 3, labels=["deep", "middle", "outer"])
    return table


@pytest.mark.slow
def test_a_root_in_the_middle_speaks_and_names_the_ends(gradient, caplog):
    row = int(np.argmin(np.abs(gradient.obsm["spatial"][:, 1] - np.median(gradient.obsm["spatial"][:, 1]))))
    mt.tl.pseudotime(gradient, root=gradient.obs_names[row], use_rep="X_steady")
    lines = gradient.uns["multist"]["decisions"]["pseudotime"]
    said = [line for line in lines if "the root lies in the middle" in line]
    assert len(said) == 1 and caplog.text.count(said[0]) == 1
    assert "pass a root at one end, such as" in said[0] and "'deep'" in said[0] and "'outer'" in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("root", ["deep", "outer", "auto"])
def test_a_root_at_an_end_keeps_silent(gradient, caplog, root):
    mt.tl.pseudotime(gradient, root=root, use_rep="X_steady")
    assert "the root lies in the middle" not in caplog.text


@pytest.mark.slow
def test_a_model_whose_image_drowns_the_expression_says_so(table, caplog):
    rng = np.random.default_rng(0)
    codes = table.obs["truth"].cat.codes.to_numpy()
    mt.pp.embed_histology(table)
    table.obsm["X_histology"] = 4 * rng.normal(size=(3, 12))[codes] + rng.normal(size=(table.n_obs, 12))
    model = mt.MultiST(device="cpu").fit(table)
    fusion = model._needs_fit().fusion
    assert fusion.image is not None and "of the image alone" not in caplog.text
    spread = fusion.spread.copy()
    spread[: -len(fusion.image.averaging.weights)] *= (
        1e3  # as if the section varied little beside those it was fitted on
    )
    model._fitted = replace(model._fitted, fusion=replace(fusion, spread=spread))
    model.embed(table)
    (said,) = [line for line in warnings_in(caplog) if "domains are those of the image alone" in line]
    assert decisions(table, "embed").count(said) == 1
