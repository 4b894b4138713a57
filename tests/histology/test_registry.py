from __future__ import annotations

import numpy as np
import pytest
import torch

from multist.histology.registry import get_encoder

PATCHES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 4)
        self.drop = torch.nn.Dropout(0.5)
        self.seen: list[tuple[bool, bool, torch.dtype]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, torch.is_grad_enabled(), x.dtype))
        return self.drop(self.linear(x.mean(dim=(2, 3))))


def test_module_is_frozen_and_its_mode_restored():
    network = Network().train()
    network.linear.eval()
    with get_encoder(network, device="cpu").frozen() as encode:
        first, second = encode(PATCHES), encode(PATCHES)
    assert np.array_equal(first, second) and first.shape == (5, 4) and first.dtype == np.float32
    assert network.seen == [(False, False, torch.float32)] * 2
    assert network.training and network.drop.training and not network.linear.training
    assert torch.is_grad_enabled()


def test_mode_is_restored_after_an_error():
    network = Network().train()
    with pytest.raises(RuntimeError), get_encoder(network, device="cpu").frozen() as encode:
        encode(PATCHES[..., :2])
    assert network.training and torch.is_grad_enabled()


def test_mode_is_restored_where_the_device_refuses_the_network():
    network = Network().train()

    def refuse(device):
        if not network.training:
            raise RuntimeError("out of memory")
        return network

    network.to = refuse
    with pytest.raises(RuntimeError, match="out of memory"), get_encoder(network, device="cpu").frozen():
        pass
    assert network.training


def test_callable_gets_channels_first_in_unit_range():
    def function(batch):
        assert batch.shape == (5, 3, 8, 8) and float(batch.max()) <= 1
        return batch.numpy().mean(axis=(2, 3))

    with get_encoder(function, device="cpu").frozen() as encode:
        np.testing.assert_allclose(encode(PATCHES), PATCHES.mean(axis=(1, 2)) / 255, rtol=1e-5)


@pytest.mark.parametrize("pixels", [32, np.int64(32)])
def test_an_object_says_how_large_its_patches_are(pixels):
    network = Network()
    network.pixels = pixels
    assert get_encoder(network, device="cpu").pixels == 32
    for wrong in (0, 32.5, "32"):
        network.pixels = wrong
        with pytest.raises(ValueError, match="pixels of encoder 'Network' must be a whole number"):
            get_encoder(network, device="cpu")


@pytest.mark.parametrize(
    "function",
    [lambda b: b, lambda b: b.mean(dim=(2, 3))[:2], lambda b: b.mean(dim=(2, 3)) * np.nan],
)
def test_wrong_results_are_named(function):
    with pytest.raises(ValueError, match="encoder"), get_encoder(function, device="cpu").frozen() as encode:
        encode(PATCHES)


def test_what_is_neither_a_name_nor_callable_is_refused():
    with pytest.raises(TypeError, match="int"):
        get_encoder(3)  # type: ignore[arg-type]
