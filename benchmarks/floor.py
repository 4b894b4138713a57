"""The floor: what no network at all reaches. A model that does not beat it is not worth its training.

Log-normalised counts of the 3,000 most variable genes, scaled, as 30 principal components; each spot averaged three
times with its six nearest neighbours; a Gaussian mixture with one covariance, the likeliest of six starts; the vote of
twelve neighbours. Nothing is set per section.
"""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

N_GENES, N_COMPONENTS = 3000, 30
N_NEAR, N_HOPS, N_STARTS, N_VOTERS = 6, 3, 6, 12


def floor_features(adata: AnnData) -> np.ndarray:
    """(n, 30) smoothed components, with the leading one's standard deviation as unit; they depend on no seed."""
    components, xy = _components(adata), _xy(adata)
    mean = _averaging(xy)
    smoothed = components / components[:, 0].std()
    for _ in range(N_HOPS):
        smoothed = mean @ smoothed
    return smoothed


def floor_domains(features: np.ndarray, xy: np.ndarray, n_domains: int, *, seed: int = 0) -> np.ndarray:
    """(n,) labels; each seed has six starts of its own."""
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for start in range(seed * N_STARTS, (seed + 1) * N_STARTS):
            mixture = GaussianMixture(n_domains, covariance_type="tied", max_iter=200, random_state=start)
            fits.append(mixture.fit(features))
    return _voted(max(fits, key=lambda fit: fit.lower_bound_).predict(features), xy)


def _xy(adata: AnnData) -> np.ndarray:
    return np.asarray(adata.obsm["spatial"], dtype=np.float64)[:, :2]


def _components(adata: AnnData) -> np.ndarray:
    import scanpy as sc

    if adata.n_vars == 0:
        key = next(key for key in ("X_pca", "X_feat") if key in adata.obsm)
        return np.asarray(adata.obsm[key], dtype=np.float64)[:, :N_COMPONENTS]
    own = AnnData(adata.X.copy(), var=adata.var[[]].copy())
    sc.pp.filter_genes(own, min_cells=10)
    if own.n_vars > N_GENES:
        # the flavour models counts, so it comes before the normalisation
        sc.pp.highly_variable_genes(own, flavor="seurat_v3", n_top_genes=N_GENES)
    sc.pp.normalize_total(own, target_sum=1e4)
    sc.pp.log1p(own)
    if "highly_variable" in own.var:
        own = own[:, own.var["highly_variable"]].copy()
    sc.pp.scale(own, max_value=10)
    sc.pp.pca(own, n_comps=min(N_COMPONENTS, own.n_vars - 1, own.n_obs - 1), random_state=0)
    return np.asarray(own.obsm["X_pca"], dtype=np.float64)


def _nearest(xy: np.ndarray, count: int) -> np.ndarray:
    """(n, count) rows of the nearest others."""
    count = min(count, len(xy) - 1)
    return NearestNeighbors(n_neighbors=count + 1).fit(xy).kneighbors(xy, return_distance=False)[:, 1:]


def _averaging(xy: np.ndarray) -> sp.csr_matrix:
    """Adjacency of mutual or one-sided nearest neighbours and the spots themselves, symmetrically normalised."""
    near = _nearest(xy, N_NEAR)
    rows = np.repeat(np.arange(len(xy)), near.shape[1])
    one_sided = sp.csr_matrix((np.ones(near.size), (rows, near.ravel())), shape=(len(xy), len(xy)))
    adjacency = one_sided.maximum(one_sided.T) + sp.eye(len(xy), format="csr")
    scale = sp.diags(1 / np.sqrt(np.asarray(adjacency.sum(axis=1)).ravel()))
    return (scale @ adjacency @ scale).tocsr()


def _voted(labels: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """A spot takes the label that more than half of its neighbours share."""
    near = _nearest(xy, N_VOTERS)
    votes = np.eye(labels.max() + 1, dtype=np.int64)[labels][near].sum(axis=1)
    return np.where(votes.max(axis=1) > near.shape[1] / 2, votes.argmax(axis=1), labels)
