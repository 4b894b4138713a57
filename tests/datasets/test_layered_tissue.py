from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from multist.datasets import layered_tissue

pytestmark = pytest.mark.slow

SMALL = {"n_spots": 400, "n_genes": 200, "image_size": 400}


@pytest.fixture
def tissue(usual_tissue: ad.AnnData) -> ad.AnnData:
    """The section of the default size, which the statistics below need; tests of it are slow for that."""
    return usual_tissue


def log_normalized(adata: ad.AnnData) -> np.ndarray:
    x = adata.X.toarray().astype(float)
    return np.log1p(x / x.sum(1, keepdims=True) * 1e4)


def optical_density(adata: ad.AnnData, section: str = "section1") -> np.ndarray:
    """Mean and spread of the optical density of each channel around every spot."""
    entry = adata.uns["spatial"][section]
    od = -np.log((entry["images"]["hires"].astype(float) + 1) / 246)
    scale = entry["scalefactors"]["tissue_hires_scalef"]
    width = int(1.6 * entry["scalefactors"]["spot_diameter_fullres"] * scale)
    col, row = (adata.obsm["spatial"][(adata.obs["section"] == section).to_numpy()] * scale).astype(int).T
    mean = np.stack([uniform_filter(od[..., c], width)[row, col] for c in range(3)], 1)
    square = np.stack([uniform_filter(od[..., c] ** 2, width)[row, col] for c in range(3)], 1)
    return np.hstack([mean, np.sqrt(np.maximum(square - mean**2, 0))])


def effect(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cohen's d of every column between two groups of rows."""
    a, b = values[first], values[second]
    return (a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / 2 + 1e-12)


def test_what_is_promised_is_there(tissue: ad.AnnData) -> None:
    assert tissue.shape == (2500, 2000)
    assert isinstance(tissue.X, sp.csr_matrix) and tissue.X.dtype == np.float32
    assert (tissue.X.data > 0).all() and (tissue.X.data == np.round(tissue.X.data)).all()
    library = np.asarray(tissue.X.sum(1)).ravel()
    assert 2000 < np.median(library) < 5000 and library.max() > 3 * library.min()
    assert tissue.obs["domain"].nunique() == 7 and tissue.obs["domain"].value_counts().min() > 100
    assert tissue.obs["depth"].between(0, 1).all() and tissue.obs["depth"].nunique() > 2400
    assert tissue.obs_names.is_unique and tissue.var_names.is_unique
    assert (tissue.var_names == tissue.var_names.str.upper()).all()


def test_spots_lie_on_the_visium_lattice(tissue: ad.AnnData) -> None:
    factors = tissue.uns["spatial"]["section1"]["scalefactors"]
    um = tissue.obsm["spatial"] * factors["microns_per_pixel"]
    distance = cKDTree(um).query(um, k=7)[0]
    np.testing.assert_allclose(distance[:, 1], 100, rtol=1e-6)
    assert (np.isclose(distance[:, 1:], 100).all(1)).mean() > 0.85
    assert factors["spot_diameter_fullres"] * factors["microns_per_pixel"] == pytest.approx(55)
    assert not ((tissue.obs["array_row"] + tissue.obs["array_col"]) % 2).any()


def test_only_the_image_tells_the_stromas_apart(tissue: ad.AnnData) -> None:
    loose, dense = ((tissue.obs["domain"] == f"stroma_{kind}").to_numpy() for kind in ("loose", "dense"))
    x, depth = log_normalized(tissue), tissue.obs["depth"].to_numpy()
    both = loose | dense
    design = np.column_stack([np.ones(both.sum()), depth[both]])
    x[both] -= design @ np.linalg.lstsq(design, x[both], rcond=None)[0]
    z = effect(x, loose, dense) / np.sqrt(1 / loose.sum() + 1 / dense.sum())
    assert np.abs(z).max() < 5 and 0.85 < z.std() < 1.15  # 2000 draws of a standard normal, and no more
    assert np.abs(effect(optical_density(tissue), loose, dense)).max() > 2


def test_only_expression_tells_the_cortices_apart(tissue: ad.AnnData) -> None:
    upper, lower = ((tissue.obs["domain"] == f"cortex_{kind}").to_numpy() for kind in "ab")
    assert np.abs(effect(optical_density(tissue), upper, lower)).max() < 0.6
    assert (np.abs(effect(log_normalized(tissue), upper, lower)) > 0.5).sum() > 20


def test_programme_runs_along_the_depth_within_domains(tissue: ad.AnnData) -> None:
    x, depth = log_normalized(tissue), tissue.obs["depth"].to_numpy()
    for name in ("cortex_a", "stroma_dense"):
        own = (tissue.obs["domain"] == name).to_numpy()
        ranks = np.argsort(np.argsort(x[own], 0), 0) - own.sum() / 2
        rho = (ranks * (np.argsort(np.argsort(depth[own])) - own.sum() / 2)[:, None]).sum(0) / (ranks**2).sum(0)
        genes = np.argsort(-np.abs(rho))[:20]
        score = (x[:, genes] * np.sign(rho[genes])).sum(1)
        assert spearmanr(score, depth).statistic > 0.6  # found in one domain, it holds over all of them


def test_pairs_are_up_at_their_border_only(tissue: ad.AnnData) -> None:
    pairs = tissue.uns["interactions"]
    assert list(pairs.columns) == ["source", "target", "ligand_domain", "receptor_domain"] and len(pairs) == 6
    domain, x = tissue.obs["domain"].to_numpy().astype(str), log_normalized(tissue)
    step = 100 / tissue.uns["spatial"]["section1"]["scalefactors"]["microns_per_pixel"]
    for row in pairs.itertuples():
        sides = (
            (row.source, row.ligand_domain, row.receptor_domain),
            (row.target, row.receptor_domain, row.ligand_domain),
        )
        for gene, here, there in sides:
            gap = cKDTree(tissue.obsm["spatial"][domain == there]).query(tissue.obsm["spatial"])[0] / step
            level = np.expm1(x[:, tissue.var_names.get_loc(gene)])
            near, far = (domain == here) & (gap < 1.8), (domain == here) & (gap >= 1.8)
            assert near.sum() > 20 and 2.5 < level[near].mean() / level[far].mean() < 6
            elsewhere = ~np.isin(domain, [here, there])
            assert level[near].mean() > 2.5 * level[elsewhere].mean()


def test_decoys_are_expressed_yet_not_planted(tissue: ad.AnnData) -> None:
    pairs, decoys = tissue.uns["interactions"], tissue.uns["decoy_interactions"]
    assert set(decoys["kind"]) == {"diffuse", "apart", "one_sided"}
    genes = pd.concat([decoys["source"], decoys["target"]])
    assert not set(genes) & (set(pairs["source"]) | set(pairs["target"]))
    assert (np.asarray((tissue[:, genes].X > 0).mean(0)).ravel() > 0.3).all()


def test_neither_modality_suffices_and_both_do(tissue: ad.AnnData) -> None:
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_rand_score
    from sklearn.mixture import GaussianMixture

    x = log_normalized(tissue)
    pcs = PCA(15, random_state=0).fit_transform(((x - x.mean(0)) / (x.std(0) + 1e-9)).clip(-10, 10))
    near = cKDTree(tissue.obsm["spatial"]).query(tissue.obsm["spatial"], k=7)[1]

    def ari(features: np.ndarray, hops: int) -> float:
        for _ in range(hops):
            features = features[near].mean(1)
        features = (features - features.mean(0)) / features.std(0)
        fits = [GaussianMixture(7, covariance_type="tied", random_state=s).fit(features) for s in range(6)]
        labels = max(fits, key=lambda fit: fit.lower_bound_).predict(features)
        return adjusted_rand_score(tissue.obs["domain"], labels)

    image = optical_density(tissue)
    image = image @ np.linalg.svd(image - image.mean(0), full_matrices=False)[2][:4].T
    assert ari(pcs, 0) < 0.75
    assert 0.6 < ari(pcs, 3) < 0.85
    assert 0.5 < ari(image, 3) < 0.85
    assert ari(np.hstack([pcs, image]), 3) >= 0.95


def test_image_is_tissue_on_glass_with_a_fold(tissue: ad.AnnData) -> None:
    image = tissue.uns["spatial"]["section1"]["images"]["hires"]
    assert image.shape == (2000, 2000, 3) and image.dtype == np.uint8
    edge = np.concatenate([image[:20].reshape(-1, 3), image[-20:].reshape(-1, 3), image[:, :20].reshape(-1, 3)])
    assert edge.min() > 220
    od = optical_density(tissue)
    assert (od[:, 1] > 0.15).mean() > 0.99  # green is what both stains absorb
    red, green, blue = image[image.min(2) < 200].mean(0)
    assert green < red and green < blue
    cortex = od[tissue.obs["domain"].str.startswith("cortex").to_numpy(), 1]
    assert 5 < (cortex > 1.3 * np.median(cortex)).sum() < 100


def test_sections_differ_as_asked() -> None:
    options = SMALL | {"n_sections": 3, "batch_shift": 0.3, "missing_domain": "lesion"}
    adata = layered_tissue(**options, format="anndata", stain_shift=1.0)
    assert adata.n_obs == 1200 and list(adata.uns["spatial"]) == ["section1", "section2", "section3"]
    table = adata.obs.groupby(["section", "domain"], observed=False).size().unstack()
    assert table.loc["section3", "lesion"] == 0 and (table.drop(columns="lesion") > 0).all().all()
    assert (table.loc[["section1", "section2"], "lesion"] > 0).all()
    mean = {s: log_normalized(adata[adata.obs["section"] == s]).mean(0) for s in table.index}
    same = layered_tissue(**(options | {"batch_shift": 0.0}), format="anndata", with_image=False)
    plain = {s: log_normalized(same[same.obs["section"] == s]).mean(0) for s in table.index}
    assert np.std(mean["section1"] - mean["section2"]) > 1.5 * np.std(plain["section1"] - plain["section2"])
    unshifted = layered_tissue(**options, format="anndata")
    moved = [np.abs(optical_density(adata, s) - optical_density(unshifted, s)).mean() for s in table.index]
    assert moved[0] == 0 and moved[1] > 0.01 and moved[2] > 1.5 * moved[1]


def test_cells_lie_on_nuclei() -> None:
    adata = layered_tissue(n_spots=400, n_genes=200, image_size=800, cells=True, format="anndata")
    assert adata.n_obs == 400 and "array_row" not in adata.obs and adata.obs["domain"].nunique() == 7
    factors = adata.uns["spatial"]["section1"]["scalefactors"]
    um = adata.obsm["spatial"] * factors["microns_per_pixel"]
    nearest = cKDTree(um).query(um, k=2)[0][:, 1]
    assert nearest.std() > 0.2 * nearest.mean() and nearest.mean() < 40
    assert 6 < factors["spot_diameter_fullres"] * factors["microns_per_pixel"] < 25
    red = adata.uns["spatial"]["section1"]["images"]["hires"][..., 0].astype(float)
    col, row = (adata.obsm["spatial"] * factors["tissue_hires_scalef"]).astype(int).T
    assert np.median(red[row, col]) < np.median(red[red < 220]) - 30
    shapes = layered_tissue(n_spots=400, n_genes=200, image_size=200, cells=True).shapes["cells"]
    assert shapes["radius"].nunique() > 300


@pytest.mark.parametrize("domain", ["rim", "cortex_b", "stroma_dense"])
def test_any_domain_may_be_missing(domain: str) -> None:
    adata = layered_tissue(**SMALL, format="anndata", missing_domain=domain, with_image=False)
    assert adata.obs["domain"].nunique() == 6 and domain not in set(adata.obs["domain"])
    pairs = adata.uns["interactions"]
    assert domain not in set(pairs["ligand_domain"]) | set(pairs["receptor_domain"]) and len(pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "loom"}, "format 'loom' is not known; choose 'spatialdata' or 'anndata'"),
        ({"n_spots": 10}, "n_spots is 10; the tissue needs at least 100"),
        ({"n_genes": 5}, "n_genes is 5"),
        ({"n_sections": 0}, "n_sections is 0"),
        ({"image_size": 8}, "image_size is 8"),
        ({"missing_domain": "cortex"}, "missing_domain 'cortex' is not a domain; choose one of rim, cortex_a"),
        ({"batch_shift": 0.5}, "ask for n_sections > 1"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layered_tissue(**options)
