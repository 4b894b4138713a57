"""Score pseudotime against the known order of layers.

    python benchmarks/pseudotime.py FOLDER [--seeds 10] [--only dlpfc/151673 layered_tissue]

Every cortex section of FOLDER, and the tissue that comes with the package. For every seed, domains are found and the
same function, :func:`multist.tl.pseudotime`, orders the spots by the fused embedding, by plain principal components and
by the floor's smoothed ones, each with and without neighbours in space. All start from the same domain: the one that
holds most of the first layer, as a biologist would name it by its markers; the truth enters nowhere else. The score is
|Spearman| between pseudotime and layer; as layers are ties, a perfect order stays below 1, and the table says where.
Prints a Markdown table and writes every run as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from floor import floor_features
from scipy.stats import rankdata, spearmanr
from sections import Section, load_section, section_names
from variants import prepare

import multist as mt

TISSUE = "layered_tissue"
# from the root outwards; layers of one set lie beside each other
ORDER = {
    "dlpfc": [{"WM"}, {"Layer6"}, {"Layer5"}, {"Layer4"}, {"Layer3"}, {"Layer2"}, {"Layer1"}],
    TISSUE: [{"rim"}, {"cortex_a"}, {"cortex_b"}, {"band"}, {"stroma_loose", "stroma_dense"}],
}
REPRESENTATIONS = {
    "X_multist": "fused embedding",
    "X_pca": "plain components",
    "X_floor": "floor's smoothed components",
}
WEIGHTS = (0.5, 0.0)
VERSIONS = ("multist", "scanpy", "anndata", "numpy", "scipy", "scikit-learn", "torch", "squidpy")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    for category in (FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category)
    names = [name for name in [*section_names(options.folder), TISSUE] if name.split("/")[0] in ORDER]
    names = list(dict.fromkeys(name for name in names if not options.only or name in options.only))
    report: dict[str, Any] = {
        "seeds": list(range(options.seeds)),
        "versions": {name: version(name) for name in VERSIONS},
        "platform": platform.platform(),
        "runs": [],
    }
    for name in names:
        section = made_section() if name == TISSUE else load_section(options.folder, name)
        if section is not None:
            report["runs"] += run_section(section, options.seeds)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if not report["runs"]:
        print(f"no section with a known order; they are: {', '.join(ORDER)}", file=sys.stderr)
        return 2
    print(table(report["runs"]))
    print(f"\n{options.output}", file=sys.stderr)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: 10)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/pseudotime.json"))
    return parser.parse_args(argv)


def made_section(**size: int) -> Section:
    """The package's own tissue without what is known of it."""
    adata = mt.datasets.layered_tissue(format="anndata", **size)
    truth = adata.obs["domain"].astype(object)
    adata.obs = adata.obs[[]].copy()
    return Section(TISSUE, adata, truth, int(truth.nunique()))


def layer_rank(section: Section) -> np.ndarray:
    """(n,) place of each spot's layer in the known order, NaN where it has none."""
    place = {name: i for i, names in enumerate(ORDER[section.name.split("/")[0]]) for name in names}
    return np.array([place.get(name, np.nan) for name in section.truth])


def run_section(section: Section, n_seeds: int) -> list[dict[str, Any]]:
    prepared, rank, runs = section.adata.copy(), layer_rank(section), []
    prepare(prepared, has_image=section.has_image)
    prepared.obsm["X_floor"] = floor_features(section.adata)
    for seed in range(n_seeds):
        adata = prepared.copy()
        mt.tl.multist_domains(adata, section.n_domains, random_state=seed)
        first = adata.obs["multist_domain"][rank == 0].value_counts().idxmax()
        for rep in REPRESENTATIONS:
            for weight in WEIGHTS:
                start = time.perf_counter()
                # a lesion may lie apart in the features; it then has a scale of its own, and the order of the layers is
                # unharmed
                mt.tl.pseudotime(
                    adata, first, use_rep=rep, spatial_weight=weight, on_disconnected="separate", random_state=seed
                )
                seconds = time.perf_counter() - start
                order = adata.obs["multist_pseudotime"].to_numpy()
                run = {"section": section.name, "representation": rep, "spatial_weight": weight, "seed": seed}
                scores = {"spearman": score(order, rank), "highest": highest(rank), "seconds": seconds}
                runs.append(run | scores | {"root": adata.uns["multist"]["pseudotime"]["roots"].tolist()})
        print(f"{section.name} {seed}: {runs[-len(REPRESENTATIONS) * len(WEIGHTS)]['spearman']:.3f}", file=sys.stderr)
    return runs


def score(order: np.ndarray, rank: np.ndarray) -> float:
    """|Spearman| over spots with a known layer; a spot without pseudotime counts as if it came last."""
    known = np.isfinite(rank)
    return float(abs(spearmanr(np.nan_to_num(order, nan=2.0)[known], rank[known])[0]))


def highest(rank: np.ndarray) -> float:
    """What a perfect order scores."""
    known = rank[np.isfinite(rank)]
    return float(spearmanr(rankdata(known, method="ordinal"), known)[0])


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: mean ± standard deviation over the seeds."""
    lines = [
        "| section | ordered by | in space | seeds | Spearman | perfect order | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (section, rep, weight), group in pd.DataFrame(runs).groupby(
        ["section", "representation", "spatial_weight"], sort=False
    ):
        spread = f"{group['spearman'].mean():.3f} ± {group['spearman'].std(ddof=0):.3f}"
        ends = f"{group['highest'].iloc[0]:.3f} | {group['seconds'].median():.1f}"
        lines.append(f"| {section} | {REPRESENTATIONS[rep]} | {weight:g} | {len(group)} | {spread} | {ends} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
