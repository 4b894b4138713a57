"""Normalise and embed slides that are larger than memory.

    python benchmarks/slides.py [--data FOLDER] [--only CASE ...] [--side 60000] [--spots 5000]

The large slide exists nowhere: its chunks are made when they are read, so that the time is that of the work and not of
a disk. FOLDER may hold ``her2st/C3_full_image.jpg`` and ``her2st/C3.h5ad``. Each case runs in a process of its own; the
peak is the most memory that this process held, libraries included (of dask's workers, that of the fullest one is
added). CPU seconds are those of this process and hold on a busy machine too. Prints a Markdown table and writes
everything as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd

VERSIONS = ("multist", "numpy", "dask", "distributed", "spatialdata", "tifffile", "zarr", "squidpy", "torch")
TEXTURE_SIDE, GLASS, TISSUE = 2048, 238, 0.94  # TISSUE: diameter of the disc of tissue, share of the slide
SPOT = 220  # pixels across a spot of 55 um at 0.25 um a pixel
PITCH_FREE = 0.9  # spots lie within this share of the slide
CASES: dict[str, tuple[str, Callable[[argparse.Namespace], dict[str, float]]]] = {}


def case(name: str, title: str) -> Callable[[Any], Any]:
    def add(work: Callable[[argparse.Namespace], dict[str, float]]) -> Any:
        CASES[name] = title, work
        return work

    return add


@case("raw", "lazy slide, no pyramid, chunks of 2,048: embed")
def raw(options: argparse.Namespace) -> dict[str, float]:
    return timed(made_slide(options, 2048), "embed")


@case("normalised", "the same: normalise, embed")
def normalised(options: argparse.Namespace) -> dict[str, float]:
    return timed(made_slide(options, 2048), "normalise", "embed")


@case("tiles", "chunks of 512: normalise, embed")
def tiles(options: argparse.Namespace) -> dict[str, float]:
    return timed(made_slide(options, 512), "normalise", "embed")


@case("big_chunks", "chunks of 4,096: normalise, embed")
def big_chunks(options: argparse.Namespace) -> dict[str, float]:
    return timed(made_slide(options, 4096), "normalise", "embed")


@case("network", "chunks of 2,048: normalise, embed by a function of 224 px patches")
def network(options: argparse.Namespace) -> dict[str, float]:
    return timed(made_slide(options, 2048), "normalise", "embed", encoder=lambda batch: batch.mean(dim=(2, 3)))


@case("workers", "chunks of 2,048, two dask workers: normalise, embed")
def workers(options: argparse.Namespace) -> dict[str, float]:
    from distributed import Client, LocalCluster

    with (
        tempfile.TemporaryDirectory() as scratch,
        LocalCluster(n_workers=2, threads_per_worker=1, local_directory=scratch, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        seconds = timed(made_slide(options, 2048), "normalise", "embed")
        return seconds | {"worker_mb": max(client.run(peak_mb).values())}


@case("jpeg", "her2st C3, JPEG of 9,270 x 9,936: read, normalise, embed")
def jpeg(options: argparse.Namespace) -> dict[str, float]:
    from anndata import read_h5ad

    import multist as mt

    folder = options.data / "her2st"
    xy = np.asarray(read_h5ad(folder / "C3.h5ad").obsm["spatial"])
    start = time.perf_counter()
    image = mt.pp.read_slide(folder / "C3_full_image.jpg")
    read = time.perf_counter() - start
    return {"read": read} | timed(section(image, xy, 135.7), "normalise", "embed")


@case("tiff", "the same as a striped BigTIFF of 30,000 px: open, normalise, embed")
def tiff(options: argparse.Namespace) -> dict[str, float]:
    import tifffile

    import multist as mt

    side = 30_000
    small = argparse.Namespace(side=side, spots=options.spots)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "slide.tif"
        bands = (np.asarray(slide_array(side, 512)[y : y + 512]) for y in range(0, side, 512))
        strips = (strip for band in bands for strip in np.split(band, range(16, len(band), 16)))
        tifffile.imwrite(
            path, strips, shape=(side, side, 3), dtype=np.uint8, photometric="rgb", bigtiff=True, rowsperstrip=16
        )
        forget_peak()
        start = time.perf_counter()
        image = mt.pp.read_slide(path)
        opened = time.perf_counter() - start
        return {"open": opened} | timed(section(image, spot_grid(small), SPOT), "normalise", "embed")


def made_slide(options: argparse.Namespace, chunk: int) -> Any:
    """SpatialData of a slide without a pyramid."""
    from spatialdata.models import Image2DModel

    image = Image2DModel.parse(da.moveaxis(slide_array(options.side, chunk), 2, 0), dims=("c", "y", "x"))
    return section(image, spot_grid(options), SPOT)


def slide_array(side: int, chunk: int) -> da.Array:
    """(side, side, 3) uint8: pieces of one texture, from another place of it in every chunk, in a disc on glass."""
    sizes = tuple(min(chunk, side - start) for start in range(0, side, chunk))
    texture = stained_texture()
    meta = np.empty((0, 0, 0), np.uint8)
    return da.map_blocks(_block, chunks=(sizes, sizes, (3,)), dtype=np.uint8, meta=meta, side=side, texture=texture)


def _block(side: int, texture: np.ndarray, block_info: Any = None) -> np.ndarray:
    (top, bottom), (left, right), _ = block_info[None]["array-location"]
    height, width = bottom - top, right - left
    if np.hypot((top + bottom) / 2 / side - 0.5, (left + right) / 2 / side - 0.5) > TISSUE / 2:
        return np.full((height, width, 3), GLASS, np.uint8)
    out = np.empty((height, width, 3), np.uint8)
    for y, from_y, tall in _pieces(top * 977 // 512, height):
        for x, from_x, wide in _pieces(left * 1409 // 512, width):
            out[y : y + tall, x : x + wide] = texture[from_y : from_y + tall, from_x : from_x + wide]
    return out


def _pieces(shift: int, size: int) -> list[tuple[int, int, int]]:
    """(place in the chunk, place in the texture, length) of the pieces that fill an axis of a chunk."""
    starts = [0, *range(TEXTURE_SIDE - shift % TEXTURE_SIDE, size, TEXTURE_SIDE), size]
    return [(a, (shift + a) % TEXTURE_SIDE, b - a) for a, b in zip(starts, starts[1:], strict=False) if b > a]


def stained_texture() -> np.ndarray:
    """(TEXTURE_SIDE, TEXTURE_SIDE, 3) uint8: nuclei in an uneven stroma, with the noise of a camera."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:TEXTURE_SIDE, :TEXTURE_SIDE].astype(np.float32)
    nuclei = np.full(x.shape, 0.05, np.float32)
    for top, left in rng.integers(0, TEXTURE_SIDE - 14, (TEXTURE_SIDE**2 // 900, 2)):
        nuclei[top : top + 14, left : left + 14] = 1.2
    stroma = 0.5 + 0.3 * np.sin(x / 170) * np.cos(y / 230)
    density = nuclei[..., None] * np.float32([0.65, 0.70, 0.29]) + stroma[..., None] * np.float32([0.1, 0.95, 0.15])
    noise = rng.normal(0, 1.5, density.shape).astype(np.float32)
    return (GLASS * np.exp(-density) + noise).clip(0, 255).astype(np.uint8)


def spot_grid(options: argparse.Namespace) -> np.ndarray:
    """(about options.spots, 2) centres all over the tissue."""
    radius = PITCH_FREE / 2
    per_side = int(np.ceil(np.sqrt(options.spots / (np.pi * radius**2))))
    place = (np.arange(per_side) + 0.5) / per_side - 0.5
    xy = np.stack(np.meshgrid(place, place), axis=-1).reshape(-1, 2)
    inside = xy[np.hypot(*xy.T) < radius]
    return (inside[: options.spots] + 0.5) * options.side


def section(image: Any, xy: np.ndarray, diameter: float) -> Any:
    from anndata import AnnData
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    table = AnnData(np.ones((len(xy), 1), np.float32))
    table.obs["region"] = pd.Categorical(["spots"] * len(xy))
    table.obs["instance"] = np.arange(len(xy))
    table = TableModel.parse(table, region="spots", region_key="region", instance_key="instance")
    spots = ShapesModel.parse(xy, geometry=0, radius=diameter / 2)
    return SpatialData(images={"he": image}, shapes={"spots": spots}, tables={"table": table})


def timed(sdata: Any, *steps: str, **arguments: Any) -> dict[str, float]:
    import multist as mt

    work = {
        "normalise": lambda: mt.pp.normalize_histology(sdata),
        "embed": lambda: mt.pp.embed_histology(sdata, **arguments),
    }
    seconds = {}
    for step in steps:
        start = time.perf_counter()
        work[step]()
        seconds[step] = time.perf_counter() - start
    if not np.isfinite(sdata["table"].obsm["X_histology"]).all():
        raise ValueError("the embedding is not finite")
    return seconds


def forget_peak() -> None:
    """Leave what came before out of the peak, where the system can."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5")


def peak_mb() -> float:
    """The most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            float(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
        )
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def child(name: str, options: argparse.Namespace) -> None:
    """Run one case in this process and print its result as JSON."""
    import multist as mt

    mt.settings.progress = False
    mt.settings.verbosity = "error"
    warnings.simplefilter("ignore")
    warm_up()
    used = time.process_time()
    seconds = CASES[name][1](options)
    used = time.process_time() - used
    worker_mb = seconds.pop("worker_mb", 0.0)
    result = {"case": name, "title": CASES[name][0], "steps": seconds, "seconds": sum(seconds.values()), "cpu": used}
    print(json.dumps(result | {"peak_mb": peak_mb() + worker_mb}))


def warm_up() -> None:
    """Import what is imported on first use, so that no case is charged for it."""
    timed(made_slide(argparse.Namespace(side=400, spots=9), 512), "normalise", "embed")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of real sections")
    parser.add_argument("--only", nargs="+", choices=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--side", type=int, default=60_000, help="pixels across the large slide")
    parser.add_argument("--spots", type=int, default=5_000)
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/slides.json"))
    parser.add_argument("--child", choices=list(CASES), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def run_case(name: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, "--side", str(options.side), "--spots", str(options.spots)]
    if options.data is not None:
        command += ["--data", str(options.data)]
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.child:
        child(options.child, options)
        return 0
    names = options.only or [name for name in CASES if name != "jpeg" or options.data is not None]
    runs = []
    for name in names:
        runs.append(run_case(name, options))
        print(f"{name}: {runs[-1]['seconds']:.1f} s, {runs[-1]['peak_mb']:.0f} MB", file=sys.stderr)
    machine = {
        "versions": {name: version(name) for name in VERSIONS},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    report = {"side": options.side, "spots": options.spots, "machine": machine, "runs": runs}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print("| case | steps, seconds | seconds | CPU seconds | peak MB |\n|---|---|---|---|---|")
    for run in runs:
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in run["steps"].items())
        print(f"| {run['title']} | {steps} | {run['seconds']:.1f} | {run['cpu']:.1f} | {run['peak_mb']:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
