"""Are planted ligand-receptor pairs found at their border, and only they?

    python benchmarks/interactions.py [--seeds 10] [--background 500] [--output FILE]

Tissues are ``layered_tissue`` of seeds 0, 1, ..., divided by their true domains, so that nothing but the tests of
interactions is compared. A call is a pair at a border in one direction; the planted ones are true, all others false:
the decoys at any border, planted pairs elsewhere or the other way round. The second table adds random pairs of other
genes, markers of domains and genes with a gradient along the depth among them. The third says how often a pair is
called whose ligand and receptor are patchy and know nothing of the domains. Prints Markdown and writes every run as
JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

import multist as mt

LEVEL = 0.05
PATCH_SIZES, LENGTHS, PATCHY_PAIRS = (1, 3, 4, 6, 8), (0, 1, 2, 4, 8), 150
DOMAIN = "domain"
VERSIONS = ("multist", "squidpy", "numpy", "scipy", "pandas", "anndata", "scanpy", "numba")
TITLES = {
    "border": "**`tl.interactions`, `border_fdr`**",
    "single": "the same, single spots shuffled (`patch_size=1`)",
    "cluster": "`tl.interactions`, `cluster_fdr` (squidpy's test where domains touch)",
    "ligrec": "`sq.gr.ligrec` as it is, p ≤ .05",
    "ligrec_fdr": "`sq.gr.ligrec`, `corr_method='fdr_bh'`",
}
Call = tuple[str, str, str, str]


class Tissue(NamedTuple):
    """A made section with its pairs and those that were planted."""

    adata: AnnData
    pairs: pd.DataFrame
    planted: set[Call]


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    warnings.filterwarnings("ignore")
    runs: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for background in dict.fromkeys((0, options.background)):
            tissue = make_tissue(seed, background, n_spots=options.spots)
            for method, calls, seconds in all_calls(tissue, seed):
                runs.append({"seed": seed, "background": background, "method": method, "seconds": seconds})
                runs[-1] |= compared(calls, tissue.planted)
                print(f"{seed} {background} {method}: {runs[-1]}", file=sys.stderr)
    patchy = patchy_runs(n_spots=options.spots)
    for background in dict.fromkeys((0, options.background)):
        print(f"\n{12 + background} pairs, {options.seeds} tissues\n\n{table(runs, background)}")
    print(f"\nPatchy expression\n\n{patchy_table(patchy)}")
    report = {"level": LEVEL, "machine": machine(), "spots": options.spots, "runs": runs, "patchy": patchy}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"\n{options.output}", file=sys.stderr)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="number of tissues, from seed 0")
    parser.add_argument("--background", type=int, default=500, help="random pairs in the second table")
    parser.add_argument("--spots", type=int, default=2500)
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/interactions.json"))
    return parser.parse_args(argv)


def make_tissue(seed: int, background: int, *, n_spots: int) -> Tissue:
    adata = mt.datasets.layered_tissue(n_spots=n_spots, with_image=False, format="anndata", random_state=seed)
    mt.pp.spatial_graph(adata)
    planted, decoys = adata.uns["interactions"], adata.uns["decoy_interactions"]
    pairs = pd.concat([planted, decoys])[["source", "target"]]
    others = adata.var_names[~adata.var_names.isin(pairs.to_numpy().ravel())]
    random = np.random.default_rng(seed).choice(others, (background, 2))
    pairs = pd.concat([pairs, pd.DataFrame(random, columns=pairs.columns)], ignore_index=True)
    return Tissue(adata, pairs, {tuple(row) for row in planted.to_numpy()})


def all_calls(tissue: Tissue, seed: int) -> Iterator[tuple[str, set[Call], float]]:
    ours, seconds = timed(lambda: interactions(tissue, seed))
    yield "border", significant(ours, "border_fdr"), seconds
    yield "cluster", significant(ours, "cluster_fdr"), seconds
    single, seconds = timed(lambda: interactions(tissue, seed, patch_size=1))
    yield "single", significant(single, "border_fdr"), seconds
    for method, corrected in (("ligrec", None), ("ligrec_fdr", "fdr_bh")):
        calls, seconds = timed(lambda corrected=corrected: ligrec(tissue, seed, corrected))
        yield method, calls, seconds


def interactions(tissue: Tissue, seed: int, **kwargs: Any) -> pd.DataFrame:
    adata = mt.tl.interactions(tissue.adata, tissue.pairs, cluster_key=DOMAIN, random_state=seed, copy=True, **kwargs)
    assert isinstance(adata, AnnData)
    return adata.uns["multist"]["interactions"]["pairs"]


def significant(pairs: pd.DataFrame, column: str) -> set[Call]:
    called = pairs[pairs[column] <= LEVEL]
    return set(called[["source", "target", "ligand_domain", "receptor_domain"]].itertuples(index=False, name=None))


def ligrec(tissue: Tissue, seed: int, corrected: str | None) -> set[Call]:
    """squidpy's function on log-normalised counts, between all domains, as its own documentation has it."""
    import scanpy as sc
    import squidpy as sq

    adata = tissue.adata.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    result = sq.gr.ligrec(
        adata,
        DOMAIN,
        interactions=tissue.pairs.astype(str),
        use_raw=False,
        copy=True,
        n_perms=1000,
        seed=seed,
        corr_method=corrected,
        n_jobs=1,
        show_progress_bar=False,
    )
    pvalues = result["pvalues"].sparse.to_dense()
    calls = pvalues.stack([0, 1], future_stack=True)
    return {tuple(call) for call in calls.index[calls <= LEVEL]}


def compared(calls: set[Call], planted: set[Call]) -> dict[str, Any]:
    true = len(calls & planted)
    return {
        "planted": len(planted),
        "called": len(calls),
        "found": true,
        "false": len(calls) - true,
        "false_share": (len(calls) - true) / max(len(calls), 1),
    }


def table(runs: list[dict[str, Any]], background: int) -> str:
    frame = pd.DataFrame([run for run in runs if run["background"] == background])
    lines = ["| test | planted found | false calls per tissue | false among calls | seconds |", "|---|---|---|---|---|"]
    for method, title in TITLES.items():
        own = frame[frame["method"] == method]
        lines.append(
            f"| {title} | {own['found'].sum()} of {own['planted'].sum()} | {own['false'].mean():.1f} "
            f"(0 in {(own['false'] == 0).sum()}, at most {own['false'].max()}) | {own['false_share'].mean():.3f} "
            f"| {own['seconds'].mean():.1f} |"
        )
    return "\n".join(lines)


def patchy_runs(*, n_spots: int) -> list[dict[str, Any]]:
    """Shares of p-values up to .05 where ligands and receptors are Poisson counts of smooth random fields."""
    tissue = make_tissue(0, 0, n_spots=n_spots)
    graph = tissue.adata.obsp["spatial_connectivities"].tocoo()
    xy = tissue.adata.obsm["spatial"]
    xy = xy / np.median(np.linalg.norm(xy[graph.row] - xy[graph.col], axis=1))
    names = np.array([f"G{i}" for i in range(2 * PATCHY_PAIRS)])
    pairs = pd.DataFrame(names.reshape(-1, 2), columns=["source", "target"])
    runs = []
    for length in LENGTHS:
        rng = np.random.default_rng(length)
        fields = [smooth_field(xy, length, rng) for _ in names]
        counts = rng.poisson(1.5 * np.exp(0.7 * np.column_stack(fields)))
        adata = AnnData(np.log1p(counts), obs=tissue.adata.obs[[DOMAIN]], var=pd.DataFrame(index=names))
        adata.obsm, adata.obsp = tissue.adata.obsm, tissue.adata.obsp
        for size in PATCH_SIZES:
            found = interactions(Tissue(adata, pairs, set()), 0, patch_size=size)
            shares = {name: float((found[f"{name}_pvalue"] <= LEVEL).mean()) for name in ("ligand", "border")}
            called = int((found["border_fdr"] <= LEVEL).sum())
            runs.append({"length": length, "patch_size": size, "called": called, "tests": len(found), **shares})
    return runs


def smooth_field(xy: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) Gaussian random field of unit variance with correlation ``exp(-d**2 / 2 length**2)``; 0 for no length."""
    if length == 0:
        return np.zeros(len(xy))
    waves, phases = rng.normal(size=(2, 200)) / length, rng.uniform(0, 2 * np.pi, 200)
    return np.cos(xy @ waves + phases).sum(axis=1) * np.sqrt(2 / 200)


def patchy_table(runs: list[dict[str, Any]]) -> str:
    header = [f"`patch_size={size}`" for size in PATCH_SIZES]
    lines = ["| alike over | " + " | ".join(header) + " |", "|---" * (len(header) + 1) + "|"]
    for length in LENGTHS:
        cells = [
            f"{run['ligand']:.3f} / {run['border']:.3f} / {run['called']}" for run in runs if run["length"] == length
        ]
        lines.append(f"| {length} spots | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def timed(work: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def machine() -> dict[str, Any]:
    return {
        "versions": {name: version(name) for name in VERSIONS},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
    }


if __name__ == "__main__":
    sys.exit(main())
