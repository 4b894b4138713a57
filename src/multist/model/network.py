"""The fusion network: expression and histology tokens, cross-attention between neighbours, a gate, linear decoders."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from multist.model.config import MultiSTConfig
from multist.model.graph import SpatialGraph
from multist.model.layers import ImageGate, NeighbourhoodAttention, OwnToken


class Fused(NamedTuple):
    """What the network makes of a section.

    Attributes
    ----------
    code
        (n, d) fused embedding.
    gene, image
        (n, d) unimodal tokens averaged over the neighbourhood; ``image`` is None without one.
    image_part
        (n, d) what the image adds to the code; None without an image.
    gate
        (n, 1) how much of the image enters; None without an image.
    gene_attention, image_attention
        (n_edges, heads) weights in the order of the graph's edges; ``image_attention`` is None without an image.
    """

    code: Tensor
    gene: Tensor
    image: Tensor | None
    image_part: Tensor | None
    gate: Tensor | None
    gene_attention: Tensor
    image_attention: Tensor | None


class FusionNetwork(nn.Module):
    """Spatial factors of both modalities, refined by attention.

    The linear maps start at the principal axes of the spatial factors, so an untrained network is already a good linear
    smoother; training adds attention across modalities and the gate.

    Parameters
    ----------
    expression_loadings
        (p, d) start of the gene token's map and of its decoder.
    image_loadings
        (q, d), or None for expression alone.
    config
        Constants.
    n_hops
        Range of a neighbourhood, at least two: the last hop is the attention's.
    """

    def __init__(
        self, expression_loadings: Tensor, image_loadings: Tensor | None, config: MultiSTConfig, *, n_hops: int
    ) -> None:
        super().__init__()
        width = expression_loadings.shape[1]
        self.config, self.n_hops = config, n_hops
        self.gene_token = _linear(expression_loadings.T)
        self.expression_decoder = _linear(expression_loadings)
        self.gene_attention = self._attention(width)
        self.has_image = image_loadings is not None
        if image_loadings is not None:
            self.image_token = _linear(image_loadings.T)
            self.image_decoder = _linear(image_loadings)
            self.image_attention = self._attention(width)
            self.gate = ImageGate(width) if config.gate else None

    def _attention(self, width: int) -> nn.Module:
        if self.config.attention == "self":
            return OwnToken()
        heads = max(h for h in range(1, self.config.n_heads + 1) if width % h == 0)
        return NeighbourhoodAttention(width, heads)

    def forward(
        self, graph: SpatialGraph, expression: Tensor, image: Tensor | None, visible: Tensor | None = None
    ) -> Fused:
        """Fuse (n, p) expression and (n, q) image features; spots where ``visible`` (n, 1) is zero do not show theirs."""
        gene = self._spread(graph, self.gene_token(expression), visible)
        if image is None or not self.has_image:
            code, weight = self.gene_attention(graph, gene, gene)
            return Fused(code, gene, None, None, None, weight, None)
        picture = self._spread(graph, self.image_token(image), visible)
        gene_part, gene_weight = self.gene_attention(graph, picture + gene, gene)
        image_part, image_weight = self.image_attention(graph, gene, picture)
        gate = torch.ones_like(image_part[:, :1]) if self.gate is None else self.gate(gene, picture)
        image_part = gate * image_part
        return Fused(gene_part + image_part, gene, picture, image_part, gate, gene_weight, image_weight)

    def _spread(self, graph: SpatialGraph, token: Tensor, visible: Tensor | None) -> Tensor:
        """All hops but the last, which is the attention's."""
        token = graph.mean_neighbours(token, visible)
        for _ in range(self.n_hops - 2):
            token = graph.mean_neighbours(token)
        return token


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer
