"""``device="auto"`` means the same everywhere: the setting, else the best that there is."""

from __future__ import annotations

import pytest
import torch

import multist as mt
from multist._device import choose_device
from multist.histology.registry import PatchEncoder
from multist.model.network.processes import Processes


@pytest.fixture(params=[True, False], ids=["cuda", "no cuda"])
def cuda(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return request.param


def test_the_best_that_there_is(cuda):
    assert choose_device() == choose_device("auto") == Processes("auto").device.type == ("cuda" if cuda else "cpu")


@pytest.mark.parametrize("name", ["cpu", "cuda:1", "meta"])
def test_the_setting_stands_behind_auto_and_a_name_before_it(name, cuda, monkeypatch):
    monkeypatch.setattr(mt.settings, "device", name)
    assert choose_device("auto") == name
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cpu", "cuda:1"])
def test_an_encoder_runs_where_the_setting_says(name, monkeypatch):
    seen = []

    class Moved(torch.nn.Linear):
        def to(self, device):
            seen.append(torch.device(device))
            return self

    monkeypatch.setattr(mt.settings, "device", name)
    with PatchEncoder(Moved(2, 1), "mine", device="auto").frozen():
        assert seen == [torch.device(name)]


@pytest.mark.parametrize(("given", "setting"), [("auto", "meta"), ("meta", "auto")])
def test_networks_run_where_the_setting_or_the_call_says(given, setting, monkeypatch):
    monkeypatch.setattr(mt.settings, "device", setting)
    assert Processes(given).device.type == "meta"
