"""How much of known domains encoders of the image hold: texture against what scikit-image offers.

    python benchmarks/encoders.py FOLDER [--only her2st/A1]

For every section of FOLDER with an image in which a spot is wide enough to show tissue. Both see the patch that
``pp.embed_histology`` takes by default, of the normalised image. The table has the balanced accuracy of
``metrics.probe``; chance is one over the number of domains. Truth is for scoring only. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from generalisation import quiet
from report import markdown, number
from sections import load_section, section_names
from skimage.color import rgb2gray, rgb2hed
from skimage.feature import graycomatrix, graycoprops, hog, local_binary_pattern

import multist as mt

PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
DISTANCES, ANGLES, LEVELS = [1, 3], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], 16


def scikit_image(batch: torch.Tensor) -> np.ndarray:
    """(n, 46) stains, local binary patterns, co-occurrence and oriented gradients of (n, 3, h, w) patches."""
    return np.stack([described(patch) for patch in batch.cpu().numpy().transpose(0, 2, 3, 1)])


scikit_image.pixels = 64


def described(patch: np.ndarray) -> np.ndarray:
    stains = rgb2hed(patch).reshape(-1, 3)
    grey = rgb2gray(patch)
    patterns = local_binary_pattern((255 * grey).astype(np.uint8), 8, 1, "uniform")
    levels = np.clip(grey * LEVELS, 0, LEVELS - 1).astype(np.uint8)
    pairs = graycomatrix(levels, DISTANCES, ANGLES, LEVELS, symmetric=True, normed=True)
    return np.concatenate(
        [
            stains.mean(axis=0),
            stains.std(axis=0),
            *np.percentile(stains, [10, 50, 90], axis=0),
            np.histogram(patterns, bins=10, range=(0, 10), density=True)[0],
            *(graycoprops(pairs, name).mean(axis=1) for name in PROPERTIES),
            hog(grey, 8, (32, 32), (2, 2)).reshape(-1, 8).mean(axis=0),
        ]
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args(argv)
    quiet()
    rows: list[list[str]] = []
    for name in section_names(options.folder, options.only):
        section = load_section(options.folder, name)
        if section is None or not section.shows_tissue:
            continue
        adata = section.adata
        mt.pp.normalize_histology(adata)
        scores = []
        for encoder in ("texture", scikit_image):
            mt.pp.embed_histology(adata, encoder)
            found = mt.metrics.probe(adata.obsm["X_histology"], section.truth, section.xy)
            scores.append(number(found["balanced"], 3))
        rows.append([name, str(section.n_domains), *scores])
        print(rows[-1], file=sys.stderr, flush=True)
    if not rows:
        print("no section with a truth and a large image was found", file=sys.stderr)
        return 2
    print(markdown(["section", "domains", "texture", "scikit-image"], rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
