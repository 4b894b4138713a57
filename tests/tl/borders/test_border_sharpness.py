"""Which modality sees a border, where that is known because the tissue was made so."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import multist as mt
from multist._spacing import spacing
from multist.access import resolve
from multist.access.tables import copy_data

pytestmark = pytest.mark.slow  # the first to run makes what all of them read

QUICK = {"cluster_key": "domain", "n_null": 40}


@pytest.fixture(scope="module")
def tissue() -> ad.AnnData:
    """A section with its true domains, its graph, and both modalities embedded."""
    adata = mt.datasets.layered_tissue(n_spots=900, n_genes=400, image_size=800, format="anndata")
    mt.pp.spatial_graph(adata)
    mt.pp.embed_expression(adata)
    mt.pp.embed_histology(adata)
    return adata


@pytest.fixture(scope="module")
def solved(tissue: ad.AnnData, unchanged) -> ad.AnnData:
    own = copy_data(tissue)
    own.uns["multist"] = {"params": {"kept": 1}}
    with unchanged(own):
        return mt.tl.border_sharpness(own, copy=True, **QUICK)


@pytest.fixture(scope="module")
def found(solved: ad.AnnData) -> pd.DataFrame:
    return by_border(solved)


@pytest.fixture(scope="module")
def alone(tissue: ad.AnnData) -> ad.AnnData:
    """What is found without the image, and without what tells the scale."""
    plain = tissue.copy()
    del plain.obsm["X_histology"], plain.uns["spatial"]
    plain.obs = plain.obs[["domain"]]
    return mt.tl.border_sharpness(plain, copy=True, **QUICK)


@pytest.fixture(scope="module")
def speck(tissue: ad.AnnData) -> ad.AnnData:
    """What is found where one domain of four has five spots."""
    small = within(tissue, "rim", "cortex_a", "cortex_b")
    small.obs["domain"] = small.obs["domain"].cat.add_categories("speck")
    small.obs.loc[small.obs_names[np.flatnonzero(small.obs["domain"] == "rim")[:5]], "domain"] = "speck"
    return mt.tl.border_sharpness(small, copy=True, **QUICK)


@pytest.fixture
def expressed(tissue: ad.AnnData) -> ad.AnnData:
    """The section without the image's features, where those of expression are enough."""
    plain = tissue.copy()
    del plain.obsm["X_histology"]
    return plain


@pytest.fixture
def cortex(tissue: ad.AnnData) -> ad.AnnData:
    """Two domains, where one border is enough."""
    return within(tissue, "cortex_a", "cortex_b")


@pytest.fixture
def around_lesion(tissue: ad.AnnData) -> ad.AnnData:
    """Three domains, where a few borders are enough."""
    return within(tissue, "cortex_a", "cortex_b", "lesion")


def within(adata: ad.AnnData, *domains: str) -> ad.AnnData:
    """A copy of the spots of these domains."""
    return adata[adata.obs["domain"].isin(domains)].copy()


def by_border(adata: ad.AnnData, key: str = "multist") -> pd.DataFrame:
    return adata.uns[key]["border_sharpness"].set_index(["domain_1", "domain_2"], drop=False)


def sharpness(adata: ad.AnnData, **options) -> pd.DataFrame:
    return by_border(mt.tl.border_sharpness(adata, copy=True, **options))


def halved(tissue: ad.AnnData, domain: str, key: str) -> ad.AnnData:
    """One true domain, divided in two by k-means of features averaged over neighbours."""
    from sklearn.cluster import KMeans

    own = tissue[tissue.obs["domain"] == domain].copy()
    graph = own.obsp["spatial_connectivities"]
    averaged = own.obsm[key]
    for _ in range(2):
        averaged = (averaged + graph @ averaged) / (1 + np.asarray(graph.sum(axis=1)).reshape(-1, 1))
    own.obs["domain"] = pd.Categorical(KMeans(2, n_init=5, random_state=0).fit_predict(averaged).astype(str))
    return own


def test_a_border_that_only_expression_sees_is_drawn_by_expression(found: pd.DataFrame):
    row = found.loc[("cortex_a", "cortex_b")]
    assert row["drawn_by"] == "expression"
    assert row["expression"] > 0.9 > 0.75 > row["histology"]
    assert row["expression_pvalue"] <= 0.05 < row["histology_pvalue"]


def test_a_border_that_only_the_image_sees_is_drawn_by_histology(found: pd.DataFrame):
    row = found.loc[("stroma_loose", "stroma_dense")]
    assert row["drawn_by"] == "histology"
    assert row["histology"] > 0.9 > 0.75 > row["expression"]


@pytest.mark.parametrize("border", [("rim", "cortex_a"), ("cortex_b", "band"), ("cortex_a", "lesion")])
def test_a_border_that_both_see_is_drawn_by_both(found: pd.DataFrame, border):
    assert found.loc[border, "drawn_by"] == "both"
    assert found.loc[border, ["expression", "histology"]].min() > 0.9


def test_domains_cut_in_two_by_their_own_noise_are_told_from_borders(tissue: ad.AnnData):
    """The halves differ by construction, so that the right yardstick is not chance but lines drawn within them."""
    domains = ["stroma_loose", "stroma_dense", "lesion"]  # the cortex changes with depth, which is no noise
    rows = pd.concat([sharpness(halved(tissue, domain, "X_pca"), **QUICK) for domain in domains])
    assert rows["expression"].mean() > 0.6
    assert (rows["expression_pvalue"] <= 0.05).sum() <= 1
    assert rows["expression"].mean() < rows["expression_null"].mean()


def test_shuffled_features_see_nothing(tissue: ad.AnnData, expressed: ad.AnnData):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(2):
        expressed.obsm["X_pca"] = rng.permutation(tissue.obsm["X_pca"])
        rows.append(sharpness(expressed, **QUICK))
    found = pd.concat(rows)
    assert found["expression"].mean() == pytest.approx(0.5, abs=0.06)
    assert (found["drawn_by"] == "expression").sum() <= 1


def test_what_changes_along_the_border_is_not_taken_for_the_border(cortex: ad.AnnData):
    """A feature that tells every place along the border, but not the sides, beside noise that tells nothing."""
    rng = np.random.default_rng(0)
    x = cortex.obsm["spatial"][:, 0]
    waves = [np.sin(x / x.max() * k) for k in range(1, 20)]
    cortex.obsm["X_pca"] = np.column_stack([*waves, rng.normal(size=(cortex.n_obs, 5))])
    found = sharpness(cortex, **QUICK)
    assert found.loc[("cortex_a", "cortex_b"), "expression"] == pytest.approx(0.5, abs=0.12)


def test_every_contact_has_a_row_and_short_borders_are_not_judged(
    tissue: ad.AnnData, found: pd.DataFrame, speck: ad.AnnData
):
    rows, columns = tissue.obsp["spatial_connectivities"].nonzero()
    domain = tissue.obs["domain"].astype(str).to_numpy()
    across = {frozenset(pair) for pair in zip(domain[rows], domain[columns], strict=True) if len(set(pair)) == 2}
    assert {frozenset(pair) for pair in found.index} == across
    short = by_border(speck).query("domain_1 == 'speck' or domain_2 == 'speck'")
    assert len(short) and (short["drawn_by"] == "unknown").all() and short["expression"].isna().all()


def smooth(tissue: ad.AnnData) -> np.ndarray:
    """Features that rise evenly over the tissue, so that any line is as sharp as can be."""
    return tissue.obsm["spatial"] / np.ptp(tissue.obsm["spatial"], axis=0)


@pytest.mark.parametrize(
    ("key", "left", "drawn_by"),
    [
        ("X_pca", "nothing", "unknown"),
        ("X_pca", "noise", "unknown"),
        ("X_histology", "noise", "unknown"),
        ("X_histology", "true", "expression"),
    ],
)
def test_where_lines_within_the_domains_are_as_sharp_as_can_be_nothing_is_known(
    cortex: ad.AnnData, key, left, drawn_by
):
    cortex.obsm[key] = smooth(cortex)
    (other,) = {"X_pca", "X_histology"} - {key}
    if left == "nothing":
        del cortex.obsm[other]
    elif left == "noise":
        cortex.obsm[other] = np.random.default_rng(0).normal(size=(cortex.n_obs, 10))
    row = sharpness(cortex, **QUICK).loc[("cortex_a", "cortex_b")]
    modality = {"X_pca": "expression", "X_histology": "histology"}[key]
    assert row[f"{modality}_null"] >= 0.99 and row[f"{modality}_n_null"] >= 19
    assert row[f"{modality}_pvalue"] > 0.05
    assert row["drawn_by"] == drawn_by


def test_a_border_passes_where_it_is_above_what_one_in_twenty_lines_reach(expressed: ad.AnnData, found: pd.DataFrame):
    noise = expressed
    noise.obsm["X_pca"] = noise.obsm["X_pca"] + np.random.default_rng(0).normal(0, 3, noise.obsm["X_pca"].shape)
    above = []
    more = sharpness(noise, **QUICK | {"n_null": 62})
    assert more["expression_n_null"].between(19, 62).all() and more["expression_n_null"].max() > 40
    for table in (found, more):
        for modality in ("expression", "histology"):
            tested = table[table[f"{modality}_pvalue"].notna()]
            above += list(tested[modality] > tested[f"{modality}_null"])
            assert ((tested[modality] > tested[f"{modality}_null"]) == (tested[f"{modality}_pvalue"] <= 0.05)).all()
    assert 5 < sum(above) < len(above) - 5


def test_false_discovery_rates_count_the_borders_that_were_tested(found: pd.DataFrame, speck: ad.AnnData):
    for table in (found, by_border(speck)):
        for modality in ("expression", "histology"):
            tested = table[table[f"{modality}_pvalue"].notna()].sort_values(f"{modality}_pvalue")
            rates = tested[f"{modality}_pvalue"] * len(tested) / np.arange(1, len(tested) + 1)
            expected = rates[::-1].cummin()[::-1].clip(upper=1)
            np.testing.assert_allclose(tested[f"{modality}_fdr"], expected)
            assert table[f"{modality}_fdr"].isna().equals(table[f"{modality}_pvalue"].isna())
    unknown = int((table["drawn_by"] == "unknown").sum())
    said = "; ".join(speck.uns["multist"]["decisions"]["border_sharpness"])
    assert unknown and f"unknown of {unknown} of {len(table)}" in said


def test_more_steps_take_in_more_spots(expressed: ad.AnnData, found: pd.DataFrame):
    wider = sharpness(expressed, **QUICK, n_steps=3)
    assert (wider["n_spots"] > found["n_spots"]).all()
    assert (wider["n_edges"] == found["n_edges"]).all()


def test_without_an_image_expression_stands_alone(alone: ad.AnnData, found: pd.DataFrame):
    table = by_border(alone)
    assert table[["histology", "histology_pvalue"]].isna().all(axis=None) and (table["histology_n_null"] == 0).all()
    assert found["expression_n_null"].between(19, 40).all()
    np.testing.assert_array_equal(table["expression"], found["expression"])
    assert set(table["drawn_by"]) <= {"expression", "neither", "unknown"}


def test_the_order_of_the_rows_hardly_matters(expressed: ad.AnnData, found: pd.DataFrame):
    turned = sharpness(expressed[np.random.default_rng(0).permutation(expressed.n_obs)].copy(), **QUICK)
    np.testing.assert_allclose(turned["expression"], found["expression"], atol=0.02)


def test_labels_without_spots_and_spots_without_labels_do_no_harm(around_lesion: ad.AnnData):
    partly = around_lesion
    partly.obs["domain"] = partly.obs["domain"].cat.add_categories("nowhere")
    partly.obs.loc[partly.obs["domain"] == "lesion", "domain"] = np.nan
    found = sharpness(partly, **QUICK)
    assert not found.index.to_frame().isin(["lesion", "nowhere"]).any(axis=None)
    assert found.loc[("cortex_a", "cortex_b"), "drawn_by"] == "expression"


def test_sections_are_compared_with_themselves_only():
    """A shift of every feature between sections says nothing about their borders, nor do places in their own frames."""
    both = mt.datasets.layered_tissue(n_spots=700, n_genes=300, n_sections=2, with_image=False, format="anndata")
    mt.pp.spatial_graph(both, library_key="section")
    mt.pp.embed_expression(both)
    both = within(both, "cortex_a", "cortex_b", "stroma_loose", "stroma_dense")
    options = QUICK | {"library_key": "section"}
    found = sharpness(both, **options)
    both.obsm["X_pca"] = both.obsm["X_pca"] + 100.0 * (both.obs["section"] == "section2").to_numpy()[:, None]
    pd.testing.assert_frame_equal(sharpness(both, **options), found, rtol=1e-6)
    assert found.loc[("cortex_a", "cortex_b"), "expression"] > 0.9
    assert found.loc[("stroma_loose", "stroma_dense"), "expression"] < 0.75


def test_the_table_survives_both_formats(solved: ad.AnnData, found: pd.DataFrame, tmp_path):
    before = solved.uns["multist"]
    small = ad.AnnData(uns={"multist": before})
    small.write_h5ad(tmp_path / "result.h5ad")
    small.write_zarr(tmp_path / "result.zarr")
    for back in (ad.read_h5ad(tmp_path / "result.h5ad"), ad.read_zarr(tmp_path / "result.zarr")):
        after = back.uns["multist"]["border_sharpness"]
        pd.testing.assert_frame_equal(after, before["border_sharpness"], check_dtype=False)
        assert after["drawn_by"].tolist() == found["drawn_by"].tolist()
        assert back.uns["multist"]["border_sharpness_params"]["cluster_key"] == "domain"


def test_a_spatialdata_gets_the_same_table(embedded_table, embedded):
    # the forms differ in how the tissue lies on the slide, and which lines are drawn by chance depends on the places
    embedded_table.obsm["spatial"] = resolve(embedded, image=False).xy
    for table in (embedded_table, embedded.tables["table"]):
        table.obs["kind"] = table.obs["domain"].astype(str).str.partition("_")[0].replace("rim", "cortex")
    options = {"cluster_key": "kind", "n_null": 38}
    mt.tl.border_sharpness(embedded_table, **options)
    mt.tl.border_sharpness(embedded, **options)
    pd.testing.assert_frame_equal(by_border(embedded.tables["table"]), by_border(embedded_table))


def test_same_seed_same_bits_in_place_and_in_a_copy(around_lesion: ad.AnnData, solved: ad.AnnData):
    own = copy_data(around_lesion)
    assert mt.tl.border_sharpness(own, key_added="second", **QUICK) is None
    pd.testing.assert_frame_equal(by_border(own, "second"), sharpness(around_lesion, **QUICK))
    assert solved.uns["multist"]["params"] == {"kept": 1}
    assert set(own.uns["multist"]) == set(around_lesion.uns["multist"])


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"expression_key": "X_umap"}, KeyError, "expression_key 'X_umap' not found in obsm; found:.*'X_pca'"),
        ({"histology_key": "X_uni"}, KeyError, "histology_key 'X_uni' not found"),
        ({"n_steps": 0}, ValueError, "n_steps"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_changes(tissue: ad.AnnData, unchanged, bad, error, message):
    with unchanged(tissue), pytest.raises(error, match=message):
        mt.tl.border_sharpness(tissue, **(QUICK | bad))


def test_unusable_tables_are_refused_unchanged(tissue: ad.AnnData, unchanged):
    broken = tissue.copy()
    broken.obsm["X_pca"][0, 0] = np.nan
    with unchanged(broken), pytest.raises(ValueError, match=r"obsm\['X_pca'\] has values that are not finite"):
        mt.tl.border_sharpness(broken, **QUICK)
    bare = tissue[:, :0].copy()
    del bare.obsm["X_pca"]
    with unchanged(bare), pytest.raises(KeyError, match=r"Run pp\.embed_expression"):
        mt.tl.border_sharpness(bare, **QUICK)


def test_a_step_has_a_length_with_its_unit(cortex: ad.AnnData, alone: ad.AnnData):
    mt.tl.border_sharpness(cortex, **QUICK, microns_per_pixel=2.0)
    for table, scale, unit in ((alone, 1.0, "coordinates"), (cortex, 2.0, "um")):
        params = table.uns["multist"]["border_sharpness_params"]
        assert params["unit"] == unit
        np.testing.assert_allclose(params["spacing"], [scale * spacing(table.obsm["spatial"])])


def test_expression_that_was_not_embedded_is(tissue: ad.AnnData, expressed: ad.AnnData, caplog):
    plain = expressed
    del plain.obsm["X_pca"]
    plain.obs["domain"] = plain.obs["domain"].isin(["cortex_a", "lesion"]).astype(str)  # a single border
    caplog.set_level("INFO")
    mt.tl.border_sharpness(plain, **QUICK)
    assert "running pp.embed_expression" in caplog.text
    np.testing.assert_array_equal(plain.obsm["X_pca"], tissue.obsm["X_pca"])
    assert np.isfinite(by_border(plain)["expression"]).any()
