"""Genes, outlines, strokes, rings, shapes and lists of sections in pl.domains."""

from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection
from matplotlib.colors import to_hex

import multist as mt


@pytest.fixture
def section() -> ad.AnnData:
    """Two domains side by side on a square lattice with gaps, over an image."""
    row, column = np.divmod(np.arange(100), 10)
    xy = 10.0 * np.column_stack([column, row]) + 10
    counts = np.random.default_rng(0).poisson(3, (100, 3)).astype(np.float32)
    adata = ad.AnnData(counts, obsm={"spatial": xy}, layers={"twice": 2 * counts + 0.5})
    adata.obs_names = [f"s{i}" for i in range(100)]
    adata.var_names, adata.var["symbol"] = ["ENSG0", "ENSG1", "ENSG2"], ["MBP", "PLP1", "PLP1"]
    adata.obs["multist_domain"] = pd.Categorical(np.where(column < 5, "left", "right"))
    adata.obs["weight"] = np.linspace(0, 1, 100)
    image = np.full((110, 110, 3), [90, 60, 130], dtype=np.uint8)
    scales = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 6.0}
    adata.uns["spatial"] = {"section": {"images": {"hires": image}, "scalefactors": scales}}
    return adata


def circles(ax: plt.Axes) -> list[EllipseCollection]:
    return [c for c in ax.collections if isinstance(c, EllipseCollection)]


@pytest.mark.slow
def test_genes_are_drawn_log_normalised_by_name_or_symbol_and_from_layers(section: ad.AnnData):
    from multist.access import log_expression

    expected = log_expression(section, None).toarray()[:, 0]
    cmap = mpl.colormaps["plasma"]
    shades = cmap((expected - expected.min()) / np.ptp(expected))[:, :3]
    for options in ({"color": "ENSG0"}, {"color": "MBP", "gene_symbols": "symbol"}):
        ax = mt.pl.domains(section, show=False, **options)
        np.testing.assert_allclose(circles(ax)[0].get_facecolors()[:, :3], shades, atol=0.01)
        assert ax.get_title() == options["color"]
    ax = mt.pl.domains(section, "ENSG0", layer="twice", show=False)
    lowest, highest = ax.child_axes[0].get_ylim()
    assert (lowest, highest) == (section.layers["twice"][:, 0].min(), section.layers["twice"][:, 0].max())
    with pytest.raises(
        KeyError, match=r"color 'MBP' not found in obs, which has .*nor in var_names, which has 'ENSG0'"
    ):
        mt.pl.domains(section, "MBP")
    with pytest.raises(ValueError, match="'PLP1' names several genes"):
        mt.pl.domains(section, "PLP1", gene_symbols="symbol")
    with pytest.raises(KeyError, match="color 'MBP' not found in obs, which has .*, and the table has no genes"):
        mt.pl.domains(section[:, :0], "MBP")


def test_a_symbol_where_names_are_identifiers_is_told_where_it_is(section: ad.AnnData):
    with pytest.raises(KeyError, match=r"which has 'ENSG0'.*They are in var, column 'symbol': give gene_symbols='sym"):
        mt.pl.domains(section, "MBP")
    section.obs["multist_pseudotime"] = section.obs["weight"]
    with pytest.raises(KeyError, match=r"genes 'MBP', 'no' not found in var_names.*: give gene_symbols='symbol'"):
        mt.pl.pseudotime(section, genes=["MBP", "no"])
    for draw in (lambda: mt.pl.domains(section, "no"), lambda: mt.pl.pseudotime(section, genes="no")):
        with pytest.raises(KeyError) as error:
            draw()
        assert "gene_symbols" not in str(error.value)


@pytest.mark.slow
def test_limits_and_percentiles_clip_and_say_so(section: ad.AnnData):
    ax = mt.pl.domains(section, "weight", vmin=0.2, vmax="p90", show=False)
    (bar,) = ax.child_axes
    assert bar.get_ylim() == pytest.approx((0.2, 0.9))
    colors = circles(ax)[0].get_facecolors()
    np.testing.assert_array_equal(colors[0], colors[15])
    assert not np.array_equal(colors[25], colors[35])
    with pytest.raises(ValueError, match="'p0' to 'p100'; got '90%'"):
        mt.pl.domains(section, "weight", vmax="90%")


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "end"), [({"vmin": 5}, 0.0), ({"vmax": -5}, 1.0)])
def test_beyond_a_limit_all_numbers_have_one_colour(section: ad.AnnData, limits: dict[str, float], end: float):
    ax = mt.pl.domains(section, "weight", alpha=1, show=False, **limits)
    np.testing.assert_array_equal(circles(ax)[0].get_facecolors(), [mpl.colormaps["plasma"](end)] * 100)
    with pytest.raises(ValueError, match="vmin and vmax are 5 and -5: vmin has to be the smaller"):
        mt.pl.domains(section, "weight", vmin=5, vmax=-5)


@pytest.mark.slow
def test_the_image_is_grey_and_faded_under_numbers_only(section: ad.AnnData):
    numbers, names = mt.pl.domains(section, ["weight", "multist_domain"], show=False)
    assert np.ptp(numbers.images[0].get_array()[0, 0]) == 0 and numbers.images[0].get_alpha() < 0.6
    assert np.ptp(names.images[0].get_array()[0, 0]) == 70 and names.images[0].get_alpha() == 1
    ax = mt.pl.domains(section, "weight", bw=False, img_alpha=0.8, show=False)
    assert np.ptp(ax.images[0].get_array()[0, 0]) == 70 and ax.images[0].get_alpha() == 0.8


def test_the_usual_colours_of_numbers_stand_out_from_stained_tissue():
    from skimage.color import rgb2lab

    from multist.pl._layer import NUMBERS

    stains = rgb2lab(np.array([[[90, 60, 130], [70, 50, 120], [205, 130, 180], [220, 170, 200]]]) / 255)[0]
    shades = rgb2lab(mpl.colormaps[NUMBERS](np.linspace(0, 1, 20))[None, :, :3])[0]
    assert np.linalg.norm(stains[:, None] - shades[None], axis=2).min() > 15


@pytest.mark.slow
def test_weights_that_are_all_zero_are_no_map(section: ad.AnnData):
    section.obs["multist_image_weight"] = 0.0
    ax = mt.pl.domains(section, "multist_image_weight", show=False)
    assert [text.get_text() for text in ax.texts] == ["image not used"]
    assert not circles(ax) and not ax.child_axes
    (tissue,) = mt.pl.modality_weights(section, show=False, return_fig=True).axes
    assert tissue.texts[0].get_text() == "image not used"
    section.obs["multist_image_weight"] = 1.0
    ax = mt.pl.domains(section, "multist_image_weight", show=False)
    assert "weight everywhere: 1.00" in ax.texts[0].get_text()


def test_groups_are_coloured_and_others_grey(section: ad.AnnData):
    section.uns["multist_domain_colors"] = ["#112233", "#445566"]
    ax = mt.pl.domains(section, groups="right", show=False)
    colors = {to_hex(color) for color in circles(ax)[0].get_facecolors()}
    assert colors == {"#445566", "#bfbfbf"}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["right", "other"]


@pytest.mark.parametrize("palette", [{"right": "#010203"}, ["#445566", "#010203"], "tab10"])
def test_a_palette_takes_the_place_of_stored_colours_and_is_not_stored(section: ad.AnnData, palette):
    ax = mt.pl.domains(section, palette=palette, show=False)
    found = to_hex(circles(ax)[0].get_facecolors()[9])
    assert found == (to_hex(mpl.colormaps["tab10"](1)) if palette == "tab10" else "#010203")
    assert "multist_domain_colors" not in section.uns


@pytest.mark.slow
def test_names_are_written_on_the_data(section: ad.AnnData):
    ax = mt.pl.domains(section, legend_loc="on data", show=False)
    assert {text.get_text() for text in ax.texts} == {"left", "right"}
    assert ax.get_legend() is None
    places = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert places["left"] <= 50 < places["right"]
    assert mt.pl.domains(section, legend_loc=None, show=False).get_legend() is None


def test_outlines_run_between_the_domains_of_any_column(section: ad.AnnData):
    ax = mt.pl.domains(section, "weight", outline="multist_domain", show=False)
    (lines,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert set(np.round(np.array(lines.get_segments())[..., 0].ravel(), 6)) == {55.0}
    with pytest.raises(ValueError, match="outline 'weight' holds numbers"):
        mt.pl.domains(section, outline="weight")
    with pytest.raises(KeyError, match="outline 'layers' not found"):
        mt.pl.domains(section, outline="layers")


def test_strokes_are_filled_centres_in_the_colour_of_their_class(section: ad.AnnData):
    section.obs["annotation"] = pd.Categorical([None] * 98 + ["left", "tumour"])
    section.uns["multist_domain_colors"] = ["#112233", "#445566"]
    ax = mt.pl.domains(section, labels_key="annotation", palette={"tumour": "#ff0000"}, show=False)
    spots, strokes = circles(ax)
    np.testing.assert_array_equal(strokes.get_offsets(), spots.get_offsets()[98:])
    assert [to_hex(color) for color in strokes.get_facecolors()] == ["#112233", "#ff0000"]
    assert to_hex(strokes.get_edgecolors()[0]) == "#000000"
    assert strokes.get_widths()[0] < spots.get_widths()[0]
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries == ["left", "right", "by hand: left", "by hand: tumour"]
    with pytest.raises(ValueError, match="labels_key 'weight' holds numbers"):
        mt.pl.domains(section, labels_key="weight")


@pytest.mark.slow
def test_strokes_over_numbers_are_white_and_the_legend_says_so(section: ad.AnnData):
    section.obs["annotation"] = pd.Categorical([None] * 98 + ["left", "right"])
    numbers, names = mt.pl.domains(section, ["weight", "multist_domain"], labels_key="annotation", show=False)
    assert {to_hex(color) for color in circles(numbers)[1].get_facecolors()} == {"#ffffff"}
    assert len({to_hex(color) for color in circles(names)[1].get_facecolors()}) == 2
    assert [text.get_text() for text in numbers.get_legend().get_texts()] == ["labelled by hand"]


@pytest.mark.slow
@pytest.mark.parametrize("legend_loc", ["right margin", "bottom margin"])
def test_what_explains_overlays_keeps_clear_of_the_colour_bar(section: ad.AnnData, legend_loc: str):
    section.obs["annotation"] = pd.Categorical([None] * 98 + ["left", "right"])
    options = {"labels_key": "annotation", "rings": ["s42"], "legend_loc": legend_loc}
    ax = mt.pl.domains(section, "ENSG0", show=False, **options)
    ax.figure.canvas.draw()
    legend, (bar,) = ax.get_legend(), ax.child_axes
    assert [text.get_text() for text in legend.get_texts()] == ["labelled by hand", "pointed at"]
    assert not legend.get_window_extent().overlaps(bar.get_tightbbox())
    assert not legend.get_window_extent().overlaps(ax.get_window_extent().padded(-1))


def test_strokes_and_rings_on_small_spots_can_be_seen(section: ad.AnnData):
    section.uns["spatial"]["section"]["scalefactors"]["spot_diameter_fullres"] = 1.0
    section.obs["annotation"] = pd.Categorical([None] * 98 + ["left", "right"])
    ax = mt.pl.domains(section, labels_key="annotation", rings=["s42"], figsize=(4, 3), show=False)
    _, strokes, rings = circles(ax)
    points = 72 / ax.figure.dpi * np.ptp(ax.transData.transform([[0, 0], [1, 0]])[:, 0])
    assert strokes.get_widths()[0] * points > 4
    assert strokes.get_widths()[0] < rings.get_widths()[0] <= 10


@pytest.mark.slow
def test_colour_bars_of_genes_say_what_the_numbers_are(section: ad.AnnData):
    gene, weight = mt.pl.domains(section, ["ENSG0", "weight"], show=False)
    assert gene.child_axes[0].get_ylabel() == "log-normalised"
    assert weight.child_axes[0].get_ylabel() == ""
    section.layers["scaled"] = section.X - 3
    ax = mt.pl.domains(section, "ENSG0", layer="scaled", show=False)
    assert ax.child_axes[0].get_ylabel() == ""
    *_, last = mt.pl.domains([section, section.copy()], "ENSG0", show=False)
    assert last.child_axes[0].get_ylabel() == "ENSG0, log-normalised"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "rows", "entry"),
    [
        (["s42", "s7"], [42, 7], "pointed at"),
        (pd.Index(["s42", "s7"]), [42, 7], "pointed at"),
        ("ask", [7, 42], "ask"),
    ],
    ids=["names", "index", "column"],
)
def test_rings_lie_around_their_spots_numbered_and_explained(section: ad.AnnData, given, rows: list[int], entry: str):
    section.obs["ask"] = section.obs_names.isin(["s7", "s42"])
    ax = mt.pl.domains(section, rings=given, show=False)
    spots, rings = circles(ax)
    np.testing.assert_array_equal(rings.get_offsets(), spots.get_offsets()[rows])
    assert rings.get_widths()[0] > spots.get_widths()[0]
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["left", "right", entry]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["category", "boolean"])
def test_spots_of_which_nothing_is_said_have_no_ring(section: ad.AnnData, kind: str):
    section.obs["ask"] = pd.Series([None] * 99 + [True], index=section.obs_names, dtype=kind)
    ax = mt.pl.domains(section, rings="ask", show=False)
    assert [text.get_text() for text in ax.texts] == ["1"]


def test_no_rings_are_not_explained(section: ad.AnnData):
    ax = mt.pl.domains(section, rings=[], show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["left", "right"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "near", [["s42", "s43", "s53"], ["s0", "s9", "s90", "s99"], ["s44", "s45", "s54", "s55", "s46"]]
)
def test_numbers_of_rings_cover_no_ring_and_none_of_each_other(section: ad.AnnData, near: list[str]):
    figure = mt.pl.domains(section, rings=near, figsize=(2.2, 2), return_fig=True)
    figure.canvas.draw()
    ax = figure.axes[0]
    boxes = [text.get_window_extent() for text in ax.texts]
    centres = ax.transData.transform(circles(ax)[-1].get_offsets())
    radius = circles(ax)[-1].get_widths()[0] / 2 * ax.transData.transform([[0, 0], [1, 0]])[:, 0] @ [-1, 1]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        beyond = np.maximum(np.maximum(box.min - centres, centres - box.max), 0)
        # boxes of print are higher than the digits in them
        assert (np.hypot(*beyond.T) > 0.7 * radius).all()
        assert ax.get_window_extent().padded(3).fully_containsx(box.x0)
    assert [text.get_text() for text in ax.texts] == [str(1 + i) for i in range(len(near))]


def test_names_on_the_data_keep_clear_of_each_other(section: ad.AnnData):
    column = np.arange(100) % 10
    # a thin layer whose middle is the middle of what surrounds it
    thin = (column == 4) | (column == 5)
    section.obs["multist_domain"] = pd.Categorical(np.where(thin, "the thin layer", "what surrounds it"))
    figure = mt.pl.domains(section, legend_loc="on data", figsize=(3, 3), return_fig=True)
    figure.canvas.draw()
    one, two = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not one.overlaps(two)


def test_rings_that_are_not_there_are_named(section: ad.AnnData):
    with pytest.raises(KeyError, match="rings 'x1' not found in obs_names, which has 's0'"):
        mt.pl.domains(section, rings=["x1"])
    with pytest.raises(KeyError, match="rings 'ask' not found in obs"):
        mt.pl.domains(section, rings="ask")
    with pytest.raises(ValueError, match="holds float64, not True and False"):
        mt.pl.domains(section, rings="weight")


def test_bins_are_squares_that_tile(section: ad.AnnData):
    section.uns["spatial"]["section"]["scalefactors"]["spot_diameter_fullres"] = 10.0
    ax = mt.pl.domains(section, size=0.5, show=False)
    (shapes,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    assert not circles(ax)
    corners = shapes.get_paths()[0].vertices
    assert np.ptp(corners, axis=0) == pytest.approx([5, 5])
    assert len(shapes.get_facecolors()) == 100


@pytest.mark.slow
def test_cells_of_a_spatialdata_are_polygons():
    sdata = mt.datasets.layered_tissue(n_spots=150, n_genes=100, image_size=300, cells=True)
    import geopandas as gpd
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import get_transformation

    (name,) = sdata.shapes
    frame = sdata.shapes[name]
    hexagons = gpd.GeoDataFrame(geometry=frame.geometry.buffer(frame["radius"], 2), index=frame.index)
    everywhere = get_transformation(frame, get_all=True)
    sdata.shapes[name] = ShapesModel.parse(hexagons, transformations=everywhere)
    ax = mt.pl.domains(sdata, "domain", show=False)
    (shapes,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    assert len(shapes.get_paths()) == 150
    assert len(shapes.get_paths()[0].vertices) >= 8


@pytest.mark.slow
def test_a_list_of_sections_is_drawn_as_one_table_would_be(section: ad.AnnData):
    other = section.copy()
    other.obs["multist_domain"] = pd.Categorical(np.where(section.obs["weight"] < 0.5, "left", "third"))
    other.obsm["spatial"] = other.obsm["spatial"] * 0.9
    one, two = mt.pl.domains([section, other], show=False)
    assert (one.get_title(), two.get_title()) == ("0:section", "1:section")
    assert [text.get_text() for text in two.get_legend().get_texts()] == ["left", "right", "third"]
    left = [to_hex(circles(ax)[0].get_facecolors()[0]) for ax in (one, two)]
    assert left[0] == left[1] == section.uns["multist_domain_colors"][0].lower()
    assert len(other.uns["multist_domain_colors"]) == 2
    np.testing.assert_allclose(circles(two)[0].get_offsets(), other.obsm["spatial"])
    with pytest.raises(ValueError, match="empty list"):
        mt.pl.domains([])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["numbers", "order"])
def test_sections_may_name_their_domains_in_different_ways(section: ad.AnnData, way: str):
    other = section.copy()
    named = pd.Series(pd.Categorical(np.where(section.obs["weight"] < 0.5, "1", "2")), index=section.obs_names)
    section.obs["leiden"] = named
    other.obs["leiden"] = named.cat.rename_categories([1, 2]) if way == "numbers" else named.cat.as_ordered()
    for color in ("leiden", "multist_domain"):
        axes = mt.pl.domains([section, other], color, show=False)
        assert len(axes[-1].get_legend().get_texts()) == 2


@pytest.mark.slow
def test_sections_that_have_names_of_their_own_keep_them(section: ad.AnnData):
    other = section.copy()
    other.uns["spatial"] = {"next": other.uns["spatial"].pop("section")}
    one, two = mt.pl.domains([section, other], show=False)
    assert (one.get_title(), two.get_title()) == ("section", "next")


@pytest.mark.slow
def test_older_results_have_the_colours_of_the_domains_they_repeat(section: ad.AnnData):
    section.obs["older"] = section.obs["multist_domain"].map({"left": "b", "right": "a"}).astype("category")
    section.uns["older_colors"] = ["#000001", "#000002"]
    now, older, again = mt.pl.domains(section, truth_key=["older", "multist_domain"], show=False)
    for ax in (older, again):
        np.testing.assert_array_equal(circles(ax)[0].get_facecolors(), circles(now)[0].get_facecolors())
    assert section.uns["older_colors"] == ["#000001", "#000002"]


@pytest.mark.slow
def test_spots_that_nobody_named_carry_no_stroke(section: ad.AnnData):
    section.obs["mine"] = pd.Categorical(np.where(np.arange(100) % 10 == 0, section.obs["multist_domain"], "nobody"))
    section.obs["blank"] = section.obs["mine"].cat.rename_categories({"nobody": " "})
    assert len(circles(mt.pl.domains(section, labels_key="blank", show=False))[-1].get_facecolors()) == 10
    (ax,) = [mt.pl.domains(section, labels_key="mine", unlabeled_category="nobody", show=False)]
    assert len(circles(ax)[-1].get_facecolors()) == 10
    section.uns["multist"] = {"params": {"labels_key": "mine", "unlabeled_category": "nobody"}}
    assert len(circles(mt.pl.domains(section, labels_key="mine", show=False))[-1].get_facecolors()) == 10


@pytest.mark.slow
def test_strokes_have_the_colours_of_the_panel_that_they_lie_on(section: ad.AnnData):
    section.obs["truth"] = section.obs["multist_domain"].copy()
    section.uns["multist_domain_colors"], section.uns["truth_colors"] = ["#111111", "#222222"], ["#aa0000", "#00aa00"]
    section.obs["mine"] = section.obs["multist_domain"].where(np.arange(100) % 10 == 0)
    for ax, color in zip(
        mt.pl.domains(section, ["multist_domain", "truth"], labels_key="mine", show=False),
        ("#111111", "#aa0000"),
        strict=True,
    ):
        assert {to_hex(each) for each in circles(ax)[-1].get_facecolors()} == {color}
