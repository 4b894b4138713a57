"""The map, the distribution by domain and the trends say what the table holds."""

from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_hex
from scipy import sparse

import multist as mt
from multist.pl import _trends


def timed(*, n_spots: int = 240, sections: int = 1) -> ad.AnnData:
    """Three domains along a pseudotime, the last one first by name; genes that rise, fall, peak, or do nothing."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, n_spots)
    rate = np.column_stack(
        [1 + 20 * time, 21 - 20 * time, 20 * np.exp(-((time - 0.5) ** 2) / 0.02), np.full(n_spots, 8)]
    )
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)))
    adata.var_names = ["rising", "falling", "peak", "flat"]
    adata.obs_names = [f"spot-{i}" for i in range(n_spots)]
    adata.obs["multist_pseudotime"] = time
    adata.obs["multist_domain"] = pd.Categorical(np.array(["z", "m", "a"])[(2.999 * time).astype(int)])
    adata.obs["section"] = pd.Categorical([f"s{i % sections}" for i in range(n_spots)])
    adata.obsm["spatial"] = np.column_stack([np.arange(n_spots) % 16, np.arange(n_spots) // 16]).astype(float)
    adata.uns["multist"] = {"pseudotime": {"params": {"cluster_key": "multist_domain"}}}
    return adata


def circles(ax: plt.Axes) -> EllipseCollection:
    (found,) = [c for c in ax.collections if isinstance(c, EllipseCollection)]
    return found


def curves(ax: plt.Axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in ax.lines if not line.get_label().startswith("_")}


@pytest.mark.slow
def test_three_panels_hold_what_the_table_says_and_only_missing_colours_are_written():
    adata = timed()
    counts = adata.X.copy()
    tissue, domains, trends = mt.pl.pseudotime(adata, show=False)
    assert (adata.X != counts).nnz == 0
    assert set(adata.uns) == {"multist", "multist_domain_colors"}
    expected = plt.get_cmap("plasma")(adata.obs["multist_pseudotime"].to_numpy())[:, :3]
    np.testing.assert_allclose(circles(tissue).get_facecolors()[:, :3], expected, atol=0.01)
    # from the root down, not by name
    assert [label.get_text() for label in domains.get_yticklabels()] == ["z", "m", "a"]
    assert domains.get_ylim()[0] > domains.get_ylim()[1]
    medians = [line.get_xdata()[0] for line in domains.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(medians, [1 / 6, 1 / 2, 5 / 6], atol=0.01)
    shapes = [to_hex(c.get_facecolor()[0]).upper() for c in domains.collections]
    colors = dict(zip(adata.obs["multist_domain"].cat.categories, adata.uns["multist_domain_colors"], strict=True))
    assert shapes == [colors[name].upper() for name in "zma"]
    assert next(iter(curves(trends))) == "rising" and "falling" in curves(trends)


@pytest.mark.slow
def test_trends_go_the_way_of_the_genes():
    *_, trends = mt.pl.pseudotime(timed(), genes=["rising", "falling", "peak", "flat"], show=False)
    drawn = curves(trends)
    assert drawn["rising"][-1] > 1 > -1 > drawn["rising"][0]
    assert drawn["falling"][0] > 0.5 > -0.5 > drawn["falling"][-1]
    assert 20 < np.argmax(drawn["peak"]) < 40
    assert np.ptp(drawn["flat"]) < np.ptp(drawn["rising"])
    assert [text.get_text() for text in trends.get_legend().get_texts()] == ["rising", "falling", "peak", "flat"]


@pytest.mark.slow
def test_genes_by_their_symbols():
    adata = timed()
    expected = curves(mt.pl.pseudotime(adata, genes=["peak", "rising"], show=False)[-1])
    adata.var["symbol"] = pd.Categorical(["MBP", "PCP4", "ENC1", None])
    adata.var_names = [f"ENSG{i}" for i in range(4)]
    *_, trends = mt.pl.pseudotime(adata, genes=["ENC1", "MBP"], gene_symbols="symbol", show=False)
    for name, other in (("ENC1", "peak"), ("MBP", "rising")):
        np.testing.assert_array_equal(curves(trends)[name], expected[other])
    *_, strongest = mt.pl.pseudotime(adata, gene_symbols="symbol", show=False)
    assert {"MBP", "PCP4"} <= set(curves(strongest)) <= {"MBP", "PCP4", "ENC1", "ENSG3"}
    with pytest.raises(KeyError, match=r"genes 'ENSG0' not found in var\['symbol'\]; the table has 'MBP', 'PCP4'"):
        mt.pl.pseudotime(adata, genes="ENSG0", gene_symbols="symbol")
    with pytest.raises(KeyError, match="gene_symbols 'name' not found in var; found: 'symbol'"):
        mt.pl.pseudotime(adata, gene_symbols="name")
    adata.var["symbol"] = ["MBP", "MBP", "ENC1", "X"]
    with pytest.raises(ValueError, match=r"var\['symbol'\]: 'MBP' names several genes"):
        mt.pl.pseudotime(adata, genes="MBP", gene_symbols="symbol")


@pytest.mark.slow
def test_genes_and_the_panel_can_be_left_out():
    assert len(mt.pl.pseudotime(timed(), genes=[], show=False)) == 2
    assert len(mt.pl.pseudotime(timed()[:, []].copy(), show=False)) == 2
    assert list(curves(mt.pl.pseudotime(timed(), genes="peak", show=False)[-1])) == ["peak"]


@pytest.mark.slow
def test_a_layer_is_taken_as_it_is():
    adata = timed()
    adata.layers["scaled"] = -np.asarray(adata.X.todense()) / 3
    *_, trends = mt.pl.pseudotime(adata, genes="rising", layer="scaled", show=False)
    assert curves(trends)["rising"][0] > 1
    with pytest.raises(KeyError, match="layer 'none' not found in layers; found: 'scaled'"):
        mt.pl.pseudotime(adata, layer="none")


@pytest.mark.slow
def test_sections_have_a_map_each_on_one_scale():
    adata = timed(sections=2)
    axes = mt.pl.pseudotime(adata, library_key="section", show=False)
    assert [ax.get_title() for ax in axes[:2]] == ["s0", "s1"]
    assert len(axes) == 4
    for code, ax in enumerate(axes[:2]):
        time = adata.obs["multist_pseudotime"].to_numpy()[code::2]
        expected = plt.get_cmap("plasma")(time)[:, :3]
        np.testing.assert_allclose(circles(ax).get_facecolors()[:, :3], expected, atol=0.01)
    assert axes[1].child_axes[-1].get_ylabel() == "pseudotime"  # as titles are the sections' names


@pytest.mark.slow
def test_spots_without_pseudotime_are_grey_and_count_nowhere():
    adata = timed()
    adata.obs.loc[adata.obs["multist_domain"] == "m", "multist_pseudotime"] = np.nan
    tissue, domains, trends = mt.pl.pseudotime(adata, genes="rising", show=False)
    assert to_hex(circles(tissue).get_facecolors()[120]).upper() == "#BFBFBF"
    assert [label.get_text() for label in domains.get_yticklabels()] == ["z", "a"]
    curve, time = curves(trends)["rising"], np.linspace(0, 1, 60)  # the middle third has no spot
    assert np.isfinite(curve[abs(time - 0.5) > 1 / 6 - 0.05 + 0.01]).all()
    assert np.isnan(curve[abs(time - 0.5) < 1 / 6 - 0.05 - 0.01]).all()


@pytest.mark.slow
def test_of_many_cells_those_that_are_drawn_may_all_be_alike(monkeypatch):
    monkeypatch.setattr("multist.pl._pseudotime._MOST_POINTS", 40)
    adata = timed()
    adata.obs["multist_pseudotime"] = np.arange(240) % 2
    _, domains = mt.pl.pseudotime(adata, genes=[], show=False)
    assert len(domains.get_yticklabels()) == 3


def test_what_is_missing_is_named():
    adata = timed()
    with pytest.raises(KeyError, match=r"'other_pseudotime' not found in obs.*key_added='other'"):
        mt.pl.pseudotime(adata, "other")
    with pytest.raises(KeyError, match="genes 'MBP' not found in var_names; the table has 'rising'"):
        mt.pl.pseudotime(adata, genes=np.array(["MBP"]))
    with pytest.raises(KeyError, match="cluster_key 'layer' not found"):
        mt.pl.pseudotime(adata, cluster_key="layer")
    adata.obs["multist_pseudotime"] = np.nan
    with pytest.raises(ValueError, match="no value for any of the 240 spots"):
        mt.pl.pseudotime(adata)


@pytest.mark.slow
def test_no_labels_overlap():
    adata = timed()
    long = ["a very long name of a domain", "another one, still longer than the first", "short"]
    adata.obs["multist_domain"] = adata.obs["multist_domain"].cat.rename_categories(long)
    tissue, domains, trends = mt.pl.pseudotime(adata, show=False)
    domains.figure.canvas.draw()
    bar = tissue.child_axes[0].get_tightbbox()
    labels = [label.get_window_extent() for label in domains.get_yticklabels()]
    assert not any(label.overlaps(bar) for label in labels)
    assert max(label.x1 for label in labels) < trends.get_tightbbox().x0
    assert domains.get_tightbbox().x1 < trends.get_tightbbox().x0


def test_a_curve_follows_its_function_and_its_band_shrinks_with_cells():
    rng = np.random.default_rng(0)
    errors = []
    for n_cells in (400, 6400):
        time = rng.random(n_cells)
        trend = _trends.local_trend(time, 3 * time - 1 + rng.normal(size=n_cells))
        assert np.abs(trend.mean - (3 * trend.at - 1)).max() < 4 * trend.error.max()
        errors.append(trend.error[20:40].mean())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25)
    apart = np.concatenate([np.linspace(0, 0.1, 50), np.linspace(0.9, 1, 50)])
    trend = _trends.local_trend(apart, np.sin(20 * apart))
    assert np.isnan(trend.mean[(trend.at > 0.16) & (trend.at < 0.84)]).all()
    assert np.isfinite(trend.mean[(trend.at < 0.14) | (trend.at > 0.86)]).all()
    same = _trends.local_trend(np.zeros(30), np.full(30, 2.0))
    np.testing.assert_allclose(same.mean, 2)


def test_beyond_the_nearest_cells_a_curve_is_level():
    time = np.concatenate([np.linspace(0, 0.1, 60), np.linspace(0.9, 1, 60)])
    steep = 30 * np.where(time < 0.5, time, time - 0.9)
    trend = _trends.local_trend(time, steep)
    assert np.nanmax(np.abs(trend.mean)) <= 3 + 1e-9
    after = (trend.at > 0.1) & (trend.at < 0.14)
    np.testing.assert_allclose(trend.mean[after], 3)


def test_a_gene_of_raw_alone_is_drawn():
    adata = timed()
    whole = mt.pl.pseudotime(adata, genes=["rising", "flat"], show=False)[-1]
    adata.raw = adata.copy()
    trends = mt.pl.pseudotime(adata[:, ["peak"]].copy(), genes=["rising", "flat"], show=False)[-1]
    for name, curve in curves(whole).items():
        np.testing.assert_allclose(curves(trends)[name], curve)


def test_long_names_of_domains_take_several_lines():
    adata = timed()
    long = "a carcinoma in situ with a necrotic core"
    adata.obs["multist_domain"] = adata.obs["multist_domain"].cat.rename_categories({"m": long})
    domains = mt.pl.pseudotime(adata, genes=["rising"], show=False)[1]
    (label,) = [each.get_text() for each in domains.get_yticklabels() if "carcinoma" in each.get_text()]
    assert label.count("\n") == 1 and label.replace("\n", " ") == long
