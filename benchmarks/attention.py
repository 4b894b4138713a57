"""What attention learns from hidden expression, on tissue that it has not seen.

    python benchmarks/attention.py FOLDER [--seeds 3] [--only her2st/A1]

For every section of FOLDER with an image in which a spot is wide enough to show tissue. The first table has the squared
error with which the expression of hidden spots on held-out blocks is predicted, as a share of its variance: from the
means of two rings of neighbours alone, with attention, and with attention whose images are other spots' patches or
noise. The second looks at true borders: at spots within whose reach of two steps lie their own domain and others. It
has the mean weight of a neighbour of the own domain divided by that of a neighbour of another; each spot asks the one
network that has not seen its block. Equal weights give one. Truth is for scoring only. Prints Markdown tables and
writes every run as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from domains import machine
from generalisation import quiet
from report import markdown, mean_sd, number
from sections import Section, load_section, section_names
from variants import HISTOLOGY, prepare

from multist.model.config import MultiSTConfig
from multist.model.features.image_axes import ImageAxes
from multist.model.network.attention import ImageAttention, LearntAttention, attention_matrix, fit_attention

IMAGES = ("attention", "shuffled", "noise")
UNTRAINED = "untrained"
CONFIG = MultiSTConfig()


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    quiet()
    runs: list[dict[str, Any]] = []
    for name in section_names(options.folder, options.only):
        section = load_section(options.folder, name)
        if section is None or not section.shows_tissue:
            continue
        prepare(section.adata, has_image=True)
        for seed in range(options.seeds):
            runs.append({"section": name, "seed": seed, **measure(section, seed)})
            print(f"{name} {seed}: {runs[-1]}", file=sys.stderr, flush=True)
        report = {"seeds": list(range(options.seeds)), "machine": machine(), "runs": runs}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if not runs:
        print("no section with a truth and a large image was found", file=sys.stderr)
        return 2
    print(errors_table(pd.DataFrame(runs)), borders_table(pd.DataFrame(runs)), sep="\n\n")
    print(f"\n{options.output}", file=sys.stderr)
    return 0


def measure(section: Section, seed: int) -> dict[str, Any]:
    """Errors on held-out blocks and ratios of weights at borders there, for each image."""
    adata, rng = section.adata, np.random.default_rng(seed)
    key = next(key for key in ("X_pca", "X_feat") if key in adata.obsm)
    genes = np.asarray(adata.obsm[key], dtype=np.float64)[:, : CONFIG.n_expression]
    features = np.asarray(adata.obsm[HISTOLOGY], dtype=np.float64)
    adjacency = sp.csr_matrix(adata.obsp["spatial_connectivities"])
    given = {"attention": features, "shuffled": rng.permutation(features), "noise": rng.normal(size=features.shape)}
    result: dict[str, Any] = {}
    for name, image in given.items():
        picture = ImageAxes.of(image, CONFIG.n_image)(image)
        one_section = np.zeros(adata.n_obs, dtype=np.int64)
        learnt = fit_attention(genes, picture, adjacency, section.xy, one_section, CONFIG, random_state=seed)
        result[f"{name}_error"], result[f"{name}_gain"] = float(learnt.losses.min()), learnt.gain
        weights = unseen_weights(learnt, genes, picture, adjacency)
        result[f"{name}_ratio"], result["border_spots"] = ratio_at_borders(weights, section.truth)
        if name == "attention":
            result["neighbours_error"] = learnt.error_of_neighbours
            start = attention_matrix([untrained(genes, picture, seed)], genes, picture, adjacency)
            result[f"{UNTRAINED}_ratio"], _ = ratio_at_borders(start, section.truth)
    return result


def unseen_weights(
    learnt: LearntAttention, genes: np.ndarray, picture: np.ndarray, adjacency: sp.csr_matrix
) -> sp.csr_matrix:
    """(n, n) weights, those of each spot from the networks that have not seen its block of tissue."""
    weights = sp.csr_matrix((len(genes), len(genes)), dtype=np.float32)
    times = np.bincount(np.concatenate(learnt.unseen), minlength=len(genes))
    for unseen, network in zip(learnt.unseen, learnt.networks, strict=True):
        own = np.zeros(len(genes), dtype=np.float32)
        own[unseen] = 1 / times[unseen]
        weights = weights + sp.diags(own) @ attention_matrix([network], genes, picture, adjacency)
    return sp.csr_matrix(weights)


def untrained(genes: np.ndarray, picture: np.ndarray, seed: int) -> ImageAttention:
    """A network as training starts from it, but for the slopes, which are no part of the weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return ImageAttention(np.zeros((genes.shape[1], 2)), picture.shape[1], CONFIG)


def ratio_at_borders(weights: sp.csr_matrix, truth: pd.Series) -> tuple[float, int]:
    """Mean weight of a neighbour of the own domain over that of another's, and the number of spots that see both.

    A neighbour's weight counts in multiples of the mean weight of its spot, so that spots with few neighbours count no
    more.
    """
    code = pd.Categorical(truth).codes
    edges = weights.tocoo()
    known = (code[edges.row] >= 0) & (code[edges.col] >= 0)
    asking, weight = edges.row[known], edges.data[known].astype(np.float64)
    same = code[asking] == code[edges.col[known]]
    count = {own: np.bincount(asking[same == own], minlength=len(code)) for own in (True, False)}
    total = {own: np.bincount(asking[same == own], weight[same == own], len(code)) for own in (True, False)}
    border = (count[True] > 0) & (count[False] > 0)
    scale = (total[True] + total[False])[border] / (count[True] + count[False])[border]
    own, other = (float((total[which][border] / count[which][border] / scale).mean()) for which in (True, False))
    return own / other, int(border.sum())


def errors_table(runs: pd.DataFrame) -> str:
    """Markdown: error of hidden spots, mean ± standard deviation over seeds, and what share the image takes away."""
    columns = [
        "neighbours_error",
        *(f"{image}_error" for image in IMAGES),
        "attention_gain",
        "shuffled_gain",
        "noise_gain",
    ]
    header = ["section", "neighbours", *IMAGES, "gain", "gain, shuffled", "gain, noise"]
    return markdown(
        header, [[n, *(mean_sd(own[c], 3) for c in columns)] for n, own in runs.groupby("section", sort=False)]
    )


def borders_table(runs: pd.DataFrame) -> str:
    """Markdown: weight of a neighbour of the own domain for one of another's, and the mean over the sections."""
    columns = [f"{name}_ratio" for name in (*IMAGES, UNTRAINED)]
    rows = [
        [name, str(own["border_spots"].iloc[0]), *(mean_sd(own[column], 2) for column in columns)]
        for name, own in runs.groupby("section", sort=False)
    ]
    means = runs.groupby("section")[columns].mean().mean()
    rows.append(["**mean**", "", *(number(means[column], 2) for column in columns)])
    return markdown(["section", "spots at borders", *IMAGES, UNTRAINED], rows)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="sections, or folders of sections")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks/attention.json"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
