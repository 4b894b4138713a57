"""Steps of AdamW are those of torch's own class."""

from __future__ import annotations

import torch

from multist.model.network.descent import Descent


def test_steps_are_those_of_torchs_class():
    x, y = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)), torch.arange(40.0)[:, None] / 40
    found = []
    for ours in (True, False):
        weight, offset = torch.full((5, 1), 0.5, requires_grad=True), torch.zeros(1, requires_grad=True)
        descent = Descent([weight, offset], 0.03, 0.1)
        theirs = torch.optim.AdamW([weight, offset], lr=0.03, weight_decay=0.1)
        for _ in range(5):
            theirs.zero_grad()
            (x @ weight + offset - y).square().mean().backward()
            descent.step() if ours else theirs.step()
        assert (weight.grad is None) == ours
        found.append((weight.detach(), offset.detach()))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
    assert (found[0][0] != 0.5).all()
