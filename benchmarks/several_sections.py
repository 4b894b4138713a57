"""Find the domains of several sections at once, and of each alone.

    python benchmarks/several_sections.py [FOLDER] [--seeds 3] [--only dlpfc merfish] [--quick]

Two neighbouring sections of human cortex, two of mouse hypothalamus (both from FOLDER), and three made ones of which
the later two have another stain and other expression and the last lacks the lesion; the same three without stain and
expression being shifted say how well such tissue mixes by itself. For every seed:

- *alone*: every section by itself, prepared by itself. Its ARI is the mean over the sections.
- *by order*: those labels pooled as they are, "0" being the largest domain of each section.
- *pooled*: one run over all sections with ``library_key``, in every variant of ``VARIANTS``.
- *applied*: fitted on the first section, its domains recognised in the later ones without training. Components that
  were computed in
  each section by itself are refused by :class:`multist.MultiST`, so there is none of these.

ARI is that of all sections' labels against their truth. Mixing is :func:`multist.metrics.section_mixing` of the
embedding, in all and within the true domains that sections share. *Invented* is the share of the last made section's
spots that got the label which most of the missing domain's spots have elsewhere; *purity* is the missing domain's share
of that label elsewhere. Nothing invented says little without purity: labels that keep to their section cannot turn up
in another.

Images that are too coarse for the package to use (human cortex) are left as they are; the others are normalised to one
reference. The hypothalamus comes as components that were computed in each section by itself, so that their axes do not
agree; the pooled runs lay its sections on each other (see ``alignment.py``) and let them touch in z, which brings the
components to common axes. No truth is used but to score and for the number of domains. Prints a Markdown table and
writes every run as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from alignment import laid_on_each_other
from anndata import AnnData
from sections import KEPT, Section, load_section

import multist as mt

LIBRARY, DOMAINS = "section", "multist_domain"
MISSING = "lesion"
# what is pooled -> constants of MultiSTConfig that differ from the defaults
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "not aligned": {"center_sections": False},
    "untrained": {"epochs": 0},
}
ALONE, BY_ORDER, APPLIED = "alone", "by order", "applied"
FILES = {
    "dlpfc": ("dlpfc/151673", "dlpfc/151674"),
    "merfish": ("merfish_hypothalamus/bregma-0.04", "merfish_hypothalamus/bregma-0.09"),
}
SHIFTED, UNSHIFTED = "layered_tissue", "layered_tissue, not shifted"
SHIFTS = {SHIFTED: {"stain_shift": 1.0, "batch_shift": 0.3}, UNSHIFTED: {}}
SIZE = {"n_spots": 1200, "n_genes": 1000, "image_size": 1400}
QUICK_SIZE = {"n_spots": 400, "n_genes": 300, "image_size": 700}
COLUMNS = {
    "ari": "ARI",
    "ari_mean": "mean ARI of the sections",
    "ari_later": "of the later sections",
    "mixing": "mixing",
    "mixing_within": "mixing within shared domains",
    "invented": "invented",
    "purity": "purity",
    "seconds": "seconds",
}
VERSIONS = ("multist", "scanpy", "anndata", "numpy", "scipy", "scikit-learn", "torch", "squidpy")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    report: dict[str, Any] = {
        "seeds": list(range(options.seeds)),
        "versions": {name: version(name) for name in VERSIONS},
        "platform": platform.platform(),
        "variants": {name: VARIANTS[name] for name in options.variants},
        "touching": options.touching,
        "sets": {},
        "runs": [],
    }
    with warnings.catch_warnings():
        for category in (FutureWarning, SyntaxWarning, UserWarning):
            warnings.filterwarnings("ignore", category=category)
        for name in options.only:
            sections = read_set(options.folder, name, QUICK_SIZE if options.quick else SIZE)
            if not sections:
                print(f"{name}: {' and '.join(FILES[name])} are not in {options.folder}, left out", file=sys.stderr)
                continue
            report["sets"][name] = {one.name: one.adata.n_obs for one in sections}
            for seed, runs in run_set(name, sections, options.seeds, options.touching, options.variants):
                report["runs"] += runs
                options.output.parent.mkdir(parents=True, exist_ok=True)
                options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
                print(f"{name} {seed}: " + ", ".join(f"{r['method']} {r['ari']:.3f}" for r in runs), file=sys.stderr)
    if not report["runs"]:
        return 2
    print(table(report["runs"]))
    print(f"\n{options.output}", file=sys.stderr)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    known = [*FILES, SHIFTED, UNSHIFTED]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--seeds", type=int, help="number of seeds, from 0 (default: 3)")
    parser.add_argument("--only", nargs="+", choices=known, metavar="SET", help=", ".join(known))
    touching = "which sections are aligned and touch in z: those whose components need it (the default), none, all"
    parser.add_argument("--touching", choices=("needed", "none", "all"), default="needed", help=touching)
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/several_sections.json"))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--quick", action="store_true", help="one seed, two variants, small made tissue, for CI")
    options = parser.parse_args(argv)
    options.seeds = options.seeds or (1 if options.quick else 3)
    options.variants = options.variants or list(VARIANTS)[: 2 if options.quick else None]
    options.only = options.only or ([SHIFTED] if options.quick else known)
    return options


def read_set(folder: Path, name: str, size: dict[str, int]) -> list[Section]:
    """Sections without what is known of them; none if a file is missing."""
    if name in SHIFTS:
        return made_sections(**size, **SHIFTS[name])
    if not all((folder / f"{file}.h5ad").is_file() for file in FILES[name]):
        return []
    found = [load_section(folder, file) for file in FILES[name]]
    return [one._replace(name=one.name.split("/")[-1]) for one in found if one is not None]


def made_sections(**arguments: Any) -> list[Section]:
    """Three sections of the package's own tissue, the last one without a domain."""
    tissue = mt.datasets.layered_tissue(format="anndata", n_sections=3, missing_domain=MISSING, **arguments)
    sections = []
    for name, images in tissue.uns["spatial"].items():
        own = tissue[tissue.obs["section"] == name].copy()
        truth = own.obs["domain"].astype(object)
        own.obs = own.obs[[column for column in KEPT["obs"] if column in own.obs]].copy()
        own.uns = {"spatial": {name: images}}
        sections.append(Section(name, own, truth, int(truth.nunique())))
    return sections


def joined(sections: list[Section]) -> Section:
    """All sections in one table, ``obs["section"]`` being their names; their images keep the sections' names."""
    tables = {}
    for one in sections:
        tables[one.name] = own = one.adata.copy()
        own.uns = {"spatial": dict(zip([one.name], own.uns.get("spatial", {}).values(), strict=False))}
    together = ad.concat(tables, join="inner", label=LIBRARY, index_unique="-", uns_merge="unique")
    truth = pd.concat([one.truth.astype(object) for one in sections])
    truth.index = together.obs_names
    return Section("joined", together, truth, int(truth.nunique()))


def prepare(section: Section, library_key: str | None = None, touching: str = "needed") -> AnnData:
    """Everything that no seed changes, with what a user would call; images go to one reference for all sections."""
    adata = section.adata.copy()
    if not {"X_pca", "X_feat"} & set(adata.obsm):
        mt.pp.embed_expression(adata, library_key=library_key)
    aligned_key = None
    rep = "X_feat" if "X_feat" in adata.obsm else "X_pca"
    if library_key is not None and (touching == "all" or (touching == "needed" and rep == "X_feat")):
        adata.obsm["aligned"] = laid_on_each_other(adata, library_key, rep)
        aligned_key = "aligned"
    mt.pp.spatial_graph(adata, library_key=library_key, aligned_key=aligned_key)
    if any("hires" in entry.get("images", {}) for entry in adata.uns.get("spatial", {}).values()):
        mt.pp.normalize_histology(adata, library_key=library_key)
        mt.pp.embed_histology(adata, library_key=library_key)
    return adata


def run_set(
    name: str, sections: list[Section], n_seeds: int, touching: str, variants: list[str]
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Every seed with its runs."""
    together = joined(sections)
    alone, seconds_alone = timed(prepare_all, sections)
    pooled, seconds_pooled = timed(prepare, together, LIBRARY, touching)
    member = together.adata.obs[LIBRARY].astype(str).to_numpy()
    for seed in range(n_seeds):
        labels, seconds = timed(single_labels, sections, alone, seed)
        own = scored(together.truth, labels, member)
        # the labels of sections alone have nothing to do with each other, so that none can be invented
        by_itself = own | {"ari": own["ari_mean"]}
        for score in ("invented", "purity"):
            by_itself.pop(score, None)
        methods = {ALONE: by_itself, BY_ORDER: own}
        runs = [{"method": key} | scores | {"seconds": seconds + seconds_alone} for key, scores in methods.items()]
        for variant in variants:
            adata = pooled.copy()
            config = mt.tl.MultiSTConfig(**VARIANTS[variant])
            call = {"library_key": LIBRARY, "config": config, "random_state": seed}
            _, seconds = timed(mt.tl.multist_domains, adata, together.n_domains, **call)
            scores = scored(together.truth, adata.obs[DOMAINS].astype(str).to_numpy(), member)
            scores |= mixing(adata, together.truth) | {"seconds": seconds + seconds_pooled}
            runs.append({"method": variant} | scores)
        if "X_feat" not in pooled.obsm:
            labels, seconds = timed(applied_labels, sections, pooled, member, seed)
            runs.append({"method": APPLIED} | scored(together.truth, labels, member) | {"seconds": seconds})
        yield seed, [{"set": name, "seed": seed} | run for run in runs]


def prepare_all(sections: list[Section]) -> list[AnnData]:
    return [prepare(one) for one in sections]


def single_labels(sections: list[Section], prepared: list[AnnData], seed: int) -> np.ndarray:
    labels = []
    for one, own in zip(sections, prepared, strict=True):
        adata = own.copy()
        mt.tl.multist_domains(adata, one.n_domains, random_state=seed)
        labels.append(adata.obs[DOMAINS].astype(str).to_numpy())
    return np.concatenate(labels)


def applied_labels(sections: list[Section], pooled: AnnData, member: np.ndarray, seed: int) -> np.ndarray:
    """Domains of the first section, and where the model that found them sees them in the others.

    Axes are the first one's.
    """
    parts = []
    for number, one in enumerate(sections):
        adata = one.adata.copy()
        mt.pp.embed_expression(adata, reference=parts[0] if number else None)
        if "X_histology" in pooled.obsm:
            adata.obsm["X_histology"] = pooled.obsm["X_histology"][member == one.name]
        parts.append(adata)
    model = mt.MultiST(random_state=seed).fit(parts[0])
    model.domains(parts[0], sections[0].n_domains)
    for adata in parts[1:]:
        model.domains(adata)
    return np.concatenate([adata.obs[DOMAINS].astype(str).to_numpy() for adata in parts])


def scored(truth: pd.Series, labels: np.ndarray, member: np.ndarray) -> dict[str, Any]:
    """ARI in all and by section, and what became of a domain that the last section lacks."""
    ari = mt.metrics.agreement(truth, labels)["ari"]
    names = list(dict.fromkeys(member))
    own = {one: mt.metrics.agreement(truth[member == one], labels[member == one])["ari"] for one in names}
    scores: dict[str, Any] = {"ari": ari, "ari_mean": float(np.mean(list(own.values()))), "ari_sections": own}
    scores["ari_later"] = float(np.mean(list(own.values())[1:]))
    lacking, missing = member == names[-1], truth.to_numpy() == MISSING
    if missing.any():
        stands_for = pd.Series(labels[missing]).value_counts().idxmax()
        scores["invented"] = float((labels[lacking] == stands_for).mean())
        scores["purity"] = float(missing[~lacking & (labels == stands_for)].mean())
    return scores


def mixing(adata: AnnData, truth: pd.Series) -> dict[str, float]:
    found = mt.metrics.section_mixing(adata.obsm["X_multist"], adata.obs[LIBRARY], domain=truth)
    return {"mixing": found["ilisi"], "mixing_within": found["ilisi_within"]}


def timed(work: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work(*arguments, **options)
    return result, time.perf_counter() - start


def table(runs: list[dict[str, Any]]) -> str:
    """Markdown: mean ± standard deviation over the seeds; a dash where a score does not apply."""
    titles = {ALONE: "each alone", BY_ORDER: "each alone, labels by order", APPLIED: "the first's, applied"} | {
        key: f"pooled, {key}" for key in VARIANTS
    }
    lines = [
        f"| sections | domains | seeds | {' | '.join(COLUMNS.values())} |",
        "| " + " | ".join(["---"] * (3 + len(COLUMNS))) + " |",
    ]
    for (name, method), group in pd.DataFrame(runs).groupby(["set", "method"], sort=False):
        cells = [_cell(group[column], column) if column in group else "-" for column in COLUMNS]
        lines.append(f"| {name} | {titles[method]} | {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: pd.Series, column: str) -> str:
    values = values.dropna()
    if values.empty:
        return "-"
    if column == "seconds":
        return f"{values.median():.1f}"
    return f"{values.mean():.3f} ± {values.std(ddof=0):.3f}"


if __name__ == "__main__":
    sys.exit(main())
