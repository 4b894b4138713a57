"""Score domains that strokes guide on every labelled section of a folder.

    python benchmarks/guided.py FOLDER [--draws 2] [--only cortex12 ductal] [--parts people random] [--quick]

FOLDER as for ``domains.py``. Each section is embedded once with the image and once without, and strokes are followed by
``tl.cluster_domains`` in either. Parts:

- *people*: what people drew, where they did; a draw is a seed of what is held out.
- *random*: 5 and 10 random spots of each domain, on the cortex also 1, 2, 20 and 50.
- *wrong*: the people's strokes, and ten random spots a class, one in ten under a wrong name, with full trust and with
  .9.
- *suggested*: two random spots a class, then ten more: those of ``tl.suggest_labels``, or random ones, answered by the
  truth.
- *unnamed*: ten random spots of each domain but one, and one further domain asked for; precision and recall of the
  domain without strokes.
- *next*: strokes on the first of ``PAIR``, the second recognised by ``MultiST.predict``, and by the linear discriminant
  of the embedding that
  recognises domains which no strokes named.
- ``--cells``: how long that many made cells with a hundred strokes a class take.

All scores are on labelled spots without a stroke, as those of a section whose strokes are an input have to be; truth
chooses nothing. The calibration error is the mean distance between confidence and accuracy in ten bins of confidence.
Prints Markdown tables, draws the reliability curve (``--picture``), and writes every run as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from domains import machine
from guided_report import draw_reliability, tables
from large_tissue import large_tissue, nearest_cells
from sections import Section, belongs, load_section, section_names
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score
from strokes import answered, named, people_strokes, random_strokes, spoilt
from variants import prepare

import multist as mt

# part -> where it runs; everywhere if that is None
PARTS: dict[str, tuple[str, ...] | None] = {
    "people": None,
    "random": None,
    "wrong": ("cortex12", "ductal", "layered_tissue"),
    "suggested": None,
    "unnamed": ("cortex12/151673", "cortex12/151508", "olfactory_bulb", "layered_tissue"),
    "next": ("dlpfc",),
}
CURVE, COUNTS, OTHERWISE = ("cortex12",), (1, 2, 5, 10, 20, 50), (5, 10)
PAIR, DRAWN_ON = ("dlpfc/151673", "dlpfc/151674"), "cortex12/151673"  # the same spots as those of the first
LABELS, FEW, USUAL, ASKED = "annotation", 2, 10, 10
EXPRESSION, BOTH = "expression", "both"
N_BINS = 10


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    warnings.filterwarnings("ignore")
    names = section_names(options.folder, options.only)
    runs: list[dict[str, Any]] = []
    for name in names:
        section = load_section(options.folder, name)
        if section is None:
            continue
        truth = named(section.truth)
        drawn = people_strokes(options.folder, name)
        for input_name, adata in embedded(section):
            for run in section_runs(adata, name, truth, drawn, options):
                runs.append({"section": name, "input": input_name, **run})
        print(f"{name}: {sum(run['section'] == name for run in runs)} runs", file=sys.stderr)
        write(options, runs)
    if "next" in options.parts and set(PAIR) <= set(names):
        runs += next_runs(options)
    if options.cells:
        runs.append(many_cells(options.cells))
    if not runs:
        print("no section with a truth was found", file=sys.stderr)
        return 2
    write(options, runs)
    print(tables(runs))
    if options.picture:
        draw_reliability(runs, options.picture)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, help="of random strokes (default: 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections, or folders of sections")
    parser.add_argument(
        "--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--cells", type=int, default=0, help="also time so many made cells")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/guided.json"))
    parser.add_argument("--picture", type=Path, help="where the reliability curve is drawn")
    parser.add_argument("--quick", action="store_true", help="one draw of few strokes, for CI")
    options = parser.parse_args(argv)
    options.draws = options.draws or (1 if options.quick else 2)
    return options


def write(options: argparse.Namespace, runs: list[dict[str, Any]]) -> None:
    report = {"draws": options.draws, "parts": options.parts, "machine": machine(), "runs": runs}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")


def embedded(section: Section) -> Iterator[tuple[str, AnnData]]:
    """The section with an embedding of its expression, and with one of both where an image takes part."""
    adata = section.adata
    prepare(adata, has_image=section.shows_tissue)
    for name in (EXPRESSION, BOTH) if section.shows_tissue else (EXPRESSION,):
        mt.MultiST().fit(adata, use_image=name == BOTH)
        if name == EXPRESSION or adata.uns["multist"]["image_gain"] > 0:
            # strokes need no counts
            yield name, AnnData(obs=adata.obs, obsm=dict(adata.obsm), obsp=dict(adata.obsp), uns=dict(adata.uns))


def section_runs(
    adata: AnnData, name: str, truth: pd.Series, drawn: pd.Series | None, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    parts = [part for part in options.parts if is_one_of(name, PARTS[part])]
    counts = (USUAL,) if options.quick else COUNTS if is_one_of(name, CURVE) else OTHERWISE
    starts = [] if drawn is None else [("people's", 0, drawn)]
    if "people" in parts:
        for what, _, strokes in starts:
            for seed in range(options.draws):
                run = followed(adata, truth, strokes, random_state=seed)
                yield {"part": "people", "strokes": what, "draw": seed, **run}
    for draw in range(options.draws):
        for count in counts if "random" in parts else ():
            strokes = random_strokes(truth, count, draw)
            yield {"part": "random", "strokes": count, "draw": draw, **followed(adata, truth, strokes)}
        if "suggested" in parts:
            yield from suggested(adata, truth, draw)
        starts.append((USUAL, draw, random_strokes(truth, USUAL, draw)))
    for what, draw, strokes in starts if "wrong" in parts else ():
        for wrong, trust in ((False, 1.0), (False, 0.9), (True, 1.0), (True, 0.9)):
            given = spoilt(strokes, draw) if wrong else strokes
            run = followed(adata, truth, given, trust=trust)
            yield {"part": "wrong", "strokes": what, "draw": draw, "wrong": wrong, "trust": trust, **run}
    if "unnamed" in parts:
        yield from unnamed(adata, truth)


def is_one_of(name: str, folders: tuple[str, ...] | None) -> bool:
    return folders is None or any(belongs(name, folder) for folder in folders)


def followed(adata: AnnData, truth: pd.Series, strokes: pd.Series, **call: Any) -> dict[str, Any]:
    """Follow strokes, and score."""
    adata.obs[LABELS] = strokes.astype("category")
    start = time.perf_counter()
    mt.tl.cluster_domains(adata, labels_key=LABELS, **call)
    seconds = time.perf_counter() - start
    size = {"n_obs": adata.n_obs, "n_classes": int(strokes.nunique()), "n_strokes": int(strokes.notna().sum())}
    return scored(adata, truth, strokes.isna()) | size | {"seconds": seconds}


def scored(adata: AnnData, truth: pd.Series, without_stroke: pd.Series | bool) -> dict[str, Any]:
    """Agreement with the truth and honesty of the confidence, on labelled spots without a stroke."""
    rows = (truth.notna() & without_stroke).to_numpy()
    known, found = truth[rows].astype(str), adata.obs["multist_domain"][rows].astype(str)
    right = (known == found).to_numpy()
    confidence = adata.obs["multist_confidence"].to_numpy()[rows]
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    table = [np.bincount(bins, values, N_BINS) for values in (np.ones(len(bins)), confidence, right)]
    error = float(np.abs(table[1] - table[2]).sum() / len(bins))
    balanced = balanced_accuracy_score(known, found)
    reliability = np.stack(table).tolist()
    return {**mt.metrics.agreement(known, found), "balanced": float(balanced), "ece": error, "reliability": reliability}


def suggested(adata: AnnData, truth: pd.Series, draw: int) -> Iterator[dict[str, Any]]:
    """Few strokes, and ten more that are suggested or random."""
    few = random_strokes(truth, FEW, draw)
    before = followed(adata, truth, few)
    spots = mt.tl.suggest_labels(adata, ASKED)
    free = truth.index[(truth.notna() & few.isna()).to_numpy()]
    others = np.random.default_rng(draw).choice(free, min(ASKED, len(free)), replace=False).tolist()
    for how, more in (("before", None), ("suggested", spots), ("random", others)):
        run = before if more is None else followed(adata, truth, answered(few, truth, more))
        yield {"part": "suggested", "strokes": how, "draw": draw, **run}


def unnamed(adata: AnnData, truth: pd.Series) -> Iterator[dict[str, Any]]:
    """No stroke on one of the domains, and one further domain asked for."""
    strokes = random_strokes(truth, USUAL, 0)
    names = sorted(strokes.dropna().unique())
    for name in names if len(names) > 2 else ():
        given = strokes.where(strokes != name)
        run = followed(adata, truth, given, n_domains=len(names))
        known = truth.notna() & given.isna()
        further = ~adata.obs["multist_domain"].astype(str).isin(given.dropna().unique()) & known
        of_it = (truth == name) & known
        both = int((further & of_it).sum())
        share = {"precision": both / max(1, int(further.sum())), "recall": both / max(1, int(of_it.sum()))}
        yield {
            "part": "unnamed",
            "strokes": name,
            "draw": 0,
            **run,
            **share,
            "forced": forced(adata, truth, given, name),
        }


def forced(adata: AnnData, truth: pd.Series, given: pd.Series, name: str) -> float:
    """Agreement where no further domain is asked for."""
    return float(followed(adata, truth, given)["ari"])


def next_runs(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Recognise a section by the strokes on another, and by a linear discriminant of what these found there."""
    first, second = (load_section(options.folder, name) for name in PAIR)
    if first is None or second is None:
        return
    drawn = people_strokes(options.folder, DRAWN_ON) if (options.folder / f"{DRAWN_ON}.h5ad").is_file() else None
    starts = [(USUAL, draw, random_strokes(named(first.truth), USUAL, draw)) for draw in range(options.draws)]
    starts += [] if drawn is None else [("people's", 0, drawn.reindex(first.truth.index))]
    truth = named(second.truth)
    for what, draw, strokes in starts:
        one, other = first.adata.copy(), second.adata.copy()
        one.obs[LABELS] = strokes.astype("category")
        mt.MultiST().fit(one, labels_key=LABELS, use_image=False).predict(other)
        run: dict[str, Any] = {"section": PAIR[1], "input": EXPRESSION, "part": "next", "strokes": what, "draw": draw}
        yield {**run, "how": "what strokes taught", **scored(other, truth, without_stroke=True)}
        linear = LinearDiscriminantAnalysis(solver="lsqr").fit(
            one.obsm["X_multist"], one.obs["multist_domain"].astype(str)
        )
        probability = linear.predict_proba(other.obsm["X_multist"])
        other.obs["multist_domain"] = linear.classes_[probability.argmax(axis=1)]
        other.obs["multist_confidence"] = probability.max(axis=1)
        yield {**run, "how": "linear discriminant", **scored(other, truth, without_stroke=True)}


def many_cells(n_cells: int) -> dict[str, Any]:
    """Seconds and agreement on made cells with components and a graph, of which a thousand are named."""
    tissue = large_tissue(n_cells)
    adata = AnnData(
        obs=pd.DataFrame(index=pd.RangeIndex(n_cells).astype(str)),
        obsm={"spatial": tissue.xy, "X_pca": tissue.expression},
        obsp={"spatial_connectivities": nearest_cells(tissue.xy)},
    )
    truth = pd.Series(tissue.truth.astype(str), index=adata.obs_names, dtype=object)
    adata.obs[LABELS] = random_strokes(truth, 100, 0).astype("category")
    start = time.perf_counter()
    mt.tl.cluster_domains(adata, labels_key=LABELS, use_rep="X_pca")
    seconds = time.perf_counter() - start
    scores = scored(adata, truth, adata.obs[LABELS].isna())
    run = {"section": f"{n_cells:,} made cells", "input": EXPRESSION, "part": "time", "strokes": 100, "draw": 0}
    return {**run, **scores, "seconds": seconds, "n_obs": n_cells, "n_classes": int(truth.nunique())}


if __name__ == "__main__":
    sys.exit(main())
