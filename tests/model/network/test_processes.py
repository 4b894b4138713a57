"""One device with or without Fabric, and two processes that find what one finds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from multist.model.config import MultiSTConfig
from multist.model.network import processes
from multist.model.network.attention import fit_attention
from multist.model.network.processes import Processes

SIDE, EPOCHS = 30, 10
"""More spots than are hidden in a step, so that processes hide different ones."""

# the processes part when all is imported, which takes each seconds, and nothing is done
WORKERS = """
import importlib.util
import os
import sys
sys.path.insert(0, {folder!r})
if importlib.util.find_spec("dgl"):  # not every Python has it
    import dgl
import lightning_fabric
import numpy as np
from conftest import make_tissue
from multist._settings import settings
from multist.model.config import MultiSTConfig
from multist.model.fitted import FusionModel
from multist.model.network.processes import Processes
own = next((number for number in range(1, {count}) if os.fork() == 0), 0)
os.environ.update(RANK=str(own), LOCAL_RANK=str(own))
settings.progress = False
t = make_tissue({side})
found = FusionModel.fit(t.expression, t.image, t.adjacency, t.xy, MultiSTConfig(epochs={epochs}), device="cpu")[1]
rank = Processes("cpu").rank
np.savez({out!r} + f"/{{rank}}.npz", code=found.code, weight=found.image_weight)
if own == 0:
    assert all(os.wait()[1] == 0 for _ in range(1, {count}))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_workers(out: Path, count: int) -> list[dict[str, np.ndarray]]:
    """With what ``torchrun`` tells them."""
    out.mkdir()
    code = WORKERS.format(folder=str(Path(__file__).parents[1]), out=str(out), count=count, side=SIDE, epochs=EPOCHS)
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_RANK": "0"}
    shared |= {"TORCHELASTIC_RUN_ID": "test", "DGLBACKEND": "pytorch"}
    done = subprocess.run([sys.executable, "-c", code], env=shared, stderr=subprocess.PIPE, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return [dict(np.load(out / f"{rank}.npz")) for rank in range(count)]


@pytest.mark.slow
def test_two_processes_find_the_domains_of_one(tmp_path, make_arrays):
    pytest.importorskip("lightning_fabric")
    from sklearn.metrics import adjusted_rand_score

    from multist.cluster.mixture import fit_mixture
    from multist.model.fitted import FusionModel

    t, two = make_arrays(SIDE), run_workers(tmp_path / "two", 2)
    one = FusionModel.fit(t.expression, t.image, t.adjacency, t.xy, MultiSTConfig(epochs=EPOCHS), device="cpu")[1]
    np.testing.assert_array_equal(two[0]["code"], two[1]["code"])  # each has all spots
    np.testing.assert_array_equal(two[0]["weight"], two[1]["weight"])
    assert (two[0]["code"] != one.code).any()  # they did share the work
    labels = [fit_mixture(code, 4, n_starts=8).labels for code in (one.code, two[0]["code"])]
    assert adjusted_rand_score(*labels) >= 0.98


@pytest.mark.slow
def test_one_device_needs_no_fabric(small_arrays, monkeypatch):
    t = small_arrays
    given = (t.expression, t.image, t.adjacency, t.xy, np.zeros(100, np.int64), MultiSTConfig(epochs=3))
    expected = fit_attention(*given, device="cpu").losses
    for name in ("lightning_fabric", "lightning.fabric"):
        monkeypatch.setitem(sys.modules, name, None)
    np.testing.assert_array_equal(fit_attention(*given, device="cpu").losses, expected)


def test_several_processes_without_fabric_are_refused(monkeypatch):
    monkeypatch.setattr(processes, "_fabric", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Processes("cpu").count == 1  # nobody started the others
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ImportError, match=r"2 processes need Lightning Fabric: pip install 'multist\[processes\]'"):
        Processes("cpu")


@pytest.mark.slow
def test_one_process_changes_no_gradient():
    alone, weight = Processes("cpu"), torch.ones(3, requires_grad=True)
    alone.backward((weight * torch.arange(3.0)).sum())
    alone.average_gradients([weight])
    assert weight.grad is not None and weight.grad.tolist() == [0, 1, 2]
    assert (alone.rank, alone.count, alone.device.type) == (0, 1, "cpu")
