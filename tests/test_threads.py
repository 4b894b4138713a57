"""The number of threads inside is always the same, and outside what it was."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController, threadpool_limits

import multist as mt
from multist._threads import steady_threads


def numbers():
    """Threads of torch, and of every library that does sums."""
    pools = {(each["internal_api"], each["filepath"]): each["num_threads"] for each in ThreadpoolController().info()}
    return torch.get_num_threads(), pools


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr("multist._threads._ASKED", "")
    monkeypatch.setattr("joblib.cpu_count", lambda **_: 2)


@pytest.fixture(autouse=True)
def restored():
    """What a test sets is not there in the next one."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=None):
        yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("told", "expected"), [(1, 1), (2, 2), (5, 2)])
def test_inside_it_is_the_number_of_cores_or_fewer_if_torch_was_told_so_and_outside_what_was_set(
    two_cores, told, expected
):
    torch.set_num_threads(told)
    before = numbers()
    with steady_threads("torch"):
        inside = numbers()
    assert inside[0] == expected and set(inside[1].values()) == {expected}
    assert numbers() == before


def test_a_library_that_takes_all_logical_cores_does_not_matter(two_cores):
    x = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)

    def bits():
        with steady_threads("torch"):
            return torch.get_num_threads(), (torch.as_tensor(x) @ torch.as_tensor(x)).numpy().tobytes()

    torch.set_num_threads(2)
    first = bits()
    with threadpool_limits(limits=4):  # as numba's kernels do
        assert bits() == first


def test_an_error_inside_puts_it_back(two_cores):
    torch.set_num_threads(3)
    before = numbers()
    with pytest.raises(KeyboardInterrupt), steady_threads("torch"):
        assert torch.get_num_threads() == 2
        raise KeyboardInterrupt
    assert numbers() == before


def test_one_inside_the_other(two_cores):
    torch.set_num_threads(3)
    with steady_threads("torch"):
        with steady_threads("torch", limit=1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("asked", "expected"), [("1", 1), ("3,2", 3), ("0", 2), ("many", 2), ("", 2)])
def test_the_users_number_counts(asked, expected, two_cores, monkeypatch):
    torch.set_num_threads(4)
    monkeypatch.setattr("multist._threads._ASKED", asked)
    with steady_threads("torch"):
        assert torch.get_num_threads() == expected


def test_a_number_for_child_processes_does_not_count(two_cores, monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as dask does while it starts a worker anew
    with steady_threads("torch"):
        assert torch.get_num_threads() == 2


def test_a_limit_counts_for_more(two_cores, monkeypatch):
    monkeypatch.setattr("multist._threads._ASKED", "2")
    with steady_threads("torch", limit=1):
        assert torch.get_num_threads() == 1


def test_a_library_that_is_not_there_is_an_error():
    with pytest.raises(ModuleNotFoundError), steady_threads("no_such_library"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("multist.cluster.guided.guided_domains", lambda table: mt.tl.cluster_domains(table, labels_key="strokes")),
        ("multist.tl.borders._border_sharpness.held_out_auc", lambda table: mt.tl.border_sharpness(table, n_null=38)),
    ],
)
def test_many_small_products_run_on_one_thread(where, call, two_cores, monkeypatch):
    """On a busy machine several threads take ten times as long."""
    table = mt.datasets.layered_tissue(n_spots=200, n_genes=120, with_image=False, format="anndata")
    mt.tl.multist_domains(table, 3)
    table.obs["strokes"] = table.obs["multist_domain"].where(np.arange(table.n_obs) % 10 == 0)
    module, name = where.rsplit(".", 1)
    module, seen = importlib.import_module(module), []
    inner = getattr(module, name)

    def watched(*args, **kwargs):
        seen.append(set(numbers()[1].values()))
        return inner(*args, **kwargs)

    monkeypatch.setattr(module, name, watched)
    with threadpool_limits(2):
        call(table)
    assert seen and all(threads == {1} for threads in seen)
