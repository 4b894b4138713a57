"""The figure says where the image counted, and which modality drew which border."""

from __future__ import annotations

import itertools

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_hex

import multist as mt
from multist.access import resolve

WEIGHT = {"0": 0.2, "1": 0.6, "2": 0.4}


def made() -> ad.AnnData:
    """Three domains side by side on a square lattice, each with its own weight, over an image."""
    row, column = np.divmod(np.arange(30 * 12), 30)
    xy = 10.0 * np.column_stack([column, row]) + 10
    adata = ad.AnnData(np.ones((len(xy), 2), dtype=np.float32), obsm={"spatial": xy})
    adata.obs["multist_domain"] = pd.Categorical((column // 10).astype(str))
    spread = np.random.default_rng(0).uniform(-0.05, 0.05, len(xy))
    adata.obs["multist_image_weight"] = adata.obs["multist_domain"].astype(str).map(WEIGHT).to_numpy() + spread
    adata.obs["sample"] = pd.Categorical(np.where(row < 6, "upper", "lower"))
    image = np.full((140, 320, 3), 200, dtype=np.uint8)
    scales = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 8.0}
    adata.uns["spatial"] = {"section": {"images": {"hires": image}, "scalefactors": scales}}
    return adata


@pytest.fixture
def section() -> ad.AnnData:
    return made()


def sharpness(*rows: tuple[str, str, float, float, float, float]) -> dict[str, object]:
    """A result as tl.border_sharpness writes it."""
    columns = ["domain_1", "domain_2", "expression", "expression_pvalue", "histology", "histology_pvalue"]
    table = pd.DataFrame(rows, columns=columns).assign(expression_null=0.7, histology_null=0.8, n_edges=30)
    table["n_spots"] = np.arange(len(table)) + 60
    table["drawn_by"] = "both"
    return {"border_sharpness": table, "border_sharpness_params": {"cluster_key": "multist_domain"}}


def labels(ax: plt.Axes) -> list[str]:
    return [text.get_text() for text in ax.get_yticklabels()]


def dots(ax: plt.Axes) -> dict[tuple[int, str], tuple[float, bool]]:
    """Row and colour to the value and whether the circle is full."""
    return {
        (round(line.get_ydata()[0]), line.get_color()): (
            float(line.get_xdata()[0]),
            to_hex(line.get_markerfacecolor()) == line.get_color(),
        )
        for line in ax.lines
        if line.get_marker() == "o"
    }


@pytest.fixture(scope="module")
def usual() -> tuple[ad.AnnData, list[plt.Axes]]:
    """The section after it was drawn, and its panels, for those who only look."""
    adata = made()
    return adata, mt.pl.modality_weights(adata, show=False)


def test_the_map_has_every_spot_in_the_colour_of_its_weight(usual):
    drawn, (tissue, _) = usual
    (circles,) = [c for c in tissue.collections if isinstance(c, EllipseCollection)]
    np.testing.assert_allclose(circles.get_offsets(), resolve(drawn).xy)
    lightness = circles.get_facecolors()[:, :3].sum(axis=1)
    assert np.corrcoef(lightness, drawn.obs["multist_image_weight"])[0, 1] > 0.9
    assert tissue.get_aspect() == 1.0


def test_nothing_is_written_but_missing_colours(section: ad.AnnData, usual):
    drawn, _ = usual
    assert len(drawn.uns["multist_domain_colors"]) == 3
    assert set(drawn.uns) == {*section.uns, "multist_domain_colors"}
    pd.testing.assert_frame_equal(drawn.obs, section.obs)


@pytest.mark.slow
def test_outlines_run_between_domains_and_only_there(section: ad.AnnData, usual):
    _, (tissue, _) = usual
    (lines,) = [c for c in tissue.collections if isinstance(c, LineCollection)]
    facets = np.array(lines.get_segments())
    assert set(np.round(facets[..., 0].ravel(), 6)) == {105.0, 205.0}
    assert len(facets) >= 2 * 10
    assert facets[..., 1].min() >= 0 and facets[..., 1].max() <= 130
    bare, _ = mt.pl.modality_weights(section, outlines=False, show=False)
    assert not [c for c in bare.collections if isinstance(c, LineCollection)]


@pytest.mark.slow
def test_domains_are_ordered_by_their_median_in_their_colours(section: ad.AnnData):
    section.uns["multist_domain_colors"] = ["#112233", "#445566", "#778899"]
    _, boxes = mt.pl.modality_weights(section, show=False)
    assert labels(boxes) == ["1", "2", "0"]
    bottom, top = boxes.get_ylim()
    assert bottom > top
    assert [to_hex(patch.get_facecolor()) for patch in boxes.patches] == ["#445566", "#778899", "#112233"]
    for patch, name in zip(boxes.patches, labels(boxes), strict=True):
        own = section.obs.loc[section.obs["multist_domain"] == name, "multist_image_weight"]
        low, high = np.percentile(own, [25, 75])
        assert (patch.get_x(), patch.get_width()) == pytest.approx((low, high - low))


@pytest.mark.slow
def test_borders_go_from_the_images_to_the_expressions_and_full_means_significant(section: ad.AnnData):
    section.uns["multist"] = sharpness(("0", "1", 0.98, 0.01, 0.55, 0.9), ("1", "2", 0.52, 0.8, 0.97, 0.02))
    *_, borders = mt.pl.modality_weights(section, show=False)
    assert labels(borders) == ["1 | 2", "0 | 1"]
    expression, histology = "#0072b2", "#d55e00"
    assert dots(borders) == {
        (0, expression): (0.52, False),
        (0, histology): (0.97, True),
        (1, expression): (0.98, True),
        (1, histology): (0.55, False),
    }
    assert borders.get_title() == "borders"


@pytest.mark.slow
def test_what_was_not_measured_is_not_drawn_and_what_was_not_tested_is_said(section: ad.AnnData):
    unknown = ("0", "2", np.nan, np.nan, np.nan, np.nan)
    section.uns["multist"] = sharpness(("0", "1", 0.9, np.nan, np.nan, np.nan), unknown)
    section.uns["multist"]["border_sharpness_params"]["cluster_key"] = "layers"
    *_, borders = mt.pl.modality_weights(section, show=False)
    assert labels(borders) == ["0 | 1"]
    assert dots(borders) == {(0, "#0072b2"): (0.9, False)}
    entries = {text.get_text() for text in borders.get_legend().get_texts()}
    assert "not tested" in entries and "expression" in entries and "histology" not in entries
    (circle,) = [line for line in borders.lines if line.get_marker() == "o"]
    assert list(circle.get_ydata()) == [0], "in the middle where there is no other beside it"
    assert borders.get_title() == "borders of layers"


@pytest.mark.slow
def test_without_measured_borders_there_is_no_panel_for_them(section: ad.AnnData):
    section.uns["multist"] = sharpness(("0", "2", np.nan, np.nan, np.nan, np.nan))
    assert len(mt.pl.modality_weights(section, show=False)) == 2


@pytest.mark.slow
def test_many_borders_with_long_names_do_not_overlap(section: ad.AnnData):
    rows = [(f"a region called {i}", f"another region {i}", 0.9, 0.01, 0.8, 0.3) for i in range(30)]
    section.uns["multist"] = sharpness(*rows)
    *others, borders = mt.pl.modality_weights(section, show=False)
    borders.figure.canvas.draw()
    assert len(labels(borders)) == 20
    assert "a region called 29 |\nanother region 29" in labels(borders)
    boxes = [text.get_window_extent() for text in borders.get_yticklabels()]
    for one, two in itertools.pairwise(boxes):
        assert not one.padded(-0.5).overlaps(two.padded(-0.5))
    for panel in others:
        assert not any(box.overlaps(panel.get_window_extent()) for box in boxes)


@pytest.mark.slow
def test_every_section_has_a_map(section: ad.AnnData):
    section.uns["spatial"] = dict.fromkeys(("upper", "lower"), section.uns["spatial"]["section"])
    upper, lower, boxes = mt.pl.modality_weights(section, library_key="sample", show=False)
    assert (upper.get_title(), lower.get_title(), boxes.get_title()) == ("upper", "lower", "by domain")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": "second"}, KeyError, "'second_image_weight' not found in obs; found: 'multist_domain'"),
        ({"cluster_key": "leiden"}, KeyError, "cluster_key 'leiden' not found"),
        ({"cluster_key": "multist_image_weight"}, ValueError, "numbers that are no names"),
    ],
)
def test_impossible_calls_are_refused(section: ad.AnnData, options, error, message):
    with pytest.raises(error, match=message):
        mt.pl.modality_weights(section, show=False, **options)
