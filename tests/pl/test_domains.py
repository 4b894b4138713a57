"""The figure shows what the record says: places, sizes and colours."""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_hex, to_rgba

import multist as mt
from multist.access import resolve


def make_section(
    *, n_spots: int = 40, name: str = "section", scale: float = 0.5, seed: int = 0, image: bool = True
) -> ad.AnnData:
    """A Visium-like section with three domains, a truth that names them otherwise, and one missing truth."""
    rng = np.random.default_rng(seed)
    adata = ad.AnnData(np.ones((n_spots, 3), dtype=np.float32))
    adata.obs_names = [f"{name}-{i}" for i in range(n_spots)]
    adata.obsm["spatial"] = rng.uniform(40, 340, size=(n_spots, 2))
    code = np.arange(n_spots) % 3
    adata.obs["multist_domain"] = pd.Categorical(code.astype(str))
    adata.obs["truth"] = pd.Categorical(np.array(["white matter", "lesion", "cortex"])[code])
    adata.obs.loc[adata.obs_names[0], "truth"] = np.nan
    adata.obs["weight"] = rng.random(n_spots)
    adata.obs["sample"] = pd.Categorical([name] * n_spots)
    if image:
        adata.uns["spatial"] = {
            name: {
                "images": {"hires": rng.integers(0, 256, size=(200, 220, 3), dtype=np.uint8)},
                "scalefactors": {"tissue_hires_scalef": scale, "spot_diameter_fullres": 20.0},
            }
        }
    return adata


def make_pair() -> ad.AnnData:
    """Two sections of different scale in one table."""
    one, two = make_section(name="one"), make_section(name="two", scale=0.25, seed=1)
    both = ad.concat([one, two], join="outer")
    both.obs["multist_domain"] = both.obs["multist_domain"].astype("category")
    both.obs["sample"] = both.obs["sample"].astype("category")
    both.uns["spatial"] = {**one.uns["spatial"], **two.uns["spatial"]}
    return both


def circles(ax: plt.Axes) -> EllipseCollection:
    (found,) = [c for c in ax.collections if isinstance(c, EllipseCollection)]
    return found


def legend_of(ax: plt.Axes) -> dict[str, str]:
    legend = ax.get_legend()
    return {
        text.get_text(): to_hex(handle.get_color())
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }


def test_spots_lie_where_the_record_says():
    adata = make_section()
    ax = mt.pl.domains(adata, show=False)
    record = resolve(adata)
    np.testing.assert_allclose(circles(ax).get_offsets(), record.xy)
    np.testing.assert_allclose(record.xy, adata.obsm["spatial"] * 0.5)
    np.testing.assert_allclose(circles(ax).get_widths(), 10.0)


def test_circles_have_their_true_diameter_on_screen_and_follow_size():
    adata = make_section()
    ax = mt.pl.domains(adata, size=2.0, show=False)
    ax.figure.canvas.draw()
    spots = circles(ax)
    radius = spots.get_transforms()[0][0, 0] * spots.get_transform().get_matrix()[0, 0]
    left, right = ax.transData.transform([[0, 0], [20, 0]])[:, 0]
    assert 2 * radius == pytest.approx(right - left, rel=1e-6)


def test_panel_has_equal_scales_y_down_and_the_image_under_the_spots():
    adata = make_section()
    ax = mt.pl.domains(adata, crop=False, show=False)
    assert ax.get_aspect() == 1.0
    bottom, top = ax.get_ylim()
    assert bottom > top
    (image,) = ax.images
    assert tuple(image.get_extent()) == (0, 220, 200, 0)
    np.testing.assert_array_equal(image.get_array(), adata.uns["spatial"]["section"]["images"]["hires"])


def test_crop_keeps_every_spot_and_the_image_stays_in_register():
    adata = make_section()
    adata.obsm["spatial"] = 100 + adata.obsm["spatial"] / 4
    ax = mt.pl.domains(adata, show=False)
    xy = resolve(adata).xy
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert left <= xy[:, 0].min() - 5
    assert right >= xy[:, 0].max() + 5
    assert top <= xy[:, 1].min() - 5
    assert bottom >= xy[:, 1].max() + 5
    assert right - left < 100
    x0, x1, y1, y0 = (int(edge) for edge in ax.images[0].get_extent())
    full = adata.uns["spatial"]["section"]["images"]["hires"]
    np.testing.assert_array_equal(ax.images[0].get_array(), full[y0:y1, x0:x1])


@pytest.mark.slow
def test_a_large_image_is_thinned_without_moving():
    adata = make_section()
    ramp = np.broadcast_to(np.linspace(0, 255, 6000).astype(np.uint8)[None, :, None], (3000, 6000, 3))
    adata.uns["spatial"]["section"]["images"]["hires"] = ramp.copy()
    ax = mt.pl.domains(adata, crop=False, show=False)
    drawn = ax.images[0].get_array()
    assert max(drawn.shape) <= 1600
    left, right, _, _ = ax.images[0].get_extent()
    assert right - left == pytest.approx(6000, abs=8)
    centres = left + (np.arange(drawn.shape[1]) + 0.5) * (right - left) / drawn.shape[1]
    np.testing.assert_allclose(drawn[0, :, 0], centres / 6000 * 255, atol=2)


def test_every_spot_has_the_colour_of_its_category():
    adata = make_section()
    adata.uns["multist_domain_colors"] = ["#112233", "#445566", "#778899"]
    ax = mt.pl.domains(adata, alpha=0.5, show=False)
    expected = [to_rgba(adata.uns["multist_domain_colors"][int(d)], 0.5) for d in adata.obs["multist_domain"]]
    np.testing.assert_allclose(circles(ax).get_facecolors(), expected)
    assert legend_of(ax) == {"0": "#112233", "1": "#445566", "2": "#778899"}


@pytest.mark.slow
def test_colours_are_written_where_there_are_none_and_nothing_else_changes():
    adata = make_section()
    before = adata.copy()
    mt.pl.domains(adata, truth_key="truth", show=False)
    colors = adata.uns.pop("multist_domain_colors")
    assert len(set(colors)) == 3
    assert set(adata.uns) == set(before.uns)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    np.testing.assert_array_equal(adata.obsm["spatial"], before.obsm["spatial"])


@pytest.mark.slow
def test_the_users_own_colours_stay_and_a_view_stays_a_view():
    adata = make_section()
    view = adata[:20]
    mt.pl.domains(view, show=False)
    assert view.is_view
    assert "multist_domain_colors" not in adata.uns
    adata.uns["multist_domain_colors"] = ["red", "green", "blue"]
    mt.pl.domains(adata, show=False)
    assert list(adata.uns["multist_domain_colors"]) == ["red", "green", "blue"]


def test_truth_takes_the_colours_of_the_domains_it_overlaps_with():
    adata = make_section()
    result, truth = mt.pl.domains(adata, truth_key="truth", show=False)
    domain, region = legend_of(result), legend_of(truth)
    assert region["white matter"] == domain["0"]
    assert region["lesion"] == domain["1"]
    assert region["cortex"] == domain["2"]
    assert "not labelled" in region
    assert "not labelled" not in domain
    assert "truth_colors" not in adata.uns


def test_truth_with_more_regions_than_domains_gets_colours_of_its_own():
    adata = make_section()
    adata.obs["truth"] = np.arange(adata.n_obs) % 6
    result, truth = mt.pl.domains(adata, truth_key="truth", show=False)
    region = legend_of(truth)
    assert len(region) == 6
    assert len(set(region.values())) == 6
    assert set(legend_of(result).values()) < set(region.values())


@pytest.mark.slow
def test_sections_stand_side_by_side_over_their_own_images_with_one_legend():
    adata = make_pair()
    one, two = mt.pl.domains(adata, library_key="sample", show=False)
    record = resolve(adata, library_key="sample")
    for section, ax in enumerate((one, two)):
        np.testing.assert_allclose(circles(ax).get_offsets(), record.xy[record.section == section])
    assert (one.get_title(), two.get_title()) == ("one", "two")
    assert one.get_subplotspec().rowspan == two.get_subplotspec().rowspan
    assert [ax.get_legend() is not None for ax in (one, two)] == [False, True]
    assert circles(one).get_widths()[0] == pytest.approx(2 * circles(two).get_widths()[0])


@pytest.mark.slow
@pytest.mark.parametrize(("ncols", "shape"), [(None, (2, 2)), (1, (4, 1))])
def test_truth_of_several_sections_has_rows_of_its_own(ncols, shape):
    axes = mt.pl.domains(make_pair(), truth_key="truth", library_key="sample", ncols=ncols, show=False)
    assert len(axes) == 4
    assert axes[0].get_gridspec().get_geometry() == shape


@pytest.mark.slow
@pytest.mark.parametrize(("count", "shape"), [(3, (1, 3)), (4, (2, 2)), (5, (3, 2))])
def test_as_few_places_of_the_grid_are_empty_as_can_be(count: int, shape: tuple[int, int]):
    adata = make_section()
    axes = mt.pl.domains(adata, ["multist_domain", *["weight"] * (count - 1)], show=False)
    assert axes[0].get_gridspec().get_geometry() == shape


def test_numbers_get_a_colour_bar_and_missing_ones_are_grey():
    adata = make_section()
    adata.obs.loc[adata.obs_names[3], "weight"] = np.nan
    ax = mt.pl.domains(adata, "weight", alpha=1.0, show=False)
    assert ax.get_legend() is None
    (bar,) = ax.child_axes
    assert bar.get_ylim() == pytest.approx((adata.obs["weight"].min(), adata.obs["weight"].max()))
    colors = circles(ax).get_facecolors()
    lightness = colors[:, :3].sum(axis=1)
    known = adata.obs["weight"].notna().to_numpy()
    assert np.corrcoef(lightness[known], adata.obs["weight"][known])[0, 1] > 0.9
    assert len(set(colors[3, :3])) == 1


def test_without_an_image_spots_are_as_wide_as_their_spacing():
    adata = make_section(n_spots=100, image=False)
    adata.obsm["spatial"] = 7.0 * np.stack(np.divmod(np.arange(100), 10), axis=1)
    ax = mt.pl.domains(adata, show=False)
    assert not ax.images
    np.testing.assert_allclose(circles(ax).get_widths(), 7.0)
    assert ax.get_aspect() == 1.0


def test_one_spot_can_be_drawn():
    ax = mt.pl.domains(make_section(n_spots=1, image=False), show=False)
    assert np.isfinite(circles(ax).get_widths()).all()


@pytest.mark.slow
def test_draws_into_the_users_axes():
    _, ax = plt.subplots()
    assert mt.pl.domains(make_section(), ax=ax) is ax
    with pytest.raises(ValueError, match="2 are to be drawn"):
        mt.pl.domains(make_section(), truth_key="truth", ax=ax)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["right margin", "bottom margin"])
@pytest.mark.parametrize("color", ["multist_domain", ["multist_domain", "weight"]])
def test_legends_cover_no_panel(where, color):
    adata = make_section(n_spots=300)
    adata.obs["multist_domain"] = pd.Categorical([f"a region with a name {i % 20}" for i in range(300)])
    axes = np.atleast_1d(mt.pl.domains(adata, color, legend_loc=where, truth_key="truth", show=False))
    axes[0].figure.canvas.draw()
    panels = [ax.get_window_extent() for ax in axes]
    legends = [ax.get_legend().get_window_extent() for ax in axes if ax.get_legend()]
    bars = [child.get_window_extent() for ax in axes for child in ax.child_axes]
    for box in legends + bars:
        assert not any(box.padded(-2).overlaps(panel) for panel in panels)
    for i, box in enumerate(legends):
        assert not any(box.overlaps(other) for other in legends[i + 1 :])


@pytest.mark.slow
def test_names_that_differ_in_blanks_alone_have_an_entry_each():
    adata = make_section()
    adata.obs["blank"] = pd.Categorical(np.array(["a", "a ", "b\tc"])[np.arange(adata.n_obs) % 3])
    assert list(legend_of(mt.pl.domains(adata, "blank", show=False))) == ["a", "a ", "b\tc"]


@pytest.mark.slow
def test_long_names_take_several_lines_and_leave_room_for_the_map(caplog):
    adata = make_section()
    names = [f"Invasive ductal carcinoma with desmoplastic stroma {number:02d}" for number in range(15)]
    adata.obs["long"] = pd.Categorical(np.array(names)[np.arange(adata.n_obs) % 15], names)
    ax = mt.pl.domains(adata, "long", show=False)
    ax.figure.canvas.draw()
    assert min(ax.bbox.width, ax.bbox.height) > 2 * ax.figure.dpi and not caplog.text
    assert [label.replace("\n", " ") for label in legend_of(ax)] == names
    box = ax.get_legend().get_window_extent()
    assert box.x0 >= ax.bbox.x1 and box.height <= ax.figure.bbox.height
    below = mt.pl.domains(adata, "long", legend_loc="bottom margin", show=False)
    below.figure.canvas.draw()
    assert min(below.bbox.width, below.bbox.height) > 2 * below.figure.dpi and not caplog.text
    mt.pl.domains(adata, "long", figsize=(3, 3), show=False)
    assert "legend_loc='bottom margin' or fewer groups= leave it more" in caplog.text


def test_a_legend_lists_the_categories_that_a_spot_has_in_their_colours():
    adata = make_section()
    names = ["here", "nowhere", "there"]
    adata.obs["truth"] = pd.Categorical(["here", "there"] * (adata.n_obs // 2), names)
    adata.uns["truth_colors"] = ["#112233", "#445566", "#778899"]
    assert legend_of(mt.pl.domains(adata, "truth", show=False)) == {"here": "#112233", "there": "#778899"}
    adata.obs["annotation"] = pd.Categorical(["nowhere"] + [None] * (adata.n_obs - 1), names)
    # a stroke of which no domain is left is explained by itself
    assert "by hand: nowhere" in legend_of(mt.pl.domains(adata, "truth", labels_key="annotation", show=False))


@pytest.mark.slow
def test_too_many_categories_for_a_legend_are_drawn_without_and_the_log_says_so(caplog):
    adata = make_section(n_spots=120)
    adata.obs["date"] = [f"2024-01-01 {i % 61:03}" for i in range(120)]
    ax = mt.pl.domains(adata, "date", show=False)
    assert ax.get_legend() is None and ax.figure.get_figwidth() < 7.2
    assert "'date' has 61 categories, too many for a legend, which is left out: choose some by groups=" in caplog.text
    assert len({tuple(color) for color in circles(ax).get_facecolors()}) == 61
    caplog.clear()
    # as the log says, and where there is one less
    ax = mt.pl.domains(adata, "date", groups=["2024-01-01 000", "2024-01-01 001"], show=False)
    assert list(legend_of(ax)) == ["2024-01-01 000", "2024-01-01 001", "other"]
    adata.obs["date"] = adata.obs["date"].replace("2024-01-01 060", "2024-01-01 000")
    assert len(legend_of(mt.pl.domains(adata, "date", show=False))) == 60
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("gene_symbols", [None, "symbol"])
def test_a_column_with_the_name_of_a_gene_is_drawn_and_the_gene_by_its_layer(gene_symbols, caplog):
    adata = make_section()
    adata.layers["counts"] = np.tile(np.arange(3, dtype=np.float32), (adata.n_obs, 1))
    if gene_symbols is None:
        adata.var_names = ["MBP", "b", "c"]
    else:
        adata.var["symbol"] = ["MBP", "b", "c"]
    adata.obs["MBP"] = pd.Categorical(["high", "low"] * (adata.n_obs // 2))
    ax = mt.pl.domains(adata, "MBP", gene_symbols=gene_symbols, show=False)
    assert set(legend_of(ax)) == {"high", "low"}
    where = "var_names" if gene_symbols is None else "var['symbol']"
    assert [r.getMessage() for r in caplog.records] == [
        f"'MBP' is in obs and in {where}: the column of obs is drawn. For the gene give layer=, or rename the column"
    ]
    caplog.clear()
    keys = ["MBP", "truth"]  # of which one is no gene
    gene, truth = mt.pl.domains(adata, keys, gene_symbols=gene_symbols, layer="counts", show=False)
    assert gene.get_legend() is None and gene.child_axes and set(legend_of(truth)) >= {"cortex", "lesion"}
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_without_layers_the_cure_for_a_column_with_the_name_of_a_gene_is_another_name(caplog):
    adata = make_section()
    adata.var_names = ["MBP", "b", "c"]
    adata.obs["MBP"] = "high"
    mt.pl.domains(adata, "MBP", show=False)
    assert caplog.messages[0].endswith("the column of obs is drawn. For the gene rename the column")


def test_a_missing_column_is_named_with_those_that_exist():
    with pytest.raises(KeyError, match=r"color 'leiden' not found.*'multist_domain', 'truth', 'weight'"):
        mt.pl.domains(make_section(), "leiden", show=False)
    with pytest.raises(KeyError, match="truth_key 'annotation' not found"):
        mt.pl.domains(make_section(), truth_key="annotation", show=False)


def test_colours_never_repeat_however_many_categories():
    from multist._palette import domain_colors

    assert len(set(domain_colors(120))) == 120
    assert domain_colors(120)[:7] == domain_colors(7)


@pytest.mark.slow
def test_a_spatialdata_is_drawn_in_the_pixels_of_its_image(tissue):
    ax = mt.pl.domains(tissue, "domain", show=False)
    record = resolve(tissue)
    np.testing.assert_allclose(circles(ax).get_offsets(), record.xy)
    # under a spot lies the pixel that the photograph has there
    left, right, bottom, top = ax.images[0].get_extent()
    drawn = np.asarray(ax.images[0].get_array())
    full = np.asarray(record.images[0].levels[0])
    x, y = record.xy[0]
    row = int((y - top) / (bottom - top) * drawn.shape[0])
    column = int((x - left) / (right - left) * drawn.shape[1])
    np.testing.assert_array_equal(drawn[row, column], full[int(y), int(x)])


def test_domains_that_a_file_made_numbers_are_names():
    adata, others = make_section(), make_section()
    others.obs["multist_domain"] = others.obs["multist_domain"].astype(float)
    others.obs["count"] = others.obs["multist_domain"]
    named, numbers = (mt.pl.domains(each, show=False) for each in (adata, others))
    assert [t.get_text() for t in numbers.get_legend().texts] == [t.get_text() for t in named.get_legend().texts]
    assert mt.pl.domains(others, "count", show=False).get_legend() is None


def test_spots_without_a_label_are_as_dense_as_others_and_those_left_out_fainter():
    adata = make_section()
    adata.obs.loc[adata.obs_names[:10], "multist_domain"] = np.nan
    every = mt.pl.domains(adata, show=False).collections[0].get_facecolors()
    chosen = mt.pl.domains(adata, groups=["1"], show=False).collections[0].get_facecolors()
    assert np.ptp(every[:, 3]) == 0
    assert set(np.round(chosen[:, 3] / every[0, 3], 3)) == {0.5, 1.0}


def test_a_gene_of_raw_alone_is_drawn_and_said(caplog):
    adata = make_section()
    adata.var_names = ["A", "B", "C"]
    adata.X[:, 2] = np.arange(adata.n_obs)
    whole = mt.pl.domains(adata, "C", show=False).collections[0].get_facecolors()
    adata.raw = adata.copy()
    part = adata[:, ["A", "B"]].copy()
    caplog.set_level("INFO")
    np.testing.assert_array_equal(mt.pl.domains(part, "C", show=False).collections[0].get_facecolors(), whole)
    assert "'C': found in raw alone, which is read" in caplog.text
    part.layers["counts"] = part.X.copy()
    with pytest.raises(KeyError, match="color 'C' not found"):
        mt.pl.domains(part, "C", layer="counts", show=False)
