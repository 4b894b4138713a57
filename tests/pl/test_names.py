"""Names of any length are read in every figure: none covers another, and none is cut."""

from __future__ import annotations

import itertools
from typing import Any

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text

import multist as mt
from multist.pl._names import fitted, in_lines
from multist.pl._pair_matrix import matrix_inches, strongest

NAMES = [
    f"{part} of the left hemisphere, {i:02}" for i, part in enumerate(["superficial layers", "deep_white_matter"] * 8)
]


@pytest.fixture
def long(everything: ad.AnnData) -> ad.AnnData:
    """The section with fifteen domains, five side by side in three rows, of names of some 45 letters."""
    adata, (row, column) = everything.copy(), np.divmod(np.arange(144), 12)
    codes = row // 4 * 5 + np.minimum(column // 2, 4)
    adata.obs["multist_domain"] = pd.Categorical.from_codes(codes, NAMES[:15])
    touching = [(NAMES[i], NAMES[i + 1]) for i in range(14)]
    result = dict(adata.uns["multist"])
    sharp = pd.concat([result["border_sharpness"]] * 4, ignore_index=True)
    result["border_sharpness"] = sharp.assign(domain_1=NAMES[:4], domain_2=NAMES[1:5])
    borders = pd.DataFrame(touching, columns=["domain_1", "domain_2"]).assign(length=900.0, unit="um")
    pairs = pd.DataFrame(touching[:2], columns=["ligand_domain", "receptor_domain"])
    pairs = pairs.assign(source="A", target="B", enrichment=0.5, border_pvalue=1e-4, border_fdr=1e-3)
    result["interactions"] = {"pairs": pairs, "borders": borders, "params": {"cluster_key": "multist_domain"}}
    adata.uns["multist"] = result
    return adata


def check(figure: plt.Figure, texts: list[Text]) -> None:
    """Texts lie in the figure, and none on another."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert figure.bbox.padded(1).containsx(box.x0) and figure.bbox.padded(1).containsx(box.x1), text
        assert figure.bbox.padded(1).containsy(box.y0) and figure.bbox.padded(1).containsy(box.y1), text
    for (one, first), (two, second) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not first.padded(-1).overlaps(second.padded(-1)), (one, two)


def test_a_long_name_is_whole_in_three_lines_and_loses_only_its_middle():
    assert in_lines("a  name with  blanks") == "a  name with  blanks"
    assert in_lines(NAMES[1]) == "deep_white_matter of the\nleft hemisphere, 01"
    assert in_lines("one_name_without_any_blank_but_low_lines") == "one_name_without_any_blank_\nbut_low_lines"
    short = in_lines("x" * 200 + "7")
    assert short.count("\n") == 2 and max(map(len, short.split("\n"))) <= 28 and short[0] == "x" and short[-1] == "7"
    assert "…" in short


def test_names_that_differ_in_their_middle_alone_stay_apart():
    names = [f"region {i} of the cortex" for i in range(9)]
    assert len(set(fitted(names, lambda written: False))) == 9


@pytest.mark.slow
def test_borders_of_long_names_leave_room_for_the_map(long: ad.AnnData):
    tissue, boxes, borders = mt.pl.modality_weights(long, groups=NAMES[:5], image_key=None, outlines=False, show=False)
    check(tissue.figure, [tissue.title, *boxes.get_yticklabels(), *borders.get_yticklabels()])
    assert tissue.bbox.width > 0.9 * tissue.figure.dpi


@pytest.mark.slow
def test_close_ups_keep_clear_of_long_names(long: ad.AnnData):
    axes = mt.pl.attention(long, ["s30", "s100"], image_key=None, show=False)
    figure = axes[0].figure
    (legend,) = figure.findobj(Legend)
    headings = [text for ax in axes for text in ax.findobj(Text) if text.get_text() == ax.get_title(loc="left")]
    check(figure, headings + legend.get_texts())
    assert min(ax.bbox.width for ax in axes) > 2 * figure.dpi


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["borders", "domains"])
def test_long_names_on_a_map_cover_none_of_each_other(kind: str, long: ad.AnnData):
    options: dict[str, Any] = {"legend_loc": "on data"} if kind == "domains" else {}
    figure = getattr(mt.pl, kind)(long, image_key=None, return_fig=True, **options)
    texts = list(figure.axes[0].texts)
    assert len({text.get_text() for text in texts}) == 15
    check(figure, texts)
    tissue = figure.axes[0].bbox.padded(2)
    assert all(tissue.containsx(box.x0) and tissue.containsx(box.x1) for box in (t.get_window_extent() for t in texts))


@pytest.mark.slow
def test_a_legend_below_fits_a_figure_of_set_size(long: ad.AnnData, caplog):
    ax = mt.pl.domains(long, legend_loc="bottom margin", figsize=(4, 4), show=False)
    check(ax.figure, ax.get_legend().get_texts())
    assert ax.bbox.width > 0.8 * ax.figure.dpi and not caplog.text


@pytest.mark.slow
def test_a_legend_below_a_narrow_panel_has_the_height_of_its_columns(long: ad.AnnData):
    long.obs["region"] = long.obs["multist_domain"].cat.rename_categories([f"region {i} of cortex" for i in range(15)])
    options: dict[str, Any] = {"legend_loc": "bottom margin", "ncols": 3, "image_key": None, "show": False}
    first, *_ = mt.pl.domains(long, ["region", "multist_image_weight", "multist_pseudotime"], **options)
    check(first.figure, first.get_legend().get_texts())
    assert first.bbox.width > 1.9 * first.figure.dpi


@pytest.mark.slow
def test_the_legend_of_a_very_wide_section_is_not_cut(everything: ad.AnnData):
    adata = everything.copy()
    adata.obsm["spatial"] = adata.obsm["spatial"] * [6, 1]
    adata.obs["multist_domain"] = pd.Categorical.from_codes(np.arange(144) % 8, list("abcdefgh"))
    ax = mt.pl.domains(adata, image_key=None, show=False)
    check(ax.figure, [ax.title, *ax.get_legend().get_texts()])


@pytest.mark.slow
def test_a_very_tall_section_leaves_borders_on_a_page(everything: ad.AnnData):
    adata = everything.copy()
    adata.obsm["spatial"] = adata.obsm["spatial"] * [1, 6]
    assert mt.pl.borders(adata, image_key=None, return_fig=True).get_figheight() < 9


def test_the_matrix_of_many_borders_is_no_wider_than_a_page():
    sides = pd.DataFrame(list(itertools.permutations("abcdefgh", 2)), columns=["ligand_domain", "receptor_domain"])
    pairs = sides.assign(source="TGFB1_TGFB2", target="R", enrichment=0.5, border_pvalue=1e-4, border_fdr=1e-3)
    shown = strongest(pairs.replace({"a": "line one\nline two"}), 3, 0.05, {})
    assert 15 < shown["border"].nunique() < 24 and matrix_inches(shown)[1][0] <= 7.2
    assert not shown["border"].str.contains("\n").any()


@pytest.mark.slow
def test_names_can_be_read_in_a_dark_style(everything: ad.AnnData):
    with plt.style.context("dark_background"):
        graph = mt.pl.borders(everything, ax=plt.figure().add_subplot(), image_key=None)
        tissue = mt.pl.domains(everything, legend_loc="on data", rings=["s5"], image_key=None, show=False)
    assert {text.get_color() for text in [*graph.texts, *tissue.texts]} == {"black"}


@pytest.mark.slow
def test_legends_can_be_read_in_a_dark_style(everything: ad.AnnData):
    with plt.style.context("dark_background"):
        *_, sharpness = mt.pl.modality_weights(everything, image_key=None, outlines=False, show=False)
        graph = mt.pl.borders(everything, ax=plt.figure().add_subplot(), image_key=None)
    assert sharpness.get_legend().get_lines()[-1].get_color() == "white"
    assert graph.get_legend().get_lines()[-1].get_path_effects()


@pytest.mark.slow
def test_chosen_spots_can_be_seen_in_a_dark_style(everything: ad.AnnData):
    with plt.style.context("dark_background"):
        (close_up,) = mt.pl.attention(everything, "s30", image_key=None, show=False)
        tissue = mt.pl.domains(everything, rings=["s5"], image_key=None, show=False)
    (legend,) = close_up.figure.findobj(Legend)
    assert legend.get_lines()[-1].get_color() == "white"
    assert close_up.collections[-1].get_edgecolor()[0, :3].min() == 1
    assert tissue.get_legend().get_lines()[-1].get_markeredgecolor() == "white"


@pytest.mark.slow
def test_the_ground_of_a_dark_style_is_that_of_the_file(everything: ad.AnnData, tmp_path):
    with plt.style.context("dark_background"):
        mt.pl.domains(everything, image_key=None, save=tmp_path / "dark.png", dpi=30)
    assert plt.imread(tmp_path / "dark.png")[0, 0, :3].max() == 0
