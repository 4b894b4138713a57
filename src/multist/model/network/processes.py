"""Where training runs: one device, or several processes through Lightning Fabric."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from multist._device import choose_device


class Processes:
    """The device of this process, and what all processes add up together.

    Started by ``torchrun``, every process is one worker of a data-parallel run; otherwise there is one.

    Parameters
    ----------
    device
        ``"auto"`` or a name torch knows.

    Raises
    ------
    ImportError
        If there are several processes and Lightning Fabric is not installed; one device does without.
    """

    def __init__(self, device: str) -> None:
        self.device = torch.device(choose_device(device))
        self.rank, self.count = 0, 1
        self._fabric: Any = None
        wanted = int(os.environ.get("WORLD_SIZE", 1))
        if wanted == 1 or not {"RANK", "MASTER_ADDR"} <= set(os.environ):  # other launchers set the first for their own
            return
        make = _fabric()
        if make is None:
            raise ImportError(f"{wanted} processes need Lightning Fabric: pip install 'multist[processes]'")
        local = int(os.environ.get("LOCAL_WORLD_SIZE", wanted))
        accelerator = {"cuda": "gpu"}.get(self.device.type, self.device.type)
        self._fabric = make(accelerator=accelerator, devices=local, num_nodes=wanted // local, strategy="ddp")
        self._fabric.launch()
        self.device = self._fabric.device
        self.rank, self.count = self._fabric.global_rank, self._fabric.world_size

    def backward(self, loss: Tensor) -> None:
        """Gradients of this process."""
        loss.backward() if self._fabric is None else self._fabric.backward(loss)

    def start_alike(self, module: nn.Module) -> None:
        """Give all processes the parameters of the first."""
        if self.count > 1:
            module.load_state_dict(self._fabric.broadcast(module.state_dict()))

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Mean over the processes, in one message: the network is small."""
        if self.count == 1:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        parts = self._fabric.all_reduce(flat, reduce_op="mean").split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()


def _fabric() -> Any:
    """The class under either of its names, or None."""
    for name in ("lightning_fabric", "lightning.fabric"):
        try:
            return importlib.import_module(name).Fabric
        except ImportError:
            continue
    return None
