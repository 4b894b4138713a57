"""Attention over spatial neighbourhoods, and the gate that lets the image in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multist.model.graph import SpatialGraph


class NeighbourhoodAttention(nn.Module):
    """Each spot's query weighs the tokens of the spot and its neighbours; values pass unchanged.

    With equal weights this is the neighbourhood mean, so training starts at plain smoothing and can only learn where to
    depart from it: at the borders of tissue. Every head weighs its own share of the dimensions.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.normalize_query = nn.LayerNorm(width, elementwise_affine=False)
        self.normalize_key = nn.LayerNorm(width, elementwise_affine=False)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)

    def forward(self, graph: SpatialGraph, asking: Tensor, answering: Tensor) -> tuple[Tensor, Tensor]:
        """Attend from (n, width) asking tokens to (n, width) answering ones; also return (n_edges, heads) weights."""
        query = self.query(self.normalize_query(asking)).view(len(asking), self.n_heads, -1)
        key = self.key(self.normalize_key(answering)).view(len(answering), self.n_heads, -1)
        out, weight = graph.attend(query, key, answering.view(len(answering), self.n_heads, -1).contiguous())
        return out.reshape(answering.shape), weight


class OwnToken(nn.Module):
    """Attention whose query sees the spot's own token only: the token itself, and nothing to learn."""

    def forward(self, graph: SpatialGraph, asking: Tensor, answering: Tensor) -> tuple[Tensor, Tensor]:
        """Return the answering tokens, and weights that are one on the spot itself and zero on its neighbours."""
        weight = (graph.receiver == graph.sender).to(answering.dtype)
        return answering, weight[:, None]


class ImageGate(nn.Module):
    """Per spot, a number between 0 and 1 that says how much of the image enters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.normalize = nn.LayerNorm(2 * width, elementwise_affine=False)
        self.score = nn.Linear(2 * width, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.constant_(self.score.bias, 2.0)  # begin open: the tokens are already weighed by their reliability

    def forward(self, gene: Tensor, image: Tensor) -> Tensor:
        """(n, 1) gate from the two (n, width) tokens."""
        return torch.sigmoid(self.score(self.normalize(torch.cat([gene, image], dim=1))))
