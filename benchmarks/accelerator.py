"""Model and clustering on an accelerator: time, memory, share of the memory bandwidth, and agreement with the CPU.

    python benchmarks/accelerator.py [--sizes 3600 100000 1000000 10000000] [--agree-up-to 1000000] [--sections FOLDER]
                                     [--encoders base large]

Needs numpy, scipy, scikit-learn, torch and this checkout, which need not be installed; Fabric and DGL are used if they
are there. Labelled sections of a folder are read as ``domains.py`` reads them, and need the package. So do encoders of
patches: vision transformers of the usual sizes with weights drawn at random, which take as long as trained ones, and
need transformers. Without an accelerator it runs small on the CPU. Tissue and graph are made before the clock starts.
Prints Markdown tables and writes JSON.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from large_tissue import N_DOMAINS, large_tissue, nearest_cells
from sklearn.metrics import adjusted_rand_score

try:
    importlib.metadata.version("multist")
except importlib.metadata.PackageNotFoundError:  # the rooms suffice, straight from the checkout
    sys.modules["multist"] = ModuleType("multist")
    sys.modules["multist"].__path__ = [str(Path(__file__).resolve().parents[1] / "src" / "multist")]

from multist._settings import settings
from multist.cluster.domains import find_domains
from multist.model.config import MultiSTConfig
from multist.model.fitted import FusionModel
from multist.model.network.graph import SpatialGraph, build_graph, take_rows

if TYPE_CHECKING:
    from sections import Section

ON_ACCELERATOR, ON_CPU = (3_600, 100_000, 1_000_000, 10_000_000), (1_500, 3_000)
WIDTH, HEADS = 16, 4  # of the default network
REPEATS = 5
FLOAT = 4
VISION_TRANSFORMERS = {"tiny": (192, 12, 3), "base": (768, 12, 12), "large": (1024, 24, 16)}  # width, depth, heads
MOST_PATCHES_ON_CPU, FEW_PATCHES, PIXELS_PER_SPOT = 128, 8, 62
MOST_KERNEL_CELLS = 1_000_000  # the steps alone are timed on one graph of at most so many cells


def run(n_cells: int, device: str, **constants: Any) -> tuple[dict[str, Any], np.ndarray]:
    """Seconds of each stage, memory, ARI, and the labels."""
    tissue = large_tissue(n_cells)
    adjacency, config = nearest_cells(tissue.xy), MultiSTConfig(**constants)
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    marks = [time.perf_counter()]
    model, embedding = FusionModel.fit(tissue.expression, tissue.image, adjacency, tissue.xy, config, device=device)
    marks.append(time.perf_counter())
    labels = find_domains(embedding.code, adjacency, N_DOMAINS).labels
    marks.append(time.perf_counter())
    result = {
        "cells": n_cells,
        "device": device,
        "image_gain": model.gain,
        "stages": dict(zip(("train and embed", "cluster"), np.diff(marks).tolist(), strict=True)),
        "seconds": marks[-1] - marks[0],
        "process_gb": process_gb(),
        "device_gb": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
        "ari": float(adjusted_rand_score(tissue.truth, labels)),
    }
    return result, labels


def real_section(section: Section, device: str) -> dict[str, Any]:
    """The same labelled section on the CPU and twice on a device: seconds of warm calls, and what differs."""
    import multist as mt

    prepared = section.adata
    mt.pp.spatial_graph(prepared)
    if section.has_image:
        mt.pp.embed_histology(prepared)

    def domains(where: str) -> tuple[float, np.ndarray, np.ndarray]:
        start = time.perf_counter()
        done = mt.tl.multist_domains(prepared, section.n_domains, device=where, copy=True)
        wait(where)
        return time.perf_counter() - start, done.obsm["X_multist"], done.obs["multist_domain"].to_numpy()

    for where in ("cpu", device):
        domains(where)  # warms up
    cpu_seconds, on_cpu, cpu_labels = domains("cpu")
    seconds, embedding, labels = domains(device)
    _, again, _ = domains(device)
    known = section.truth.notna().to_numpy()
    truth = section.truth[known].astype(str)
    return {
        "section": section.name,
        "spots": prepared.n_obs,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "difference": float(np.linalg.norm(embedding - on_cpu) / np.linalg.norm(on_cpu)),
        "repeats": bool(np.array_equal(embedding, again)),
        "agreement": float(adjusted_rand_score(cpu_labels, labels)),
        "ari": float(adjusted_rand_score(truth, labels[known])),
        "cpu_ari": float(adjusted_rand_score(truth, cpu_labels[known])),
    }


def encoder_speed(size: str, device: str, n_patches: int) -> dict[str, Any]:
    """Patches per second of ``pp.embed_histology`` by a vision transformer of a usual size, with untrained weights.

    A call reads the patches, checks which are kept, and encodes them; a first one on few patches is not counted.
    """
    from transformers import ViTConfig, ViTModel

    import multist as mt

    width, depth, heads = VISION_TRANSFORMERS[size]
    config = ViTConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=4 * width
    )
    found: dict[str, Any] = {"encoder": size, "patch_pixels": config.image_size, "device": device}
    with tempfile.TemporaryDirectory() as folder:
        ViTModel(config).save_pretrained(folder)
        for where, n in {device: n_patches, "cpu": min(n_patches, MOST_PATCHES_ON_CPU)}.items():
            side = max(500, int(PIXELS_PER_SPOT * n**0.5))
            tissue = mt.datasets.layered_tissue(n_spots=max(n, 100), n_genes=100, image_size=side, format="anndata")
            for count, spots in (("warm", tissue[:FEW_PATCHES].copy()), (where, tissue[:n].copy())):
                settings.cache_dir = Path(folder) / f"{where}-{count}"  # nothing is kept from another call
                start = time.perf_counter()
                mt.pp.embed_histology(spots, f"transformers:{folder}", device=where)
                wait(where)
                seconds = time.perf_counter() - start
            found[f"{where}_patches_per_second"] = n / seconds
    return found


def kernels(n_cells: int, device: str) -> dict[str, Any]:
    """How near averaging over the neighbours and one step of attention come to reading and writing each byte once.

    Counted are the features in and out, the edges' ends, and the weights of attention, which are written and read; what
    a kernel reads twice, or stores in between, is its own loss. The bandwidth is that of copying a large tensor on this
    device.
    """
    graph = build_graph(nearest_cells(large_tissue(n_cells).xy), backend=settings.graph_backend, device=device)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n_cells, WIDTH, generator=generator).to(device)
    heads = x.view(n_cells, HEADS, -1)
    bias = torch.zeros(len(graph.sender), HEADS, device=device)
    ends, features = step_bytes(graph)
    bandwidth = copied_per_second(device)
    with torch.no_grad():
        seconds = {
            "propagation": best_time(lambda: graph.mean_neighbours(x), device),
            "attention": best_time(lambda: attended(graph, heads, bias), device),
        }
    needed = {
        "propagation": ends + 2 * features,
        "attention": ends + 4 * features + 3 * bias.nbytes,
    }
    return {
        "cells": n_cells,
        "device": device,
        "kernels": type(graph).__name__,
        "bandwidth_gb_per_s": bandwidth / 2**30,
        "steps": {
            name: {
                "ms": 1000 * seconds[name],
                "mb": needed[name] / 2**20,
                "share_of_floor": needed[name] / bandwidth / seconds[name],
            }
            for name in seconds
        },
    }


def attended(graph: SpatialGraph, heads: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """(n, heads, width) features of the neighbours by the weights of attention."""
    weight = graph.weigh(heads, heads, bias)
    return graph.sum_edges(weight[..., None] * take_rows(heads, graph.sender))


def step_bytes(graph: SpatialGraph) -> tuple[int, int]:
    """Bytes of a compressed graph, and of one (n, WIDTH) matrix."""
    index = graph.sender.element_size()
    return (len(graph.sender) + graph.n_spots + 1) * index, graph.n_spots * WIDTH * FLOAT


def copied_per_second(device: str) -> float:
    """Bytes read and written per second."""
    source = torch.ones(2**28 if device.startswith("cuda") else 2**25, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best_time(lambda: target.copy_(source), device)


def best_time(work: Callable[[], Any], device: str) -> float:
    """Seconds of the fastest of some repeats; others on the machine only ever add."""
    times = []
    for _ in range(REPEATS + 1):  # the first one warms up
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def process_gb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**3 if sys.platform == "darwin" else 1024**2)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", metavar="CELLS")
    parser.add_argument("--agree-up-to", type=int, default=1_000_000, metavar="CELLS", help="also on the CPU")
    parser.add_argument("--sections", type=Path, metavar="FOLDER", help="of labelled sections, as of domains.py")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/accelerator.json"))
    parser.add_argument("--encoders", nargs="+", default=[], choices=list(VISION_TRANSFORMERS))
    parser.add_argument("--patches", type=int, default=4_096, help="for the encoders")
    options = parser.parse_args(argv)
    options.device = "cuda" if torch.cuda.is_available() else "cpu"
    options.sizes = options.sizes or list(ON_ACCELERATOR if options.device == "cuda" else ON_CPU)
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    settings.progress = False
    run(600, options.device, epochs=1)  # imports and the device's start
    report: dict[str, Any] = {
        "machine": {
            "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "platform": platform.platform(),
        },
        "runs": [],
        "kernels": [],
        "sections": [],
        "encoders": [],
    }

    def keep(kind: str, result: dict[str, Any]) -> None:
        report[kind].append(result)
        print(json.dumps(result), file=sys.stderr)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")

    for n_cells in sorted(options.sizes):
        result, labels = run(n_cells, options.device)
        if options.device == "cuda" and n_cells <= options.agree_up_to:
            on_cpu, cpu_labels = run(n_cells, "cpu")
            result["cpu_seconds"] = on_cpu["seconds"]
            result["agreement"] = float(adjusted_rand_score(cpu_labels, labels))
        keep("runs", result)
        if n_cells <= MOST_KERNEL_CELLS:
            keep("kernels", kernels(n_cells, options.device))
    if options.sections:
        from sections import load_section, section_names

        for section in (load_section(options.sections, name) for name in section_names(options.sections)):
            if section is not None:
                keep("sections", real_section(section, options.device))
    for size in options.encoders:
        keep("encoders", encoder_speed(size, options.device, options.patches))
    tables = [runs_table(report["runs"]), kernels_table(report["kernels"])]
    if report["sections"]:
        tables.append(sections_table(report["sections"]))
    if report["encoders"]:
        tables.append(encoders_table(report["encoders"]))
    print(*tables, sep="\n\n")
    return 1 if any(run.get("agreement", 1) < 0.99 for run in report["runs"]) else 0


def runs_table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| cells | device | seconds | train and embed | cluster | device GB | process GB | ARI | CPU seconds | "
        "agreement |",
        "|" + "---|" * 10,
    ]
    for each in runs:
        stages = " | ".join(f"{seconds:.1f}" for seconds in each["stages"].values())
        lines.append(
            f"| {each['cells']:,} | {each['device']} | {each['seconds']:.1f} | {stages} | "
            f"{_maybe(each['device_gb'], 2)} | {each['process_gb']:.2f} | {each['ari']:.3f} | "
            f"{_maybe(each.get('cpu_seconds'), 1)} | {_maybe(each.get('agreement'), 3)} |"
        )
    return "\n".join(lines)


def kernels_table(found: list[dict[str, Any]]) -> str:
    lines = ["| cells | step | kernels | ms | MB at least | GB/s of a copy | share of the floor |", "|" + "---|" * 7]
    for each in found:
        for name, step in each["steps"].items():
            lines.append(
                f"| {each['cells']:,} | {name} | {each['kernels']} | {step['ms']:.2f} | {step['mb']:.1f} "
                f"| {each['bandwidth_gb_per_s']:.1f} | {step['share_of_floor']:.2f} |"
            )
    return "\n".join(lines)


def sections_table(found: list[dict[str, Any]]) -> str:
    from report import markdown  # needs pandas, as sections do

    header = ["section", "spots", "seconds", "CPU seconds", "difference of embeddings", "repeats to the bit"]
    rows = [
        [each["section"], f"{each['spots']:,}", f"{each['seconds']:.1f}", f"{each['cpu_seconds']:.1f}"]
        + [f"{each['difference']:.1e}", "yes" if each["repeats"] else "no"]
        + [f"{each[score]:.3f}" for score in ("agreement", "ari", "cpu_ari")]
        for each in found
    ]
    return markdown([*header, "agreement", "ARI", "CPU ARI"], rows)


def encoders_table(found: list[dict[str, Any]]) -> str:
    lines = ["| vision transformer | device | patches per second | on the CPU |", "|" + "---|" * 4]
    for each in found:
        speeds = [each[f"{where}_patches_per_second"] for where in (each["device"], "cpu")]
        lines.append(f"| {each['encoder']} | {each['device']} | {speeds[0]:,.1f} | {speeds[1]:,.1f} |")
    return "\n".join(lines)


def _maybe(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
