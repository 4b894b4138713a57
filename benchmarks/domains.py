"""Score spatial domains on every labelled section of a folder.

    python benchmarks/domains.py FOLDER [--seeds 10] [--only dlpfc her2st/A1] [--variants floor both] [--quick]

FOLDER holds ``dlpfc/151673.h5ad``, ``starmap_by3.h5ad`` and so on; ``sections.TRUTH`` says which column of each kind is
the truth, and no method sees it. Seeds are 0, 1, ... and nothing is chosen by a score. Components, graph and histology
features depend on no seed and are computed once per section; their seconds are part of every run's, those of importing
libraries of none. The probe is the accuracy of :func:`multist.metrics.probe`, of the embedding and of the inputs.
Prints Markdown tables and writes every single run as JSON, after each section, so that an interrupted run keeps what it
has.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from floor import floor_domains, floor_features
from inputs import probe_of_inputs
from report import COSTS, SCORES, below_floor, inputs_table, recall_table, runs_table
from sections import Section, belongs, load_section, recall, section_names
from variants import (
    DEFAULT,
    FLOOR,
    PUBLISHED,
    QUICK,
    REFINED,
    VARIANTS,
    arguments,
    configuration,
    prepare,
    replace_histology,
    title,
)

import multist as mt

VERSIONS = ("multist", "numpy", "scipy", "scikit-learn", "torch", "anndata", "scanpy", "squidpy", "spatialdata")
QUICK_SEEDS, QUICK_SECTIONS = 2, 2


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    for category in (FutureWarning, SyntaxWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category)
    names = chosen_sections(options)
    warm_up()
    report: dict[str, Any] = {"command": describe(options), "machine": machine(), "sections": {}, "runs": []}
    for name in names:
        section = load_section(options.folder, name)
        if section is None:
            print(f"{name}: no truth, left out", file=sys.stderr)
            continue
        report["sections"][name] = run_section(section, options, report["runs"])
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if not report["runs"]:
        print("no section with a truth was found", file=sys.stderr)
        return 2
    print(tables(report))
    print(f"\n{options.output}", file=sys.stderr)
    worse = below_floor(report["runs"], FLOOR, DEFAULT) if options.at_least_floor else []
    for line in worse:
        print(f"below the floor: {line}", file=sys.stderr)
    return 1 if worse else 0


def tables(report: dict[str, Any]) -> str:
    """All tables, each under a line that says what it holds."""
    runs, seeds = report["runs"], report["command"]["seeds"]
    found = {
        f"Scores, seeds {seeds[0]} to {seeds[-1]}": runs_table(runs, SCORES),
        "Smoothness and costs": runs_table(runs, COSTS),
    }
    if any("inputs" in shared for shared in report["sections"].values()):
        found["Probe of the inputs and of the default embedding"] = inputs_table(report["sections"], runs, DEFAULT)
    if {DEFAULT, REFINED} <= {run["variant"] for run in runs}:
        found["Known domains, without and with refinement"] = recall_table(runs, DEFAULT, REFINED)
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in found.items())


def warm_up() -> None:
    """Import what is imported on first use, so that no run is charged for it."""
    import torch

    threads = torch.get_num_threads()
    tissue = mt.datasets.layered_tissue(n_spots=100, n_genes=100, image_size=200, format="anndata")
    mt.tl.multist_domains(tissue, 3, use_image=True, config=configuration(PUBLISHED, quick=True))
    floor_domains(floor_features(tissue), np.asarray(tissue.obsm["spatial"]), 3)
    # numba, once loaded, overrides OMP_NUM_THREADS for the whole process
    torch.set_num_threads(threads)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, help="number of seeds, from 0 (default: 10)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections, or folders of sections")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/domains.json"))
    parser.add_argument("--quick", action="store_true", help="two seeds, two sections, few variants, for CI")
    parser.add_argument("--at-least-floor", action="store_true", help="fail if the default is below the floor anywhere")
    options = parser.parse_args(argv)
    options.seeds = options.seeds or (QUICK_SEEDS if options.quick else 10)
    options.variants = options.variants or list(QUICK if options.quick else VARIANTS)
    return options


def chosen_sections(options: argparse.Namespace) -> list[str]:
    names = section_names(options.folder)
    if options.only:
        missing = [only for only in options.only if not any(belongs(name, only) for name in names)]
        if missing:
            sys.exit(f"not found in {options.folder}: {', '.join(missing)}; found: {', '.join(names) or 'nothing'}")
        names = section_names(options.folder, options.only)
    return names[:QUICK_SECTIONS] if options.quick else names


def run_section(section: Section, options: argparse.Namespace, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Append every run of a section; return what they share."""
    wanted = [name for name in options.variants if section.has_image or not VARIANTS[name].needs_image]
    shared: dict[str, Any] = {
        "n_obs": section.adata.n_obs,
        "n_vars": section.adata.n_vars,
        "n_domains": section.n_domains,
        "n_labelled": int(section.truth.notna().sum()),
        "has_image": section.has_image,
    }
    sizes = section.truth.astype(str)[section.truth.notna()].value_counts().to_dict()
    features, prepared = None, section.adata.copy()
    if FLOOR in wanted:
        features, shared["floor_preparation"] = measured(lambda: floor_features(section.adata))
    if set(wanted) - {FLOOR}:
        _, shared["preparation"] = measured(lambda: prepare(prepared, has_image=section.has_image))
        shared["inputs"] = probe_of_inputs(section, prepared)
    for name in wanted:
        before = shared["floor_preparation" if name == FLOOR else "preparation"]
        for seed in range(options.seeds):
            if name == FLOOR:
                run = run_floor(section, features, seed)
            else:
                run = run_multist(section, prepared, name, seed, quick=options.quick)
            run |= {
                "section": section.name,
                "variant": name,
                "title": title(name, quick=options.quick),
                "seed": seed,
                "seconds_in_all": run["seconds"] + before["seconds"],
                "peak_mb": max(run["peak_mb"], before["peak_mb"]),
                "domain_sizes": sizes,
            }
            runs.append(run)
            scores = f"ARI {run['ari']:.3f}, probe {run['probe']:.3f}, {run['seconds']:.1f} s"
            print(f"{section.name} {name} {seed}: {scores}", file=sys.stderr)
    return shared


def run_floor(section: Section, features: np.ndarray, seed: int) -> dict[str, Any]:
    labels, cost = measured(lambda: floor_domains(features, section.xy, section.n_domains, seed=seed))
    return scored(section, labels, features) | cost


def run_multist(section: Section, prepared: AnnData, name: str, seed: int, *, quick: bool) -> dict[str, Any]:
    variant, adata = VARIANTS[name], prepared.copy()
    if variant.histology is not None:
        replace_histology(adata, variant.histology, seed)
    call = arguments(name, has_image=section.has_image) | {"config": configuration(name, quick=quick)}
    _, cost = measured(lambda: mt.tl.multist_domains(adata, section.n_domains, random_state=seed, **call))
    run = scored(section, adata.obs["multist_domain"].to_numpy(), adata.obsm["X_multist"]) | cost
    run["image_weight"] = float(adata.obs["multist_image_weight"].mean())
    if name != PUBLISHED:  # which does not ask
        run["image_gain"] = float(adata.uns["multist"]["image_gain"])
    run["image_used"] = bool(adata.uns["multist"]["params"]["with_image"])
    return run


def scored(section: Section, labels: np.ndarray, embedding: np.ndarray) -> dict[str, Any]:
    scores = mt.metrics.agreement(section.truth, labels) | mt.metrics.coherence(labels, section.xy)
    probed = mt.metrics.probe(embedding, section.truth, section.xy)
    scores |= {"probe": probed["accuracy"], "balanced": probed["balanced"]}
    return scores | {"n_found": len(np.unique(labels)), "recall": recall(section.truth, labels)}


def measured(work: Any) -> tuple[Any, dict[str, float]]:
    """Result, seconds, and the most memory that this process held meanwhile, libraries and data included."""
    can_reset = reset_peak()
    start = time.perf_counter()
    result = work()
    return result, {"seconds": time.perf_counter() - start, "peak_mb": peak_mb(own=can_reset)}


def reset_peak() -> bool:
    """Let Linux forget the highest memory so far; elsewhere the peak is that since the start."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_mb(*, own: bool) -> float:
    if own:
        status = Path("/proc/self/status").read_text().splitlines()
        return float(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def describe(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "seeds": list(range(options.seeds)),
        "variants": options.variants,
        "only": options.only,
        "quick": options.quick,
    }


def machine() -> dict[str, Any]:
    import torch

    return {
        "versions": {name: version(name) for name in VERSIONS},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "memory_is_per_run": reset_peak(),
    }


if __name__ == "__main__":
    sys.exit(main())
