"""The same bits again, and in another process with other imports first, other hashes and another number of threads."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import multist as mt
from multist.model.config import MultiSTConfig

CODE = """
from __future__ import annotations
import torch, sklearn, scanpy, squidpy
import hashlib, importlib.util, json, sys
if importlib.util.find_spec("dgl"):  # not every Python has it
    import dgl
sys.path.insert(0, {folder!r})
from conftest import MultiSTConfig, Path, make_mingled, make_tissue, mt
mt.settings.progress = False
{functions}
print(json.dumps(digests(make_tissue, make_mingled, Path({model!r}), {threads})))
"""


def digest(table) -> str:
    """Of the image, the counts, all arrays of spots and all columns."""
    (section,) = table.uns["spatial"].values()
    arrays = [section["images"]["hires"], table.X.data, table.X.indices, *(table.obsm[key] for key in table.obsm)]
    held = hashlib.sha256(table.obs.to_csv().encode())
    for array in arrays:
        held.update(array.tobytes())
    return held.hexdigest()


def digests(new_tissue, new_mingled, model: Path, threads: int) -> dict[str, str]:
    options = {"n_domains": 3, "config": MultiSTConfig(epochs=2), "device": "cpu", "copy": True}
    made = {
        "layered tissue": mt.datasets.layered_tissue(n_spots=400, n_genes=200, image_size=400, format="anndata"),
        "domains": mt.tl.multist_domains(new_tissue(), **options),
        "what a model recognises": mt.MultiST.load(model, device="cpu").predict(new_mingled(1), copy=True),
    }
    torch.set_num_threads(threads)  # sums of a network that is trained are rounded otherwise on two
    made["domains with an image"] = mt.tl.multist_domains(new_mingled(0), **options)
    return {name: digest(table) for name, table in made.items()}


def digests_elsewhere(model: Path) -> dict[str, str]:
    functions = "\n".join(map(inspect.getsource, (digest, digests)))
    threads = torch.get_num_threads()
    code = CODE.format(folder=str(Path(__file__).parent), functions=functions, model=str(model), threads=threads)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = os.environ | dict.fromkeys(names, "2" if threads == 1 else "1") | {"PYTHONHASHSEED": "12345"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.full_training
@pytest.mark.slow
def test_same_bits(new_tissue, new_mingled, tmp_path):
    table = new_mingled(0)
    model = mt.MultiST(MultiSTConfig(epochs=2), device="cpu").fit(table, n_domains=3)
    model.cluster(table, 3)
    assert table.obs["multist_image_weight"].mean() > 0.1, "the image takes no part"
    model.save(tmp_path / "model")
    here = digests(new_tissue, new_mingled, tmp_path / "model", torch.get_num_threads())
    assert here == digests_elsewhere(tmp_path / "model")
