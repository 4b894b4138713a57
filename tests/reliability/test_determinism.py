"""The same bits again, and in another process with other imports first, other hashes and another number of threads."""

from __future__ import annotations

import hashlib
import inspect
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
import hashlib, importlib.util, sys
if importlib.util.find_spec("dgl"):  # not every Python has it
    import dgl
sys.path.insert(0, {folder!r})
from conftest import make_tissue, MultiSTConfig, mt
mt.settings.progress = False
{function}
print(digest(make_tissue()))
"""


def digest(table) -> str:
    now = mt.tl.multist_domains(table, 3, config=MultiSTConfig(epochs=2), device="cpu", copy=True)
    held = hashlib.sha256()
    for key in ("X_pca", "X_histology", "X_multist"):
        held.update(now.obsm[key].tobytes())
    held.update(now.obs["multist_confidence"].to_numpy().tobytes())
    held.update(",".join(now.obs["multist_domain"]).encode())
    return held.hexdigest()


def digest_elsewhere() -> str:
    code = CODE.format(folder=str(Path(__file__).parent), function=inspect.getsource(digest))
    threads = 2 if torch.get_num_threads() == 1 else 1
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONHASHSEED": "12345"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.full_training
@pytest.mark.slow
def test_same_bits(new_tissue):
    first = digest(new_tissue())
    assert digest(new_tissue()) == first
    assert digest_elsewhere() == first
