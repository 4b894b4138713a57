"""What bounds the domains: how far the truth is from what the mixture looks for, on the very same embedding.

    python benchmarks/bounds.py FOLDER [--seeds 3] [--only dlpfc/151673]

For every labelled section, the embedding of the default call, and on it: the domains found; a linear discriminant that
was shown the truth, which is what the embedding still holds; and one tied mixture that starts *at* the truth, which is
what the likelihood makes of it. Where that falls far below the discriminant, no better search for the likeliest mixture
helps. Nothing here is a method: the truth is an input. Prints a Markdown table and writes every run as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from sections import Section, load_section, section_names
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from variants import prepare

import multist as mt

MEASURES = {"found": "found", "shown": "discriminant shown the truth", "started": "mixture started at the truth"}
VERSIONS = ("multist", "numpy", "scikit-learn", "torch")


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    mt.settings.progress = False
    mt.settings.verbosity = "error"
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning)
    report: dict[str, Any] = {
        "versions": {name: version(name) for name in VERSIONS},
        "platform": platform.platform(),
        "runs": [],
    }
    print("| section | " + " | ".join(MEASURES.values()) + " |\n" + "|---" * (len(MEASURES) + 1) + "|")
    for name in section_names(options.folder, options.only):
        section = load_section(options.folder, name)
        if section is None:
            continue
        prepare(section.adata, has_image=section.has_image)
        runs = [measure(section, seed) for seed in range(options.seeds)]
        report["runs"] += [{"section": name, "seed": seed, **run} for seed, run in enumerate(runs)]
        cells = (f"{np.mean([r[m] for r in runs]):.3f} ± {np.std([r[m] for r in runs]):.3f}" for m in MEASURES)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    if options.output:
        options.output.write_text(json.dumps(report, indent=1))
    return 0 if report["runs"] else 2


def measure(section: Section, seed: int) -> dict[str, float]:
    """Adjusted Rand indices over the spots that have a label."""
    adata = mt.tl.multist_domains(section.adata, section.n_domains, random_state=seed, copy=True)
    known = section.truth.notna().to_numpy()
    truth = section.truth[known].astype(str).to_numpy()
    points = np.asarray(adata.obsm["X_multist"], dtype=np.float64)[known]
    points = points[:, points.std(axis=0) > 1e-6 * points.std(axis=0).max()]
    discriminant = LinearDiscriminantAnalysis().fit(points, truth)
    labels = {
        "found": adata.obs["multist_domain"][known],
        "shown": discriminant.predict(points),
        "started": started_at(points, truth).predict(points),
    }
    return {name: float(adjusted_rand_score(truth, label)) for name, label in labels.items()}


def started_at(points: np.ndarray, truth: np.ndarray) -> GaussianMixture:
    """Tied mixture whose first components are those of the truth."""
    names, codes = np.unique(truth, return_inverse=True)
    means = np.stack([points[codes == k].mean(axis=0) for k in range(len(names))])
    within = np.cov((points - means[codes]).T, bias=True).reshape(points.shape[1], -1)
    ridge = 1e-6 * np.trace(within) / len(within)
    return GaussianMixture(
        len(names),
        covariance_type="tied",
        weights_init=np.bincount(codes) / len(codes),
        means_init=means,
        precisions_init=np.linalg.inv(within + ridge * np.eye(len(within))),
        reg_covar=ridge,
        max_iter=500,
    ).fit(points)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections, or folders of sections")
    parser.add_argument("--output", type=Path)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
