"""From counts on disk to domains, step by step: made counts are written to a zarr and read by a fresh process.

    python benchmarks/scale_counts.py PATH CELLS

makes the counts alone; ``scale.py --from-counts`` calls it, so that their memory is not taken for that of the run.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from large_tissue import N_DOMAINS, regions
from scale_report import grown_too_much

BLOCK = 20_000  # cells whose counts are made, and later read, at once
SPECIFIC = 0.2  # share of the genes that differ between domains
STEP_NAMES = ("read", "image", "components", "graph", "domains")
TILE, SLIDE = 512, "slide.tif"  # pixels along a tile of the slide, and its name beside the counts


class Row(NamedTuple):
    """A row of the table: how many genes and molecules each cell has, what it may take, and how wide its slide is."""

    n_genes: int
    molecules: int
    seconds: float
    gigabytes: float
    pixels: int = 0


ROWS = {
    3_600: Row(18_000, 5_000, 6, 1.2),  # Visium
    200_000: Row(5_000, 500, 45, 2.5),
    500_000: Row(18_000, 250, 360, 6, 20_000),  # Visium HD
    1_000_000: Row(500, 200, 240, 5),  # Xenium
}
OTHER = Row(1_000, 300, np.inf, np.inf)
"""Of sizes that have no budget."""


def row_of(n_cells: int) -> Row:
    """What cells of that number have; twice or half of a row's cells have what the row's have, without its budget."""
    if n_cells in ROWS:
        return ROWS[n_cells]
    for size, row in ROWS.items():
        if n_cells in (2 * size, size // 2):
            pixels = round(row.pixels * (n_cells / size) ** 0.5)  # a cell is as wide as it was
            return row._replace(seconds=np.inf, gigabytes=np.inf, pixels=pixels)
    return OTHER


def with_doubles(sizes: Iterable[int]) -> list[int]:
    """Sizes and twice each; of a row whose double is another row, of other genes, its half."""
    return sorted({n for size in sizes for n in ((size // 2, size) if 2 * size in ROWS else (size, 2 * size))})


def write_counts(
    path: Path, n_cells: int, *, n_genes: int | None = None, molecules: int | None = None, random_state: int = 0
) -> None:
    """An AnnData zarr of sparse counts of ten wavy regions, made and appended in blocks.

    How often a gene is seen is log-normal, as it is in tissue; molecules of a cell are drawn one by one, so that
    nothing of cells times genes is ever held.
    """
    import anndata as ad
    import pandas as pd
    import zarr
    from anndata.io import sparse_dataset, write_elem

    row = row_of(n_cells)
    row = row._replace(n_genes=n_genes or row.n_genes, molecules=molecules or row.molecules)
    rng = np.random.default_rng(random_state)
    base = rng.lognormal(0, 1.5, row.n_genes)
    fold = np.where(rng.random((N_DOMAINS, row.n_genes)) < SPECIFIC, rng.lognormal(0, 0.7, (N_DOMAINS, row.n_genes)), 1)
    steps = np.cumsum(base * fold, axis=1)
    steps /= steps[:, -1:]
    side = int(np.ceil(np.sqrt(n_cells)))
    place = np.stack(np.divmod(np.arange(n_cells), side)[::-1], axis=1).astype(float)
    truth = regions(place / side)
    obs = pd.DataFrame({"truth": pd.Categorical(truth.astype(str))}, index=pd.RangeIndex(n_cells).astype(str))
    var = pd.DataFrame(index=[f"gene{i}" for i in range(row.n_genes)])
    shutil.rmtree(path, ignore_errors=True)
    apart = row.pixels / side if row.pixels else 10.0
    ad.AnnData(obs=obs, var=var, obsm={"spatial": (place + 0.5) * apart}).write_zarr(path)
    if row.pixels:
        write_slide(path.with_name(f"{path.stem}_{SLIDE}"), row.pixels, rng)
    group = zarr.open_group(path, mode="a", use_consolidated=False)
    for start in range(0, n_cells, BLOCK):
        domain = truth[start : start + BLOCK]
        depth = rng.poisson(row.molecules * rng.lognormal(0, 0.3, len(domain)))
        cell, drawn = np.repeat(np.arange(len(domain)), depth), rng.random(depth.sum())
        gene = np.empty(len(drawn), dtype=np.int64)
        for number in np.unique(domain):
            own = (domain == number)[cell]
            gene[own] = np.searchsorted(steps[number], drawn[own])
        block = sp.coo_matrix((np.ones(len(gene), np.float32), (cell, gene)), (len(domain), row.n_genes)).tocsr()
        if start == 0:
            write_elem(group, "X", block)
        else:
            sparse_dataset(group["X"]).append(block)


def write_slide(path: Path, pixels: int, rng: np.random.Generator) -> None:
    """A tiled TIFF of pink tissue, whose nuclei are as dense as their region has them; tiles are made one by one."""
    import tifffile

    def tiles() -> Any:
        for top in range(0, pixels, TILE):
            for left in range(0, pixels, TILE):
                y, x = np.mgrid[top : top + TILE, left : left + TILE].reshape(2, -1) / pixels
                density = 0.02 + 0.02 * regions(np.column_stack([x, y]).clip(0, 1 - 1e-9)).reshape(TILE, TILE)
                nucleus = (rng.random((TILE // 8, TILE // 8)).repeat(8, 0).repeat(8, 1) < density)[..., None]
                noise = rng.integers(-12, 13, (TILE, TILE, 3))
                yield (np.where(nucleus, (90, 60, 150), (225, 150, 190)) + noise).astype(np.uint8)

    tifffile.imwrite(path, tiles(), shape=(pixels, pixels, 3), dtype=np.uint8, tile=(TILE, TILE), photometric="rgb")


def read_slide(adata: Any, path: Path) -> None:
    """Open the slide, which stays on disk, and describe what lies around each cell."""
    import multist as mt

    slide = mt.pp.read_slide(path)
    finest = next(iter(slide["scale0"].data_vars.values())) if hasattr(slide, "children") else slide
    apart = float(np.diff(np.unique(adata.obsm["spatial"][:, 0])).min())
    adata.uns["spatial"] = {
        "section": {
            "images": {"hires": finest.data.transpose(1, 2, 0)},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": apart},
        }
    }
    mt.pp.embed_histology(adata, patch_size=8)


def read_counts(path: Path) -> Any:
    """The table, its counts a dask array of sparse blocks that stay on disk."""
    import zarr
    from anndata import AnnData
    from anndata.experimental import read_elem_lazy
    from anndata.io import read_elem

    group = zarr.open_group(path, mode="r", use_consolidated=False)
    counts = read_elem_lazy(group["X"], chunks=(BLOCK, group["X"].attrs["shape"][1]))
    return AnnData(counts, obs=read_elem(group["obs"]), var=read_elem(group["var"]), obsm=read_elem(group["obsm"]))


def run_counts(path: Path, peak_gb: Callable[[], float]) -> dict[str, Any]:
    """Seconds and CPU seconds of each step, imports included, and the most memory held by its end."""
    steps: dict[str, dict[str, float]] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        start, used = time.perf_counter(), time.process_time()
        result = work()
        took = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
        steps[name] = {**took, "peak_gb": peak_gb()}
        return result

    adata = step("read", lambda: read_counts(path))
    import multist as mt  # loads nothing by itself

    slide = path.with_name(f"{path.stem}_{SLIDE}")
    if slide.exists():
        step("image", lambda: read_slide(adata, slide))
    step("components", lambda: mt.pp.embed_expression(adata))
    step("graph", lambda: mt.pp.spatial_graph(adata))
    step("domains", lambda: mt.tl.multist_domains(adata, N_DOMAINS, use_image=slide.exists()))
    from sklearn.metrics import adjusted_rand_score

    found = adata.obs["multist_domain"]
    return {
        "cells": adata.n_obs,
        "genes": adata.n_vars,
        "seconds": sum(each["seconds"] for each in steps.values()),
        "cpu_seconds": sum(each["cpu_seconds"] for each in steps.values()),
        "peak_gb": steps["domains"]["peak_gb"],  # what scores them came after
        "steps": steps,
        "ari": float(adjusted_rand_score(adata.obs["truth"], found)),
        "n_found": int(found.nunique()),
    }


def counts_table(runs: list[dict[str, Any]]) -> str:
    """Markdown: a row per size, seconds and peak GB of each step and of all."""
    head = " | ".join(f"{name} s | GB" for name in STEP_NAMES)
    lines = [
        f"| cells x genes | {head} | all s | CPU s | GB | ARI | budget |",
        "|" + "---|" * (2 * len(STEP_NAMES) + 6),
    ]
    for run in runs:
        if "failed" in run:
            lines.append(f"| {run['cells']:,} | failed: {run['failed']} |" + " |" * (2 * len(STEP_NAMES) + 4))
            continue
        steps = " | ".join(
            f"{run['steps'][name]['seconds']:.1f} | {run['steps'][name]['peak_gb']:.2f}"
            if name in run["steps"]
            else " | "
            for name in STEP_NAMES
        )
        whole = f"{run['seconds']:.1f} | {run['cpu_seconds']:.1f} | {run['peak_gb']:.2f} | {run['ari']:.2f}"
        lines.append(f"| {run['cells']:,} x {run['genes']:,} | {steps} | {whole} | {counts_verdict(run)} |")
    return "\n".join(lines)


def counts_verdict(run: dict[str, Any]) -> str:
    row = row_of(run["cells"])
    if not np.isfinite(row.seconds):
        return ""
    kept = run["seconds"] <= row.seconds and run["peak_gb"] <= row.gigabytes
    return f"{'kept' if kept else 'BROKEN'}: {row.seconds:g} s, {row.gigabytes:g} GB"


def counts_broken(runs: list[dict[str, Any]]) -> list[str]:
    """What was promised and not kept, on standard error too: budgets, and growth against half of the cells."""
    good = {(run["cells"], run["genes"]): run for run in runs if "failed" not in run}
    found = []
    for run in runs:
        cells = f"{run['cells']:,} cells"
        if "failed" in run:
            found.append(f"{cells}: failed")
            continue
        if counts_verdict(run).startswith("BROKEN"):
            found.append(f"{cells}: {counts_verdict(run)}")
        half = good.get((run["cells"] // 2, run["genes"]))
        found += [f"{cells}: {key} {times:.2f} times that of half" for key, times in grown_too_much(run, half).items()]
    for line in found:
        print(line, file=sys.stderr)
    return found


def main(argv: list[str] | None = None) -> int:
    path, cells = sys.argv[1:] if argv is None else argv
    write_counts(Path(path), int(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
