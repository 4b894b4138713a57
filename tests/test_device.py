"""``device="auto"`` means the same everywhere: the setting, else the best that there is."""

from __future__ import annotations

import pytest
import torch

import multist as mt
from multist._device import check_device, choose_device
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


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("abacus", "settings.device must be 'auto' or a name torch knows, such as 'cpu' or 'cuda:1'; got 'abacus'"),
        (7, "settings.device must be .*; got 7"),
        ("cuda:99", "settings.device 'cuda:99' is not there: torch finds [0-9]+ of 'cuda' on this machine"),
        ("cpu:3", "settings.device 'cpu:3' is not there: torch finds 1 of 'cpu' on this machine"),
        ("meta", "settings.device 'meta' is not there: torch finds 0 of 'meta' on this machine"),
    ],
)
def test_a_device_that_is_not_there_is_named_as_it_was_set(name, told, monkeypatch):
    with pytest.raises(ValueError, match=told.removeprefix("settings.")):
        check_device(name)
    monkeypatch.setattr(mt.settings, "device", name)
    with pytest.raises(ValueError, match=told):
        check_device("auto")


@pytest.mark.parametrize("name", ["auto", "cpu", "cpu:0"])
def test_a_device_that_is_there_passes(name):
    check_device(name)
