"""The same bits in other processes, after other imports, on other numbers of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
{imports}
import hashlib, sys
sys.path.insert(0, {folder!r})
from conftest import make_tissue, MultiSTConfig, mt
mt.settings.progress = False
table = make_tissue()
for _ in range({repeats}):
    now = mt.tl.multist_domains(table, 3, config=MultiSTConfig(epochs=2), device="cpu", copy=True)
    held = hashlib.sha256()
    for key in ("X_pca", "X_histology", "X_multist"):
        held.update(now.obsm[key].tobytes())
    held.update(now.obs["multist_confidence"].to_numpy().tobytes())
    held.update(",".join(now.obs["multist_domain"]).encode())
    print(held.hexdigest())
"""


def digests(imports: str = "", threads: int = 1, repeats: int = 1, seed: str = "0") -> list[str]:
    code = CODE.format(imports=imports, folder=str(Path(__file__).parent), repeats=repeats)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONHASHSEED": seed}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.fixture(scope="module")
def once() -> str:
    first, second = digests(repeats=2)
    assert first == second
    return first


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [
        {"seed": "12345", "imports": "import torch, sklearn, scanpy, squidpy, dgl"},
        {"threads": 2, "imports": "import spatialdata, skimage, numba, torch"},
    ],
    ids=["another seed of hashes, torch first", "two threads, spatialdata first"],
)
def test_same_bits(once, other):
    assert digests(**other) == [once]
