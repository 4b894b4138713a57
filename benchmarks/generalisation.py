"""Score domains on halves of the sections and on counts that were thinned, by which no constant was chosen.

    python benchmarks/generalisation.py FOLDER [--seeds 2] [--only dlpfc/151673] [--output FILE]

FOLDER as for ``domains.py``. Each labelled section is cut at the median of each coordinate into four halves, and, where it
has counts, each count is drawn again from a binomial that keeps 50, 30 or 15 % of the molecules, twice. A label of fewer than ten
spots in a half is no domain of it. The floor and the default run on each, without the image, and, where there are counts, the
default on 100 components of their square roots. Prints one line for each section and kind, and writes every run as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from domains import machine
from floor import floor_domains, floor_features
from sections import Section, load_section, section_names
from variants import prepare

import multist as mt

DEPTHS, DRAWS = (0.5, 0.3, 0.15), 2
FLOOR, DEFAULT, ROOTS = METHODS = ("floor", "default", "square roots")
FEWEST = 10  # spots of a label that a half has to hold


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "ERROR"
    for category in (FutureWarning, UserWarning):
        warnings.filterwarnings("ignore", category=category)
    runs: list[dict[str, Any]] = []
    for name in section_names(options.folder):
        if options.only and name not in options.only:
            continue
        section = load_section(options.folder, name)
        if section is None:
            continue
        for kind, made in [*halves(section), *thinned(section)]:
            runs += [{"section": name, "kind": kind, "made": made.name, **run} for run in scores(made, options.seeds)]
    if not runs:
        print("no section with a truth was found", file=sys.stderr)
        return 2
    print(table(pd.DataFrame(runs)))
    if options.output:
        options.output.write_text(json.dumps({"machine": machine(), "runs": runs}, indent=1), encoding="utf-8")
    return 0


def halves(section: Section) -> Iterator[tuple[str, Section]]:
    """Left, right, low and high half of a section; those that hold two domains."""
    for axis, sides in enumerate((("left", "right"), ("low", "high"))):
        above = section.xy[:, axis] >= np.median(section.xy[:, axis])
        for side, rows in zip(sides, (~above, above), strict=True):
            truth = section.truth[rows].copy()
            truth[~truth.isin(truth.value_counts().loc[lambda count: count >= FEWEST].index)] = np.nan
            if truth.nunique() > 1:
                yield "half", Section(side, section.adata[rows].copy(), truth, truth.nunique())


def thinned(section: Section) -> Iterator[tuple[str, Section]]:
    """The section as if fewer molecules had been caught."""
    if section.adata.n_vars == 0:
        return
    for depth in DEPTHS:
        for draw in range(DRAWS):
            counts = sp.csr_matrix(section.adata.X, copy=True)
            counts.data = np.random.default_rng(draw).binomial(counts.data.astype(np.int64), depth).astype(np.float32)
            counts.eliminate_zeros()
            adata = section.adata.copy()
            adata.X = counts
            yield f"{depth:.0%} of the molecules", section._replace(name=f"draw {draw}", adata=adata)


def scores(section: Section, n_seeds: int) -> Iterator[dict[str, Any]]:
    """Adjusted Rand indices of the floor, the default, and square roots for each seed."""
    features, tables = floor_features(section.adata), {DEFAULT: section.adata.copy()}
    if section.adata.n_vars:
        tables[ROOTS] = section.adata.copy()
        mt.pp.embed_expression(tables[ROOTS], transform="sqrt", n_comps=100)
    for adata in tables.values():
        prepare(adata, has_image=False)
    for seed in range(n_seeds):
        found = {FLOOR: floor_domains(features, section.xy, section.n_domains, seed=seed)}
        for method, adata in tables.items():
            mt.tl.multist_domains(adata, section.n_domains, use_image=False, random_state=seed)
            found[method] = adata.obs["multist_domain"].to_numpy()
        yield {"seed": seed} | {
            method: mt.metrics.agreement(section.truth, labels)["ari"] for method, labels in found.items()
        }


def table(runs: pd.DataFrame) -> str:
    """Markdown: a line for each section and kind, means over seeds and what was made; how many are below the floor."""
    lines = [f"| section | kind | made | {FLOOR} | {DEFAULT} (below) | {ROOTS} (below) |", "|---" * 6 + "|"]
    made = runs.groupby(["section", "kind", "made"], sort=False)[[*runs.columns.intersection(METHODS)]].mean()
    for (section, kind), group in made.groupby(level=["section", "kind"], sort=False):
        lines.append(f"| {section} | {kind} | {_cells(group)} |")
    counted = made[made[ROOTS].notna()] if ROOTS in made else made[:0]
    lines += [f"| **all with counts** | | {_cells(counted)} |"] if len(counted) else []
    return "\n".join([*lines, f"| **all** | | {_cells(made)} |"])


def _cells(made: pd.DataFrame) -> str:
    cells = [str(len(made)), f"{made[FLOOR].mean():.3f}"]
    for method in (DEFAULT, ROOTS):
        known = made[method].notna().all() if method in made else False
        below = (made[method] < made[FLOOR]).sum() if known else 0
        cells.append(f"{made[method].mean():.3f} ({below})" if known else "")
    return " | ".join(cells)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds, from 0 (default: 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections")
    parser.add_argument("--output", type=Path)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
