"""Time and memory of one step on cells that lie in a zarr, in a process that has loaded nothing.

    python benchmarks/scale_steps.py {domains,pseudotime,interactions} [--cells N ...] [--double] [--folder FOLDER]

``domains`` starts from given components and histology features (``large_tissue.py``), ``pseudotime`` from an embedding
and domains, ``interactions`` from counts of 500 genes, 200 pairs of them, and domains (``scale_counts.py``). Input is
made and written by another process first. Seconds include imports and compilation; the peak is that of the process.
Prints a Markdown table and writes JSON; fails where a budget is broken or where twice the cells take too much more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from large_tissue import N_DOMAINS, large_tissue
from scale import peak_gb
from scale_counts import read_counts, write_counts
from scale_report import GROWTH, grown_too_much

BUDGETS = {  # cells, seconds, GB of 2**30 bytes
    "domains": (5_000_000, 480, 12),
    "pseudotime": (1_000_000, 120, 5),
    "interactions": (1_000_000, 180, 5),
}
N_PAIRS, N_SMOOTHED = 200, 4


def make_input(step: str, n_cells: int, path: Path) -> None:
    """Write what a step starts from."""
    if step == "interactions":
        write_counts(path, n_cells, n_genes=500, molecules=200)
        return
    from anndata import AnnData

    tissue = large_tissue(n_cells)
    truth = pd.Categorical(tissue.truth.astype(str))
    adata = AnnData(obs=pd.DataFrame({"multist_domain": truth}, index=pd.RangeIndex(n_cells).astype(str)))
    adata.obsm["spatial"] = tissue.xy
    if step == "domains":
        del adata.obs["multist_domain"]
        adata.obsm["X_pca"], adata.obsm["X_histology"] = tissue.expression, tissue.image
    else:
        adata.obsm["X_multist"] = smoothed(tissue.xy, tissue.expression)
    adata.write_zarr(path)


def smoothed(xy: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Averages over neighbours, which is what an embedding of domains is."""
    from large_tissue import nearest_cells

    from multist.model.features.neighbourhood import smooth

    return smooth(values, nearest_cells(xy), N_SMOOTHED)


def child(step: str, path: Path) -> dict[str, Any]:
    """Read the input and take the step."""
    start, used = time.perf_counter(), time.process_time()
    if step == "interactions":
        adata = read_counts(path)
        adata.obs["multist_domain"] = adata.obs["truth"]
    else:
        import anndata as ad

        adata = ad.read_zarr(path)
    import multist as mt

    mt.settings.progress = False
    mt.settings.verbosity = "error"
    if step == "domains":
        mt.tl.multist_domains(adata, N_DOMAINS)
    elif step == "pseudotime":
        mt.tl.pseudotime(adata, "0", on_disconnected="separate")
    else:
        genes = np.random.default_rng(0).choice(adata.var_names, (N_PAIRS, 2))
        mt.tl.interactions(adata, pd.DataFrame(genes, columns=["source", "target"]))
    took = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    return {"step": step, "cells": adata.n_obs, **took, "peak_gb": peak_gb()}


def run(step: str, n_cells: int, folder: Path) -> dict[str, Any]:
    """One size, its input made by a process of its own."""
    path = folder / f"{step}_{n_cells}.zarr"
    result: dict[str, Any] = {"step": step, "cells": n_cells}
    for mode in ("--make", "--child"):
        command = [sys.executable, __file__, step, "--cells", str(n_cells), mode, str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return result | {"failed": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def broken(run: dict[str, Any], half: dict[str, Any] | None) -> list[str]:
    """What a run promised and did not keep."""
    if "failed" in run:
        return [run["failed"]]
    cells, seconds, gigabytes = BUDGETS[run["step"]]
    found = []
    if run["cells"] == cells and (run["seconds"] > seconds or run["peak_gb"] > gigabytes):
        found.append(f"more than {seconds} s or {gigabytes} GB")
    found += [f"{key} grew more than {GROWTH[key]} times" for key in grown_too_much(run, half)]
    return found


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| step | cells | seconds | CPU seconds | peak GB | broken |", "|" + "---|" * 6]
    for run in runs:
        numbers = " | ".join(f"{run[key]:.2f}" if key in run else "" for key in ("seconds", "cpu_seconds", "peak_gb"))
        lines.append(f"| {run['step']} | {run['cells']:,} | {numbers} | {'; '.join(run['broken'])} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=BUDGETS)
    parser.add_argument("--cells", type=int, nargs="+", help="default: those of the budget")
    parser.add_argument("--double", action="store_true", help="run twice of every size too, and compare")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks/steps"), help="where input is written")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/scale_steps.json"))
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    sizes = options.cells or [BUDGETS[options.step][0]]
    warnings.simplefilter("ignore")
    os.environ["TQDM_DISABLE"] = "1"
    if options.make:
        make_input(options.step, sizes[0], options.make)
        return 0
    if options.child:
        print(json.dumps(child(options.step, options.child)))
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    runs: dict[int, dict[str, Any]] = {}
    for n_cells in sorted({*sizes, *((2 * n for n in sizes) if options.double else ())}):
        found = run(options.step, n_cells, options.folder)
        runs[n_cells] = found | {"broken": broken(found, runs.get(n_cells // 2))}
        print(json.dumps(runs[n_cells]), file=sys.stderr)
        options.output.write_text(json.dumps(list(runs.values()), indent=1), encoding="utf-8")
    print(table(list(runs.values())))
    return 1 if any(run["broken"] for run in runs.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
