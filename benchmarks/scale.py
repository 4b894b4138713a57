"""Time, memory and ARI against the number of cells, each run in a process of its own.

    python benchmarks/scale.py [--sizes 3600 100000 1000000] [--methods multist floor niche] [--double] [--quick]

Tissue is made for each size by ``large_tissue.py``: 50 expression components, 32 histology features, 10 domains. Seconds
are those of the work, from the graph to the domains; libraries are imported and used once before. The peak is the most memory
that the process ever held, libraries and data included. CPU seconds, and so the growth, hold on a busy machine too. ``--double`` adds twice of every size. Prints Markdown tables, and
writes everything as JSON and, with ``--plot FILE``, a log-log plot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from large_tissue import LargeTissue, large_tissue
from scale_methods import work

SIZES = (3_600, 100_000, 1_000_000)
BUDGETS = {3_600: (10, 1.5), 100_000: (60, 2.5), 1_000_000: (360, 8)}  # seconds, GB of 2**30 bytes
GROWTH = (2.2, 2.1)  # of time and of memory, when the cells double
VERSIONS = ("multist", "numpy", "scipy", "scikit-learn", "torch", "anndata", "squidpy")
METHODS = ("multist", "floor", "niche_neighborhood", "niche_utag", "niche_cellcharter")


def as_table(tissue: LargeTissue) -> Any:
    import pandas as pd
    from anndata import AnnData

    adata = AnnData(obs=pd.DataFrame(index=pd.RangeIndex(len(tissue.xy)).astype(str)))
    adata.obsm["spatial"] = tissue.xy
    adata.obsm["X_pca"], adata.obsm["X_histology"] = tissue.expression, tissue.image
    return adata


def child(method: str, n_cells: int) -> None:
    """Run one size in this process and print the result as JSON."""
    from sklearn.metrics import adjusted_rand_score

    import multist as mt

    mt.settings.progress = False
    mt.settings.verbosity = "ERROR"
    warnings.simplefilter("ignore")
    work(method, as_table(large_tissue(600)), {})
    tissue = large_tissue(n_cells)
    adata = as_table(tissue)
    before = peak_gb()
    stages: dict[str, float] = {}
    start, used = time.perf_counter(), time.process_time()
    labels = work(method, adata, stages)
    result = {
        "method": method, "cells": n_cells, "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - used, "peak_gb": peak_gb(), "before_gb": before,
        "ari": float(adjusted_rand_score(tissue.truth, labels)), "n_found": len(np.unique(labels)), "stages": stages,
    }  # fmt: skip
    print(json.dumps(result))


def peak_gb() -> float:
    """The most memory that this process has held, in GB of 2**30 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**3 if sys.platform == "darwin" else 1024**2)


def run_child(method: str, n_cells: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", method, str(n_cells)]
    environment = {"OMP_NUM_THREADS": str(n_cores()), **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"
        return {"method": method, "cells": n_cells, "failed": reason}
    return json.loads(done.stdout.splitlines()[-1])


def n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: a row per method and size; growth against half of the cells, where that was run."""
    lines = [
        "| method | cells | seconds | CPU seconds | x half | peak GB | x half | ARI | domains | budget |",
        "|" + "---|" * 10,
    ]
    good = {(run["method"], run["cells"]): run for run in runs if "failed" not in run}
    for run in runs:
        if "failed" in run:
            lines.append(f"| {run['method']} | {run['cells']:,} | failed: {run['failed']} |" + " |" * 7)
            continue
        half = good.get((run["method"], run["cells"] // 2))
        grown = [f"{run[key] / half[key]:.2f}" if half else "" for key in ("cpu_seconds", "peak_gb")]
        lines.append(
            f"| {run['method']} | {run['cells']:,} | {run['seconds']:.1f} | {run['cpu_seconds']:.1f} | {grown[0]} | {run['peak_gb']:.2f} | {grown[1]} "
            f"| {run['ari']:.3f} | {run['n_found']} | {verdict(run)} |"
        )
    return "\n".join(lines)


def verdict(run: dict[str, Any]) -> str:
    if run["method"] != "multist" or run["cells"] not in BUDGETS:
        return ""
    seconds, gigabytes = BUDGETS[run["cells"]]
    kept = run["seconds"] <= seconds and run["peak_gb"] <= gigabytes
    return f"{'kept' if kept else 'BROKEN'}: {seconds} s, {gigabytes} GB"


def stages_table(runs: list[dict[str, Any]]) -> str:
    """Markdown: seconds of each stage, and what is left of the whole."""
    names = list(dict.fromkeys(name for run in runs for name in run.get("stages", {})))
    lines = [f"| method | cells | {' | '.join(names)} | rest |", "|" + "---|" * (len(names) + 3)]
    for run in runs:
        if "stages" in run:
            cells = [f"{run['stages'].get(name, 0):.1f}" for name in names]
            rest = run["seconds"] - sum(run["stages"].values())
            lines.append(f"| {run['method']} | {run['cells']:,} | {' | '.join(cells)} | {rest:.1f} |")
    return "\n".join(lines)


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Seconds and memory against cells on logarithmic axes, with a slope of one for comparison."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    good = [run for run in runs if "failed" not in run]
    for axis, key, title in zip(axes, ("cpu_seconds", "peak_gb"), ("CPU seconds", "peak memory, GB"), strict=True):
        for method in dict.fromkeys(run["method"] for run in good):
            own = sorted((run["cells"], run[key]) for run in good if run["method"] == method)
            axis.plot(*zip(*own, strict=True), "o-", label=method, lw=2.2 if method == "multist" else 1.2)
        most = max((run for run in good if run["method"] == good[0]["method"]), key=lambda run: run["cells"])
        ends = np.array([min(run["cells"] for run in good), most["cells"]])
        axis.plot(ends, most[key] * ends / most["cells"], ":", color="grey", label="linear")
        axis.set(xscale="log", yscale="log", xlabel="cells", title=title)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="CELLS")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["multist"], metavar="METHOD", help=", ".join(METHODS)
    )
    parser.add_argument(
        "--double", action="store_true", help="run twice of every size too, and fail if it grows too much"
    )
    parser.add_argument("--quick", action="store_true", help="1,200 and 2,400 cells, for CI")
    parser.add_argument("--plot", type=Path, help="write a log-log plot")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/scale.json"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.quick:
        options.sizes = [1_200, 2_400]
    if options.double:
        options.sizes = sorted({n for size in options.sizes for n in (size, 2 * size)})
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.child:
        child(options.child[0], int(options.child[1]))
        return 0
    machine = {
        "versions": {name: version(name) for name in VERSIONS}, "python": platform.python_version(),
        "platform": platform.platform(), "cores": n_cores(),
    }  # fmt: skip
    runs: list[dict[str, Any]] = []
    for n_cells in options.sizes:
        for method in options.methods:
            runs.append(run_child(method, n_cells))
            print(json.dumps(runs[-1]), file=sys.stderr)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1), encoding="utf-8")
    print(table(runs), stages_table(runs), sep="\n\n")
    if options.plot:
        plot(runs, options.plot)
    return 1 if broken(runs) else 0


def broken(runs: list[dict[str, Any]]) -> list[str]:
    """What ``multist`` promises and did not keep, on standard error too."""
    own = {run["cells"]: run for run in runs if run["method"] == "multist" and "failed" not in run}
    found = [f"multist failed at {run['cells']:,}" for run in runs if run["method"] == "multist" and "failed" in run]
    for cells, run in own.items():
        if verdict(run).startswith("BROKEN"):
            found.append(f"{cells:,} cells: {run['seconds']:.1f} s, {run['peak_gb']:.2f} GB")
        half = own.get(cells // 2)
        for key, most in zip(("cpu_seconds", "peak_gb"), GROWTH, strict=True):
            if half and cells // 2 in BUDGETS and run[key] > most * half[key]:
                found.append(f"{cells:,} cells: {key} grew {run[key] / half[key]:.2f} times, {most} allowed")
    for line in found:
        print(line, file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
