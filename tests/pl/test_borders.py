"""The graph of domains that touch, and the strongest pairs."""

from __future__ import annotations

import itertools

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist.pl import _borders
from multist.pl._base import Window
from multist.pl._look import Look
from multist.pl._pair_matrix import draw_pairs, matrix_inches, strongest

pytestmark = pytest.mark.slow  # nearly all of them draw or read images


@pytest.fixture(scope="module")
def tested() -> ad.AnnData:
    """A tissue with a result as tl.interactions writes it, made by hand so that the plot is all that is tested."""
    adata = mt.datasets.layered_tissue(n_spots=900, n_genes=100, image_size=300, format="anndata")
    mt.pp.spatial_graph(adata)
    columns = ["source", "target", "ligand_domain", "receptor_domain", "enrichment", "border_pvalue", "border_fdr"]
    pairs = [
        ("A", "R1", "cortex_b", "band", 0.9, 1e-5, 1e-4),
        ("B", "R2", "cortex_b", "band", 0.5, 1e-4, 1e-3),
        ("C", "R3", "cortex_b", "band", 0.3, 1e-3, 1e-2),
        ("B", "R2", "rim", "cortex_a", 0.4, 1e-3, 1e-2),
        ("D", "R4", "cortex_a", "rim", 0.1, 0.04, 0.6),
        ("E", "R5", "cortex_a", "rim", np.nan, np.nan, np.nan),
    ]
    borders = [
        ("rim", "cortex_a", 60, 3000.0),
        ("cortex_a", "cortex_b", 50, 2500.0),
        ("cortex_b", "band", 60, 2000.0),
        ("band", "stroma_loose", 30, 1000.0),
        ("band", "stroma_dense", 30, 500.0),
        ("cortex_a", "lesion", 20, 700.0),
    ]
    adata.uns["multist"] = {
        "interactions": {
            "pairs": pd.DataFrame(pairs, columns=columns),
            "borders": pd.DataFrame(borders, columns=["domain_1", "domain_2", "n_edges", "length"]).assign(unit="um"),
            "params": {"cluster_key": "domain"},
        }
    }
    return adata


@pytest.fixture(scope="module")
def usual(tested: ad.AnnData) -> list[plt.Axes]:
    """The graph and the matrix of it, for those who only look."""
    return mt.pl.borders(tested, show=False)


def dots(ax) -> int:
    return sum(len(collection.get_offsets()) for collection in ax.collections)


def boxes_overlap(one, two) -> bool:
    first, second = (text.get_bbox_patch().get_window_extent() for text in (one, two))
    return bool(first.overlaps(second))


def labels(axis) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def test_every_domain_has_its_name_on_its_own_tissue_and_none_overlap(tested: ad.AnnData, usual):
    graph, _ = usual
    graph.figure.canvas.draw()
    names = [text for text in graph.texts if text.get_text() in set(tested.obs["domain"])]
    assert {text.get_text() for text in names} == set(tested.obs["domain"])
    for one, two in itertools.combinations(names, 2):
        assert not boxes_overlap(one, two), (one.get_text(), two.get_text())
    scale = tested.uns["spatial"]["section1"]["scalefactors"]["tissue_hires_scalef"]
    for text in names:
        own = tested.obsm["spatial"][tested.obs["domain"] == text.get_text()] * scale
        assert np.linalg.norm(own - text.get_position(), axis=1).min() < 1e-6


def test_long_names_of_borders_take_two_lines(tested: ad.AnnData):
    pairs = tested.uns["multist"]["interactions"]["pairs"]
    long = {"rim": "rim of the left hemisphere", "cortex_a": "first cortex of the left hemisphere"}
    sides = ["ligand_domain", "receptor_domain"]
    shown = strongest(pairs.assign(**pairs[sides].replace(long)), 3, 0.05, {})
    _, ax = plt.subplots()
    draw_pairs(ax, shown, 0.05, Look())
    names = labels(ax.xaxis)
    assert "rim of the left hemisphere →\nfirst cortex of the left hemisphere" in names
    assert any("\n" not in name for name in names)
    (_, short), (_, wide) = (matrix_inches(table)[1] for table in (strongest(pairs, 3, 0.05, {}), shown))
    assert short < wide < short + 2.0


def test_names_of_thin_layers_move_aside_and_stay_near_the_middle(tested: ad.AnnData):
    row, column = np.divmod(np.arange(120 * 16), 120)
    layers = np.array([f"thin_layer_{i}" for i in row // 2])
    adata = ad.AnnData(np.zeros((len(row), 1)), obsm={"spatial": np.column_stack([column, row]).astype(float)})
    adata.obs["domain"] = pd.Categorical(layers)
    result = tested.uns["multist"]["interactions"]
    adata.uns["multist"] = {"interactions": {**result, "pairs": result["pairs"].iloc[:0]}}
    graph, _ = mt.pl.borders(adata, show=False)
    graph.figure.canvas.draw()
    assert len(graph.texts) == 8
    for one, two in itertools.combinations(graph.texts, 2):
        assert not boxes_overlap(one, two), (one.get_text(), two.get_text())
    assert np.median([abs(text.get_position()[0] - 59.5) for text in graph.texts]) < 30


def test_lines_are_as_wide_as_borders_are_long_and_dark_where_something_is_significant(usual):
    graph, _ = usual
    place = {text.get_text(): text.get_position() for text in graph.texts}
    lines = {frozenset(map(tuple, line.get_xydata())): line for line in graph.lines if len(line.get_xydata()) == 2}

    def line(one: str, two: str):
        return lines[frozenset((place[one], place[two]))]

    assert line("rim", "cortex_a").get_linewidth() == pytest.approx(1.2 * line("cortex_a", "cortex_b").get_linewidth())
    assert line("rim", "cortex_a").get_color() == line("cortex_b", "band").get_color()
    assert line("rim", "cortex_a").get_color() != line("cortex_a", "cortex_b").get_color()
    assert frozenset((place["rim"], place["band"])) not in lines
    assert "2000 µm" in graph.get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(("longest", "said"), [(2463.0, 2000), (0.7, 0.5), (11.4, 10)])
def test_a_length_of_unknown_scale_is_said_in_the_unit_of_the_table(tested: ad.AnnData, longest, said):
    adata = tested.copy()
    joins = adata.uns["multist"]["interactions"]["borders"]
    joins["length"] *= longest / joins["length"].max()
    joins["unit"] = "coordinates"
    graph, _ = mt.pl.borders(adata, show=False)
    assert graph.get_legend().get_texts()[0].get_text() == f"border of {said:g} units of the coordinates"


def test_the_matrix_shows_the_strongest_significant_pairs(tested: ad.AnnData, usual):
    _, matrix = usual
    assert labels(matrix.yaxis) == ["A – R1", "B – R2", "C – R3"]
    assert labels(matrix.xaxis) == ["cortex_b → band", "rim → cortex_a"]
    assert dots(matrix) == 4
    _, matrix = mt.pl.borders(tested, n_pairs=1, show=False)
    assert labels(matrix.yaxis) == ["A – R1", "B – R2"]
    assert dots(matrix) == 3  # a pair that is shown has its dot at every border
    _, matrix = mt.pl.borders(tested, fdr=1.0, show=False)
    assert labels(matrix.yaxis) == ["D – R4", "A – R1", "B – R2", "C – R3"]
    with pytest.raises(ValueError, match="fdr=0"):
        mt.pl.borders(tested, fdr=0)


def test_without_significant_pairs_the_smallest_pvalues_are_shown_empty(tested: ad.AnnData):
    graph, matrix = mt.pl.borders(tested, fdr=1e-6, show=False)
    assert matrix.get_title() == "strongest pairs, none significant"
    assert dots(matrix) == 5
    assert all(len(collection.get_facecolor()) == 0 for collection in matrix.collections)
    assert len(graph.get_legend().get_texts()) == 1
    adata = tested.copy()
    result = adata.uns["multist"]["interactions"]
    result["pairs"] = result["pairs"].assign(border_pvalue=np.nan, border_fdr=np.nan)
    _, matrix = mt.pl.borders(adata, show=False)
    assert dots(matrix) == 0 and not matrix.axison
    assert matrix.get_title() == "no pair was tested"


def test_into_one_axes_it_draws_the_graph(tested: ad.AnnData):
    _, own = plt.subplots()
    assert mt.pl.borders(tested, ax=own) is own
    assert own.lines and own.texts


def test_sections_have_a_panel_each_and_lines_only_where_domains_touch():
    adata = mt.datasets.layered_tissue(
        n_spots=300, n_genes=100, with_image=False, n_sections=2, missing_domain="lesion", format="anndata"
    )
    pairs = adata.uns["interactions"][["source", "target"]]
    mt.tl.interactions(adata, pairs, cluster_key="domain", library_key="section", n_perms=20, min_edges=2)
    with pytest.raises(ValueError, match="ax has 1 axes, but 3 are to be drawn"):
        mt.pl.borders(adata, library_key="section", ax=plt.figure().add_subplot())
    first, second, _ = mt.pl.borders(adata, library_key="section", show=False)
    assert "lesion" in {text.get_text() for text in first.texts}
    assert "lesion" not in {text.get_text() for text in second.texts}
    assert len(second.lines) < len(first.lines)


@pytest.mark.parametrize("n_sections", [2, 3, 4])
def test_maps_lie_two_in_a_row_and_no_band_is_left_between_them_and_the_pairs(n_sections: int):
    names = [f"domain_{number}" for number in range(5)]
    matrix = pd.DataFrame(list(itertools.permutations(names, 2)), columns=["ligand_domain", "receptor_domain"])
    matrix["source"], matrix["target"], matrix["pair"] = "A", "B", "A – B"
    matrix["border"] = matrix["ligand_domain"] + " → " + matrix["receptor_domain"]
    canvas = _borders._canvas([Window(0, 0, 100, 100)] * n_sections, matrix, Look())
    for ax in canvas.axes[:-1]:
        ax.set(aspect=1, xlim=(0, 100), ylim=(100, 0))
    canvas.figure.draw_without_rendering()
    boxes = [ax.get_position() for ax in canvas.axes]
    assert len({round(box.x0, 3) for box in boxes[:-1]}) == 2
    assert [round(box.y0, 3) for box in boxes[:-1:2]] == sorted({round(box.y0, 3) for box in boxes[:-1]}, reverse=True)
    inches = canvas.figure.get_figheight() * (min(box.y0 for box in boxes[:-1]) - boxes[-1].y1)
    assert 0 < inches < 1
    plt.close(canvas.figure)


def test_a_pair_that_is_shown_has_a_circle_wherever_it_was_tested(tested: ad.AnnData):
    adata = tested.copy()
    result = adata.uns["multist"]["interactions"]
    elsewhere = ("A", "R1", "band", "cortex_b", 0.1, 0.4, 0.9)
    untested = ("A", "R1", "rim", "cortex_a", np.nan, np.nan, np.nan)
    more = pd.DataFrame([elsewhere, untested], columns=result["pairs"].columns)
    result["pairs"] = pd.concat([result["pairs"], more], ignore_index=True)
    _, matrix = mt.pl.borders(adata, show=False)
    assert labels(matrix.xaxis) == ["band → cortex_b", "cortex_b → band", "rim → cortex_a"]
    empty, full = sorted(matrix.collections, key=lambda collection: len(collection.get_offsets()))
    np.testing.assert_array_equal(empty.get_offsets(), [[0, labels(matrix.yaxis).index("A – R1")]])
    assert len(empty.get_facecolor()) == 0 and len(full.get_offsets()) == 4


def test_genes_bear_their_symbols(tested: ad.AnnData):
    adata = tested.copy()
    adata.var["symbol"] = adata.var_names
    names = list(adata.var_names[:3])
    adata.var_names = [f"ENSG{i}" for i in range(adata.n_vars)]
    result = adata.uns["multist"]["interactions"]
    result["pairs"] = result["pairs"].replace({"A": "ENSG0", "R1": "ENSG1_ENSG2"})
    _, matrix = mt.pl.borders(adata, gene_symbols="symbol", show=False)
    assert labels(matrix.yaxis)[0] == f"{names[0]} – {names[1]}_{names[2]}"
    with pytest.raises(KeyError, match="gene_symbols 'name' not found in var"):
        mt.pl.borders(adata, gene_symbols="name", show=False)


def test_lines_go_around_the_names_of_other_domains():
    from multist.pl._contact_graph import _line_between

    one, two, between = np.array([0.0, 0, 1, 1]), np.array([10.0, 0, 1, 1]), np.array([5.0, 0.2, 2, 1])
    assert len(_line_between(one, two, [])) == 2
    bent = _line_between(one, two, [between])
    assert not (np.abs(bent - between[:2]) < between[2:] / 2).all(axis=1).any()
    np.testing.assert_array_equal(bent[[0, -1]], [one[:2], two[:2]])
    # to the side on which there is room
    above = np.array([5.0, 3, 20, 4])
    assert _line_between(one, two, [between, above])[:, 1].min() < -1


def test_groups_leave_the_others_out(tested: ad.AnnData):
    graph, matrix = mt.pl.borders(tested, groups=["cortex_b", "band"], show=False)
    assert {text.get_text() for text in graph.texts} == {"cortex_b", "band"}
    assert labels(matrix.xaxis) == ["cortex_b → band"]
