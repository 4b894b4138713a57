"""Score the sharpness of borders against what is known of them.

    python benchmarks/borders.py [--seeds 10] [--spots 2500]

On ``layered_tissue``, divided by its true domains, two borders are made to be seen by one modality only, and all others
by both: :func:`multist.tl.border_sharpness` has to say so. Then every true domain is divided in two by k-means of its
own averaged features, of both modalities, or of one: these borders are not real, and it should say that, too. Prints
two Markdown tables and writes every border as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import multist as mt

ONE_MODALITY = {("cortex_a", "cortex_b"): "expression", ("stroma_loose", "stroma_dense"): "histology"}
MODALITIES = ("expression", "histology")
FOUND_IN = {"both": MODALITIES, "expression": ("expression",), "histology": ("histology",)}
KEYS = {"expression": "X_pca", "histology": "X_histology"}
VERSIONS = ("multist", "anndata", "numpy", "scipy", "scikit-learn", "squidpy")
LEVEL, HOPS = 0.05, 2


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    for category in (FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category)
    true: list[dict[str, Any]] = []
    false: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        tissue = made_tissue(options.spots, seed)
        true += [row | {"seed": seed} for row in measure(tissue, "domain", seed)]
        false += [row | {"seed": seed} for row in false_borders(tissue, seed)]
        print(f"seed {seed}", file=sys.stderr)
    report = {"versions": {name: version(name) for name in VERSIONS}, "platform": platform.platform()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report | {"true": true, "false": false}, indent=1), encoding="utf-8")
    print(true_table(pd.DataFrame(true)), end="\n\n")
    print(false_table(pd.DataFrame(false)))
    print(f"\n{options.output}", file=sys.stderr)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: 10)")
    parser.add_argument("--spots", type=int, default=2500)
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/borders.json"))
    return parser.parse_args(argv)


def made_tissue(n_spots: int, seed: int) -> AnnData:
    side = round(40 * n_spots**0.5)  # as many pixels a spot whatever the number of spots
    adata = mt.datasets.layered_tissue(n_spots=n_spots, image_size=side, format="anndata", random_state=seed)
    mt.pp.spatial_graph(adata)
    mt.pp.embed_expression(adata)
    mt.pp.normalize_histology(adata)
    mt.pp.embed_histology(adata)
    return adata


def measure(adata: AnnData, cluster_key: str, seed: int) -> list[dict[str, Any]]:
    mt.tl.border_sharpness(adata, cluster_key=cluster_key, random_state=seed)
    return adata.uns["multist"]["border_sharpness"].to_dict("records")


def false_borders(tissue: AnnData, seed: int) -> list[dict[str, Any]]:
    """Every domain divided in two."""
    rows = []
    for domain in tissue.obs["domain"].cat.categories:
        own = tissue[tissue.obs["domain"] == domain].copy()
        for by, modalities in FOUND_IN.items():
            own.obs["half"] = pd.Categorical(halves(own, modalities, seed).astype(str))
            rows += [row | {"domain": domain, "divided_by": by} for row in measure(own, "half", seed)]
    return rows


def halves(adata: AnnData, modalities: tuple[str, ...], seed: int) -> np.ndarray:
    """(n,) two clusters of features that are averaged over neighbours, the modalities weighing the same."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    features = []
    for modality in modalities:
        own = adata.obsm[KEYS[modality]]
        if modality == "histology":
            own = PCA(min(50, *own.shape), svd_solver="full").fit_transform(StandardScaler().fit_transform(own))
        own = own - own.mean(axis=0)
        features.append(own / np.sqrt((own**2).sum(axis=1).mean()))
    graph = adata.obsp["spatial_connectivities"]
    averaged = np.concatenate(features, axis=1)
    for _ in range(HOPS):
        averaged = (averaged + graph @ averaged) / (1 + np.asarray(graph.sum(axis=1)).reshape(-1, 1))
    return KMeans(2, n_init=10, random_state=seed).fit_predict(averaged)


def true_table(rows: pd.DataFrame) -> str:
    lines = [
        "| border | made to be seen by | sections | expression | histology | said to be drawn by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (one, two), group in rows.groupby(["domain_1", "domain_2"], sort=False):
        said = ", ".join(f"{name} {count}" for name, count in group["drawn_by"].value_counts().items())
        seen = ONE_MODALITY.get((one, two), "both")
        values = " | ".join(spread(group[modality]) for modality in MODALITIES)
        lines.append(f"| {one}, {two} | {seen} | {len(group)} | {values} | {said} |")
    return "\n".join(lines)


def false_table(rows: pd.DataFrame) -> str:
    lines = [
        "| domains divided by | borders | expression | called | histology | called |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for by, group in rows.groupby("divided_by", sort=False):
        known = group[group["expression_pvalue"].notna()]
        values = " | ".join(
            f"{spread(known[modality])} | {(known[f'{modality}_pvalue'] <= LEVEL).sum()}" for modality in MODALITIES
        )
        lines.append(f"| {by} | {len(known)} | {values} |")
    return "\n".join(lines)


def spread(values: pd.Series) -> str:
    """Mean, and the extremes."""
    values = values.dropna()
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})" if len(values) else "-"


if __name__ == "__main__":
    sys.exit(main())
