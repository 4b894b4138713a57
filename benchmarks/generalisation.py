"""Score domains on variants of the sections by which no constant was chosen.

    python benchmarks/generalisation.py FOLDER [--seeds 1] [--only dlpfc] [--kinds half jittered] [--workers 2]

FOLDER as for ``domains.py``. Each labelled section is cut into halves and thirds along each axis; a fifth of its spots
is taken away, or spots are moved by a fifth of their spacing; and where it has counts, these are drawn again from a
binomial that keeps 50, 30 or 15 % of the molecules, or half of the genes are left out. Whatever is drawn is drawn
twice. A label of fewer than ten spots in a part is no domain of it. Floor and default run on each, with the same seeds.
The image, where there is one, is described once per section, by its patches at the true places. Prints means over the
variants of each section, and of each kind, with how many are below the floor; writes every run as JSON, after each
section.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
from domains import machine
from floor import floor_domains, floor_features
from made_sections import KINDS, made_sections
from report import markdown, number
from sections import Section, load_section, section_names
from variants import prepare

import multist as mt

FLOOR, DEFAULT = "floor", "default"


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    quiet()
    names = section_names(options.folder, options.only)
    runs: list[dict[str, Any]] = []
    for found in each_section(names, options):
        runs += found
        report = {"seeds": list(range(options.seeds)), "machine": machine(), "runs": runs}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if not runs:
        print("no section with a truth was found", file=sys.stderr)
        return 2
    made = pd.DataFrame(runs).groupby(["section", "kind", "made"], sort=False)[[FLOOR, DEFAULT]].mean()
    print(table(made, "section"), table(made, "kind"), sep="\n\n")
    print(f"\n{options.output}", file=sys.stderr)
    return 0


def each_section(names: list[str], options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """Runs of each section, in this process or in several."""
    work = partial(run_section, folder=options.folder, n_seeds=options.seeds, kinds=options.kinds)
    if options.workers == 1:
        yield from map(work, names)
        return
    os.environ["OMP_NUM_THREADS"] = (
        "1"  # of the processes that start now; several threads in each would wait for one another
    )
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn"), initializer=quiet) as pool:
        yield from pool.map(work, names)


def quiet() -> None:
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    for category in (FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category)


def run_section(name: str, folder: Path, n_seeds: int, kinds: list[str]) -> list[dict[str, Any]]:
    section = load_section(folder, name)
    if section is None:
        return []
    if section.shows_tissue:
        mt.pp.embed_histology(section.adata)
    runs = []
    for kind, made in made_sections(section, kinds):
        for scores in ari_of_seeds(made, n_seeds):
            runs.append({"section": name, "kind": kind, "made": made.name, "n_obs": made.adata.n_obs, **scores})
            line = f"{name}, {kind}, {made.name}: {FLOOR} {scores[FLOOR]:.3f}, {DEFAULT} {scores[DEFAULT]:.3f}"
            print(line, file=sys.stderr, flush=True)
    return runs


def ari_of_seeds(section: Section, n_seeds: int) -> Iterable[dict[str, Any]]:
    """Adjusted Rand indices of the floor and of the default, and what the image adds."""
    features, prepared = floor_features(section.adata), section.adata.copy()
    prepare(prepared, has_image=False)
    for seed in range(n_seeds):
        adata = prepared.copy()
        mt.tl.multist_domains(adata, section.n_domains, random_state=seed)
        found = {
            FLOOR: floor_domains(features, section.xy, section.n_domains, seed=seed),
            DEFAULT: adata.obs["multist_domain"].to_numpy(),
        }
        aris = {method: mt.metrics.agreement(section.truth, labels)["ari"] for method, labels in found.items()}
        yield {"seed": seed, "image_gain": float(adata.uns["multist"]["image_gain"])} | aris


def table(made: pd.DataFrame, level: str) -> str:
    """Markdown: variants of each section or kind, mean ARI of both over them, and how many are below the floor."""
    groups = [(str(name), group) for name, group in made.groupby(level=level, sort=False)]
    rows = [[name, *_cells(group)] for name, group in [*groups, ("**all**", made)]]
    return markdown([level, "variants", FLOOR, DEFAULT, "more", "below the floor"], rows)


def _cells(group: pd.DataFrame) -> list[str]:
    floor, default = group[FLOOR], group[DEFAULT]
    means = [number(floor.mean(), 3), number(default.mean(), 3), number((default - floor).mean(), 3, sign=True)]
    return [str(len(group)), *means, str(int((default < floor).sum()))]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 (default: 1)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections, or folders of sections")
    parser.add_argument(
        "--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND", help=", ".join(KINDS)
    )
    parser.add_argument("--workers", type=int, default=1, help="processes, each with sections of its own (default: 1)")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/generalisation.json"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
