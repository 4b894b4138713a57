"""Time, memory and ARI against the number of cells, each run in a process of its own.

    python benchmarks/scale.py [--sizes 3600 100000 1000000] [--methods multist floor ...] [--double] [--limit 600]

Tissue is made for each size by ``large_tissue.py``: 50 expression components, 32 histology features, 10 domains.
Seconds are those of the work, from the graph to the domains; libraries are imported and used once before. The peak is
the most memory that the process ever held, libraries and data included. CPU seconds, and so their growth, hold on a
busy machine too. ``--double`` adds twice of every size. Work that takes more than ``--limit`` CPU seconds is cut off,
and larger sizes of that method are not run. A method whose library is not installed is left out. Prints Markdown
tables, and writes everything as JSON and, with ``--plot FILE``, a log-log plot.

    python benchmarks/scale.py --from-counts [--sizes 3600 200000] [--double] [--folder build/benchmarks/counts]

starts from counts in a zarr, which is made first, in a process that has loaded nothing: components, graph, domains.
Seconds include imports and compilation. Genes and molecules of a cell belong to the size: a Visium section, 5,000
genes, Visium HD, Xenium.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from large_tissue import LargeTissue, large_tissue
from scale_counts import ROWS, counts_broken, counts_table, run_counts, with_doubles
from scale_methods import METHODS, OPTIONAL, is_installed, work
from scale_report import broken, plot, ratios_table, stages_table, table

SIZES = (3_600, 100_000, 1_000_000)
VERSIONS = ("multist", "numpy", "scipy", "scikit-learn", "torch", "anndata", "squidpy")


def as_table(tissue: LargeTissue) -> Any:
    import pandas as pd
    from anndata import AnnData

    adata = AnnData(obs=pd.DataFrame(index=pd.RangeIndex(len(tissue.xy)).astype(str)))
    adata.obsm["spatial"] = tissue.xy
    adata.obsm["X_pca"], adata.obsm["X_histology"] = tissue.expression, tissue.image
    return adata


def child(method: str, n_cells: int, limit: float) -> None:
    """Run one size in this process and print the result as JSON; SIGPROF ends it at the limit."""
    from sklearn.metrics import adjusted_rand_score

    import multist as mt

    mt.settings.progress = False
    mt.settings.verbosity = "error"
    warnings.simplefilter("ignore")
    work(method, as_table(large_tissue(600)), {})
    tissue = large_tissue(n_cells)
    adata = as_table(tissue)
    before = peak_gb()
    stages: dict[str, float] = {}
    signal.setitimer(signal.ITIMER_PROF, limit)
    start, used = time.perf_counter(), time.process_time()
    labels = work(method, adata, stages)
    signal.setitimer(signal.ITIMER_PROF, 0)
    result = {
        "method": method,
        "cells": n_cells,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - used,
        "peak_gb": peak_gb(),
        "before_gb": before,
        "ari": float(adjusted_rand_score(tissue.truth, labels)),
        "n_found": len(np.unique(labels)),
        "stages": stages,
    }
    print(json.dumps(result))


def counts_child(path: Path) -> None:
    """Run one zarr of counts in this process, which has loaded and compiled nothing, and print the result as JSON."""
    warnings.simplefilter("ignore")
    os.environ["TQDM_DISABLE"] = "1"
    print(json.dumps(run_counts(path, peak_gb)))


def from_counts(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Make and run one size after the other."""
    options.folder.mkdir(parents=True, exist_ok=True)
    for n_cells in options.sizes:
        path = options.folder / f"counts_{n_cells}.zarr"
        made = [sys.executable, str(Path(__file__).with_name("scale_counts.py")), str(path), str(n_cells)]
        subprocess.run(made, check=True, capture_output=True)
        command = [sys.executable, __file__, "--counts-child", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            yield json.loads(done.stdout.splitlines()[-1])
        else:
            yield {"cells": n_cells, "failed": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}


def peak_gb() -> float:
    """The most memory that this process has held, in GB of 2**30 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**3 if sys.platform == "darwin" else 1024**2)


def run_child(method: str, n_cells: int, limit: float) -> dict[str, Any]:
    """The result, or why there is none: ``failed``, or ``cut`` where more cells would be no better."""
    command = [sys.executable, __file__, "--child", method, str(n_cells), "--limit", str(limit)]
    environment = {"OMP_NUM_THREADS": str(n_cores()), "TQDM_DISABLE": "1", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    result = {"method": method, "cells": n_cells}
    if done.returncode == -signal.SIGPROF:
        return result | {"cut": f"> {limit:g} CPU s", "limit": limit}
    if done.returncode < 0:
        return result | {"cut": f"killed by {signal.Signals(-done.returncode).name}"}
    return result | {"failed": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}


def run_all(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    cut: dict[str, dict[str, Any]] = {}  # method: its smallest run that was cut off
    for n_cells in sorted(options.sizes):
        for method in options.methods:
            if method in cut:
                why = f"not run: {cut[method]['cut']} at {cut[method]['cells']:,} cells"
                yield {"method": method, "cells": n_cells, "cut": why}
                continue
            run = run_child(method, n_cells, options.limit)
            if "cut" in run:
                cut[method] = run
            yield run


def at_hand(methods: list[str]) -> list[str]:
    """The methods whose library is installed; the others are named on standard error."""
    for method in methods:
        if not is_installed(method):
            print(f"{method} is left out: {OPTIONAL[method]!r} is not installed", file=sys.stderr)
    return [method for method in methods if is_installed(method)]


def n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="CELLS")
    parser.add_argument("--from-counts", action="store_true", help="start from counts on disk, in a fresh process")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks/counts"), help="where counts are written")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["multist"], metavar="METHOD", help=", ".join(METHODS)
    )
    parser.add_argument(
        "--double", action="store_true", help="run twice of every size too, and fail if it grows too much"
    )
    parser.add_argument(
        "--limit", type=float, default=600, metavar="SECONDS", help="cut off work that takes more CPU seconds"
    )
    parser.add_argument("--quick", action="store_true", help="1,200 and 2,400 cells, for CI")
    parser.add_argument("--plot", type=Path, help="write a log-log plot")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/scale.json"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--counts-child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    options.sizes = options.sizes or list(ROWS if options.from_counts else SIZES)
    if options.quick:
        options.sizes = [1_200, 2_400]
    if options.double:
        doubled = {n for size in options.sizes for n in (size, 2 * size)}
        options.sizes = with_doubles(options.sizes) if options.from_counts else sorted(doubled)
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.child:
        child(options.child[0], int(options.child[1]), options.limit)
        return 0
    if options.counts_child:
        counts_child(options.counts_child)
        return 0
    options.methods = at_hand(options.methods)
    libraries = [*VERSIONS, *(OPTIONAL[method] for method in options.methods if method in OPTIONAL)]
    machine = {
        "versions": {name: version(name) for name in libraries},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": n_cores(),
        "limit_cpu_seconds": options.limit,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    for run in from_counts(options) if options.from_counts else run_all(options):
        runs.append(run)
        print(json.dumps(run), file=sys.stderr)
        options.output.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1), encoding="utf-8")
    if options.from_counts:
        print(counts_table(runs))
        return 1 if counts_broken(runs) else 0
    print(table(runs), ratios_table(runs), stages_table(runs), sep="\n\n")
    if options.plot:
        plot(runs, options.plot)
    return 1 if broken(runs) else 0


if __name__ == "__main__":
    sys.exit(main())
