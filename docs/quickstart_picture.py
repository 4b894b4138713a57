"""Draw the picture of the README: ``python docs/quickstart_picture.py`` writes ``docs/_static/quickstart.png``."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

import multist as mt

mpl.use("agg")
TARGET = Path(__file__).parent / "_static" / "quickstart.png"

sdata = mt.datasets.layered_tissue()
mt.pp.normalize_histology(sdata)
mt.tl.multist_domains(sdata, 7)
mt.pl.domains(
    sdata,
    ["multist_domain", "multist_image_weight"],
    truth_key="domain",
    title=["domains found", "weight of the image", "domains as they were made"],
    ncols=3,
    figsize=(9, 2.8),
    save=TARGET,
    dpi=150,
)
