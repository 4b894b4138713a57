"""A person's type checker knows the public functions: what is right passes, and each wrong call is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
CONSUMER = """
import anndata as ad
import numpy as np
import multist as mt

adata = ad.AnnData(np.ones((3, 3)))
mt.pp.normalize_histology(adata)
mt.pp.embed_expression(adata, n_comps=20)
mt.pp.embed_expression(adata, n_comps="many")  # wrong: arg-type
mt.pp.embed_image(adata)  # wrong: attr-defined
mt.tl.multist_domains(adata, n_domains=7, config=mt.tl.MultiSTConfig(epochs=3))
mt.tl.multist_domains([adata, adata], "auto", use_image=False)
mt.tl.multist_domains("x", wrong=3)  # wrong: call-arg
mt.tl.multist_domains(adata, 7, config={"epochs": 3})  # wrong: arg-type
mt.tl.multist_domains(adata, use_image="yes")  # wrong: arg-type
mt.tl.MultiSTConfig(epochs="many")  # wrong: arg-type
mt.tl.MultiSTConfig(steps=3)  # wrong: call-arg
mt.tl.pseudotime(adata, root="4")
mt.tl.pseudotime()  # wrong: call-arg
mt.tl.interactions(adata)  # wrong: call-arg
mt.pl.domains(adata, save="domains.png")
mt.pl.domains(adata, save=3)  # wrong: arg-type
mt.metrics.coherence([0, 1], [[0, 0], [1, 1]], wrong=1)  # wrong: call-arg
mt.datasets.layered_tissue(n_spots=100)
mt.datasets.layered_tissue(n_spots="many")  # wrong: arg-type
model: mt.MultiST = mt.MultiST(random_state=1).fit(adata)
model.save("cortex")
model.cluster(adata, seven=7)  # wrong: call-arg
mt.settings.progress = False
mt.settings.progress = "often"  # wrong: assignment
mt.settings.verbosity = "hint"
mt.settings.verbosity = 3
mt.settings.verbosity = "loud"  # wrong: assignment
mt.settings.speed = 3  # wrong: attr-defined
version: str = mt.__version__
mt.nothing  # wrong: attr-defined
"""
# of the libraries only numpy is looked into, which keeps this short
CONFIG = """
[mypy]
ignore_missing_imports = true
follow_imports = silent
[mypy-torch.*,matplotlib.*,scipy.*,shapely.*,PIL.*,zarr.*,xarray.*,dask.*,tifffile.*,lightning_fabric.*,networkx.*]
follow_imports = skip
"""


@pytest.mark.slow
def test_wrong_calls_are_told_and_right_ones_pass(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "consumer.py").write_text(CONSUMER)
    (tmp_path / "mypy.ini").write_text(CONFIG)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--no-error-summary",
        "--cache-dir",
        os.devnull,
        "consumer.py",
    ]
    environment = os.environ | {"MYPYPATH": str(SOURCE)}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    told = [re.fullmatch(r"consumer\.py:(\d+): error: .*\[(.+)\]", line) for line in found.stdout.splitlines()]
    lines = enumerate(CONSUMER.splitlines(), 1)
    wrong = {number: line.partition("# wrong: ")[2] for number, line in lines if "# wrong: " in line}
    assert {int(error[1]): error[2] for error in told if error} == wrong, found.stdout + found.stderr
