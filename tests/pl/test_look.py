"""The vocabulary that every plot shares means the same in each."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.text import Text
from matplotlib_scalebar.scalebar import ScaleBar
from PIL import Image

import multist as mt
from multist.pl._look import DESCRIBED, FigureOptions, Look, MapOptions

PLOTS = [name for name in dir(mt.pl) if callable(getattr(mt.pl, name))]
ARGUMENTS: dict[str, tuple[Any, ...]] = {"attention": (["s55"],)}


def draw(name: str, adata: ad.AnnData, **options: Any) -> Any:
    return getattr(mt.pl, name)(adata, *ARGUMENTS.get(name, ()), **options)


def options_of(name: str) -> set[str]:
    return set(inspect.signature(getattr(mt.pl, name)).parameters)


MAPS = [name for name in PLOTS if "microns_per_pixel" in options_of(name)]


def test_options_are_listed_once_and_each_is_described():
    assert tuple(MapOptions.__annotations__) == tuple(Look.__dataclass_fields__) == tuple(DESCRIBED)
    assert set(FigureOptions.__annotations__) < set(MapOptions.__annotations__)


def test_every_plot_shows_its_options_in_its_signature():
    for name in PLOTS:
        # all others draw columns or genes on the tissue
        options = FigureOptions if name in ("n_domains", "histology") else MapOptions
        assert set(options.__annotations__) <= options_of(name), name


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_figures_fit_a_page_with_print_to_read_a_scale_bar_and_axes_for_each_panel(name: str, everything: ad.AnnData):
    own = draw(name, everything, show=False)
    count = len(own) if isinstance(own, list) else 1
    figure = (own[0] if isinstance(own, list) else own).get_figure(root=True)
    assert figure.get_figwidth() <= 7.2 + 1e-6
    figure.canvas.draw()
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}
    assert min(sizes) >= 7
    bars = figure.findobj(ScaleBar)
    # 200 px at full resolution are 100 um, an image pixel is ten times as large
    assert bool(bars) == (name in MAPS) and all(bar.dx == pytest.approx(5.0) for bar in bars)
    figure, axes = plt.subplots(1, count, squeeze=False)
    given = list(axes.ravel())
    drawn = draw(name, everything, ax=given if count > 1 else given[0])
    assert (drawn if isinstance(drawn, list) else [drawn]) == given
    assert all(ax.has_data() or ax.texts for ax in given)
    _, wrong = plt.subplots(1, count + 1, squeeze=False)
    with pytest.raises(ValueError, match=f"ax has {count + 1} axes, but {count} are to be drawn"):
        draw(name, everything, ax=list(wrong.ravel()))
    assert figure.number in plt.get_fignums()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["modality_weights", "pseudotime"])
@pytest.mark.parametrize("width", [0.8, 1.1, 1.3])
def test_numbers_beside_a_map_keep_clear_of_the_next_panel(name: str, width: float, everything: ad.AnnData):
    adata = everything.copy()
    adata.obsm["spatial"] = adata.obsm["spatial"] * [width, 1]
    figure = draw(name, adata, image_key=None, return_fig=True)
    figure.canvas.draw()
    tissue, beside = figure.axes[:2]
    numbers = [label.get_window_extent() for label in tissue.child_axes[0].get_yticklabels()]
    names = [label.get_window_extent() for label in beside.get_yticklabels()]
    assert max(box.x1 for box in numbers) < min(box.x0 for box in names)


@pytest.fixture
def eager_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A backend that switches drawing on, as a notebook's does when it is loaded by the first figure."""
    backend = "from matplotlib.backends.backend_agg import *\nimport matplotlib\nmatplotlib.interactive(True)"
    (tmp_path / "eager_backend.py").write_text(backend)
    monkeypatch.syspath_prepend(tmp_path)
    before = plt.get_backend()
    monkeypatch.setattr(plt, "_backend_mod", None)
    monkeypatch.setitem(plt.rcParams, "backend", "module://eager_backend")
    yield
    plt.close("all")
    plt.switch_backend(before)
    plt.ioff()


def test_what_a_backend_switches_on_stays_on(everything: ad.AnnData, eager_backend):
    mt.pl.domains(everything, return_fig=True)
    assert plt.isinteractive()


@pytest.fixture
def figdir(tmp_path):
    """Where scanpy saves figures, as PNG."""
    import scanpy as sc

    before = sc.settings.figdir, sc.settings.file_format_figs
    sc.settings.figdir, sc.settings.file_format_figs = tmp_path / "figures", "png"
    yield tmp_path / "figures"
    sc.settings.figdir, sc.settings.file_format_figs = before


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_saving_true_goes_where_scanpy_saves_and_dollar_signs_in_names_are_no_formulas(
    name: str, everything: ad.AnnData, figdir
):
    adata = everything.copy()
    odd = {"0": r"$\frac$", "1": "$5 & $6", "2": "x_{$"}
    adata.obs["multist_domain"] = adata.obs["multist_domain"].cat.rename_categories(odd)
    adata.var_names = [f"$\\gene{i}$" for i in range(12)]
    renamed = lambda frame: frame.replace({c: odd for c in frame if "domain" in c}).replace("A", r"$\alpha$$")
    held = adata.uns["multist"]
    acting = held["interactions"] | {key: renamed(held["interactions"][key]) for key in ("pairs", "borders")}
    adata.uns["multist"] = held | {"interactions": acting, "border_sharpness": renamed(held["border_sharpness"])}
    assert draw(name, adata, save=True, dpi=60) is None
    picture = plt.imread(figdir / f"{name}.png")
    assert picture.shape[1] <= 7.3 * 60 and (picture[..., :3].min(axis=2) < 1).mean() > 0.01, "something is drawn"
    assert not plt.get_fignums()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_size_scale_and_title_are_the_users_and_print_in_an_svg_is_print(name: str, everything: ad.AnnData, tmp_path):
    options = {"microns_per_pixel": 2.0} if name in MAPS else {}
    path = tmp_path / "new" / "plot.svg"
    figure = draw(name, everything, title="my title", figsize=(5, 3), save=path, return_fig=True, **options)
    assert isinstance(figure, plt.Figure) and tuple(figure.get_size_inches()) == (5, 3)
    bars = figure.findobj(ScaleBar)
    assert bool(bars) == (name in MAPS) and all(bar.dx == pytest.approx(2.0) for bar in bars)
    texts = [each.text for each in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert "my title" in texts


@pytest.mark.slow
def test_fonts_are_embedded_so_that_print_in_a_pdf_is_print(everything: ad.AnnData, tmp_path):
    draw("borders", everything, save=tmp_path / "plot.pdf")
    fonts = (tmp_path / "plot.pdf").read_bytes()
    assert b"/CIDFontType2" in fonts and b"/Type3" not in fonts


def dots_per_inch(path: Path) -> int:
    with Image.open(path) as picture:
        return round(picture.info["dpi"][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["histology", "n_domains"])
def test_files_have_as_many_dots_as_were_asked_for(name: str, everything: ad.AnnData, tmp_path):
    figure = draw(name, everything, figsize=(3, 2), dpi=30, save=tmp_path / "asked.png", return_fig=True)
    assert isinstance(figure, plt.Figure) and dots_per_inch(tmp_path / "asked.png") == 30
    for kind, usual in (("tif", 300), ("png", 200)):
        draw(name, everything, figsize=(3, 2), save=tmp_path / f"usual.{kind}")
        assert dots_per_inch(tmp_path / f"usual.{kind}") == usual


@pytest.mark.slow
@pytest.mark.parametrize("name", ["domains", "attention", "histology"])
def test_photographs_have_the_dots_of_the_figure(name: str, everything: ad.AnnData):
    adata = everything.copy()
    held = adata.uns["spatial"]["s"]
    held["images"]["hires"] = np.full((2200, 2200, 3), 200, dtype=np.uint8)
    held["scalefactors"] = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 110.0}
    options = {"radius": 12} if name == "attention" else {}

    def widest(dpi: float | None) -> int:
        figure = draw(name, adata, figsize=(9, 6), dpi=dpi, return_fig=True, **options)
        return max(max(image.get_array().shape) for ax in figure.findobj(plt.Axes) for image in ax.images)

    assert 1000 <= widest(None) < 2000 < widest(900)


@pytest.mark.slow
def test_a_map_of_unknown_scale_has_no_scale_bar(everything: ad.AnnData):
    adata = everything.copy()
    adata.uns["spatial"]["s"]["scalefactors"] = {"tissue_hires_scalef": 0.1, "spot_diameter_fullres": 40.0}
    assert not draw("domains", adata, return_fig=True).findobj(ScaleBar)


@pytest.fixture
def bar_boxes(monkeypatch) -> list[AnchoredOffsetbox]:
    """The frames of the scale bars, which are made as they are drawn."""
    made = []

    class Noted(AnchoredOffsetbox):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr("matplotlib_scalebar.scalebar.AnchoredOffsetbox", Noted)
    return made


def covered_by_the_bar(ax: plt.Axes, boxes: list[AnchoredOffsetbox]) -> tuple[int, str]:
    """How many spots a scale bar covers, and where it is."""
    ax.figure.canvas.draw()
    box = boxes[-1].get_window_extent(ax.figure.canvas.get_renderer())
    right, upper = np.mean(box, axis=0) > np.mean(ax.get_window_extent(), axis=0)
    where = f"{'upper' if upper else 'lower'} {'right' if right else 'left'}"
    (spots,) = [each for each in ax.collections if isinstance(each, EllipseCollection)]
    low, high = (ax.transData.transform(spots.get_offsets() + side * spots.get_widths()[0] / 2) for side in (-1, 1))
    low, high = np.minimum(low, high), np.maximum(low, high)
    return int(((high > box.min) & (low < box.max)).all(axis=1).sum()), where


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gone", "corner", "figsize"),
    [
        ((0, 0), "upper left", None),
        ((0, 11), "upper right", None),
        ((11, 0), "lower left", None),
        ((11, 11), "lower right", None),
        ((11, 11), "lower right", (2, 2)),
        (None, "lower left", None),
        (None, "lower left", (2, 2)),
    ],
)
def test_scale_bars_cover_no_spot(gone, corner: str, figsize, everything: ad.AnnData, bar_boxes):
    row, column = np.divmod(np.arange(144), 12)
    far = 0 if gone is None else np.maximum(abs(row - gone[0]), abs(column - gone[1]))
    adata = everything[np.full(144, True) if gone is None else far > 5].copy()
    ax = mt.pl.domains(adata, figsize=figsize, microns_per_pixel=2.0, show=False)
    assert covered_by_the_bar(ax, bar_boxes) == (0, corner)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["modality_weights", "pseudotime", "borders"])
def test_scale_bars_cover_no_spot_beside_other_panels(name: str, everything: ad.AnnData, bar_boxes):
    tissue, *_ = draw(name, everything, microns_per_pixel=2.0, show=False)
    assert covered_by_the_bar(tissue, bar_boxes) == (0, "lower left")


@pytest.mark.slow
def test_scale_bars_name_their_unit_in_plain_letters(everything: ad.AnnData):
    bar = draw("domains", everything, return_fig=True).findobj(ScaleBar)[0]
    for unit in ("nm", "µm", "mm"):
        assert bar.scale_formatter(200, bar.dimension.to_latex(unit)) == f"200 {unit}"


def test_an_unknown_option_is_refused_with_those_that_exist(everything: ad.AnnData):
    with pytest.raises(TypeError, match=r"pl.domains has no option 'colour'; it has: alpha, ax, bw, cmap"):
        mt.pl.domains(everything, colour="red")
    with pytest.raises(TypeError, match=r"pl.n_domains has no option 'cmap'"):
        mt.pl.n_domains(everything, cmap="magma")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"figsize": (3, 3), "ax": 1}, "figsize"),
        ({"figsize": (5, -1)}, "figsize is a width and a height in inches, both positive"),
        ({"figsize": (float("nan"), 3)}, "figsize is a width and a height in inches, both positive"),
        ({"figsize": 5}, "figsize is a width and a height in inches, both positive; got 5"),
        ({"figsize": (5, 4, 3)}, "figsize is a width and a height in inches"),
        ({"dpi": 0}, "dpi is a positive number"),
        ({"img_alpha": 2}, "img_alpha lies between 0 and 1"),
        ({"alpha": 2}, "alpha lies between 0 and 1"),
        ({"alpha": "half"}, "alpha lies between 0 and 1"),
        ({"size": 0}, "size is a positive number"),
        ({"size": "2"}, "size is a positive number"),
        ({"size": float("inf")}, "size is a positive number"),
        ({"ncols": 0}, "ncols must be a whole number"),
        ({"ncols": 1.5}, "ncols must be a whole number"),
        ({"microns_per_pixel": 0}, "microns_per_pixel is positive"),
        ({"legend_loc": "upper right"}, "'right margin', 'bottom margin', 'on data', 'none'"),
        ({"title": ["one", "two"]}, "2 titles for 1 panels"),
        ({"groups": 7}, "groups '7' not among the categories; found: '0', '1', '2'"),
        ({"groups": "7"}, "groups '7' not among the categories; found: '0', '1', '2'"),
        ({"palette": ["red"]}, "1 colours for the 3 categories"),
    ],
)
def test_impossible_options_are_refused_and_leave_no_figure(everything: ad.AnnData, options, message):
    with pytest.raises(ValueError, match=message):
        mt.pl.domains(everything, **options)
    assert not plt.get_fignums()


def test_a_result_that_is_not_there_is_named_with_what_makes_it(everything: ad.AnnData):
    by = {"borders": "tl.interactions first, with", "n_domains": "tl.multist_domains first, with n_domains='auto' and"}
    for name, made in by.items():
        with pytest.raises(KeyError, match=f"'other'.*Run {made} key_added='other'"):
            draw(name, everything, key="other")


def test_a_grid_of_axes_is_taken_row_by_row(everything: ad.AnnData):
    _, grid = plt.subplots(2, 2)
    colors = ["multist_domain", "multist_image_weight", "gene0", "gene1"]
    assert mt.pl.domains(everything, colors, ax=grid) == list(grid.ravel())
    assert [ax.get_title() for ax in grid.ravel()] == ["domains", "weight of the image", "gene0", "gene1"]


def test_fonts_of_the_session_are_left_alone(everything: ad.AnnData):
    before = dict(plt.rcParams)
    mt.pl.domains(everything, show=False)
    assert dict(plt.rcParams) == before
