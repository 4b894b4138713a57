"""Steps of AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class Descent:
    """Decoupled weight decay (Loshchilov & Hutter, ICLR 2019) by torch's functional form.

    The class that torch wraps around it loads torch's compiler, which takes longer than the training of a section.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, weight_decay: float) -> None:
        self._parameters = list(parameters)
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._means, self._squares = ([torch.zeros_like(each) for each in self._parameters] for _ in range(2))
        self._steps = [torch.zeros(()) for _ in self._parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters against their gradients, which are then forgotten."""
        adamw(
            self._parameters,
            [cast(Tensor, each.grad) for each in self._parameters],
            self._means,
            self._squares,
            [],
            self._steps,
            lr=self._learning_rate,
            weight_decay=self._weight_decay,
            foreach=False,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            maximize=False,
        )
        for each in self._parameters:
            each.grad = None
