"""What ``scale.py`` compares: the package, a floor without a network, Leiden, squidpy's niches and CellCharter."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from large_tissue import N_DOMAINS

STAGES = {  # functions, and where each is looked up when it is called
    "attend": (
        ("multist.model.network.attention", "fit_attention"),
        ("multist.model.network.attention", "attention_matrix"),
    ),
    "average": (("multist.model.features.averaging", "Averaging.fit"), ("multist.model.fitted", "FusionModel._code")),
    "cluster": (("multist.cluster.domains", "find_domains"),),
}
FLOOR_HOPS, FLOOR_STARTS = 3, 6
CHARTER_LAYERS = 3
CHARTER_TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}
METHODS = ("multist", "floor", "leiden", "niche_neighborhood", "niche_utag", "niche_cellcharter", "cellcharter")
OPTIONAL = {"cellcharter": "cellcharter"}  # method: module that is no dependency of the project


def is_installed(method: str) -> bool:
    return method not in OPTIONAL or importlib.util.find_spec(OPTIONAL[method]) is not None


def work(method: str, adata: Any, stages: dict[str, float]) -> np.ndarray:
    if method == "multist":
        return run_multist(adata, stages)
    if method == "floor":
        return run_floor(adata, stages)
    if method == "leiden":
        return run_leiden(adata, stages)
    if method == "cellcharter":
        return run_cellcharter(adata, stages)
    return run_niche(adata, stages, method.removeprefix("niche_"))


def run_multist(adata: Any, stages: dict[str, float]) -> np.ndarray:
    import multist as mt

    with timed_stages(stages):
        clock(stages, "graph", lambda: mt.pp.spatial_graph(adata))
        mt.tl.multist_domains(adata, N_DOMAINS, use_image="auto")
    return adata.obs["multist_domain"].to_numpy()


def run_floor(adata: Any, stages: dict[str, float]) -> np.ndarray:
    """scikit-learn's tied mixture, the likeliest of six starts, on components averaged over the graph."""
    import scipy.sparse as sp
    from sklearn.mixture import GaussianMixture

    import multist as mt

    clock(stages, "graph", lambda: mt.pp.spatial_graph(adata))
    near = adata.obsp["spatial_connectivities"] + sp.eye(adata.n_obs, dtype=np.float32, format="csr")
    mean = sp.diags((1 / np.asarray(near.sum(axis=1)).ravel()).astype(np.float32)) @ near
    smoothed = both_modalities(adata)
    for _ in range(FLOOR_HOPS):
        smoothed = mean @ smoothed
    mixture = GaussianMixture(N_DOMAINS, covariance_type="tied", n_init=FLOOR_STARTS, max_iter=200, random_state=0)
    return clock(stages, "cluster", lambda: mixture.fit_predict(smoothed))


def run_leiden(adata: Any, stages: dict[str, float]) -> np.ndarray:
    """scanpy's way from components to clusters, which looks at no place; their number is what comes out."""
    import scanpy as sc

    clock(stages, "graph", lambda: sc.pp.neighbors(adata, use_rep="X_pca", random_state=0))
    options = {"flavor": "igraph", "n_iterations": 2, "directed": False, "random_state": 0}
    clock(stages, "cluster", lambda: sc.tl.leiden(adata, **options))
    return adata.obs["leiden"].to_numpy()


def run_cellcharter(adata: Any, stages: dict[str, float]) -> np.ndarray:
    """CellCharter itself: cells beside the means of three rings around them, and a mixture of full covariances."""
    import cellcharter as cc
    from pytorch_lightning import seed_everything

    import multist as mt

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    clock(stages, "graph", lambda: mt.pp.spatial_graph(adata))
    adata.obsm["X_both"] = both_modalities(adata)
    clock(stages, "aggregate", lambda: cc.gr.aggregate_neighbors(adata, n_layers=CHARTER_LAYERS, use_rep="X_both"))
    model = cc.tl.Cluster(n_clusters=N_DOMAINS, random_state=0, trainer_params=CHARTER_TRAINER)
    seed_everything(0, verbose=False)  # it stores random_state, but draws from the global generators
    clock(stages, "cluster", lambda: model.fit(adata, use_rep="X_cellcharter"))
    return np.asarray(clock(stages, "cluster", lambda: model.predict(adata, use_rep="X_cellcharter")))


def both_modalities(adata: Any) -> np.ndarray:
    return np.hstack([adata.obsm["X_pca"], adata.obsm["X_histology"]])


def run_niche(adata: Any, stages: dict[str, float], flavor: str) -> np.ndarray:
    """squidpy's niches from the same components and the same graph; their number is squidpy's where it takes none."""
    import pandas as pd
    import scipy.sparse as sp
    import squidpy as sq
    from anndata import AnnData
    from sklearn.cluster import MiniBatchKMeans

    import multist as mt

    clock(stages, "graph", lambda: mt.pp.spatial_graph(adata))
    # squidpy's niches read X
    adata = AnnData(adata.obsm["X_pca"], obs=adata.obs, obsm=adata.obsm, obsp=adata.obsp, uns=adata.uns)
    options: dict[str, Any] = {"resolutions": 0.5, "n_neighbors": 15}
    if flavor == "neighborhood":
        # it counts types of cells around each cell; here they are clusters of the components
        kinds = MiniBatchKMeans(15, n_init=3, random_state=0).fit_predict(adata.obsm["X_pca"])
        adata.obs["kind"] = pd.Categorical(kinds.astype(str))
        options |= {"groups": "kind", "min_niche_size": max(10, adata.n_obs // 200)}
    elif flavor == "cellcharter":
        adata.X = sp.csr_matrix(adata.X)  # dense input fails
        options = {"distance": 3, "aggregation": "mean", "n_components": N_DOMAINS, "random_state": 0}
    clock(stages, "niche", lambda: sq.gr.calculate_niche(adata, flavor=flavor, **options))
    column = next(name for name in adata.obs if name.startswith(("nhood_niche", "utag_niche", "cellcharter_niche")))
    return adata.obs[column].astype(str).to_numpy()


def clock(stages: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    stages[name] = stages.get(name, 0.0) + time.perf_counter() - start
    return result


@contextmanager
def timed_stages(stages: dict[str, float]) -> Iterator[None]:
    """Time the rooms' functions while the face calls them."""
    with ExitStack() as stack:
        for stage, functions in STAGES.items():
            for module, path in functions:
                *owners, name = path.split(".")
                owner = importlib.import_module(module)
                for each in owners:
                    owner = getattr(owner, each)
                stack.enter_context(patch.object(owner, name, timed(getattr(owner, name), stages, stage)))
        yield


def timed(function: Callable[..., Any], stages: dict[str, float], stage: str) -> Callable[..., Any]:
    """The same function, or bound method of a class, whose seconds are added to a stage."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return clock(stages, stage, lambda: function(*args, **kwargs))

    return run
