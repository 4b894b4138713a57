"""Read the embedding, and where attention looked, off a network, by tiles where there are many spots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multist.cluster.watched import watched
from multist.model.batches import Batch, Batches
from multist.model.network import FusionNetwork
from multist.model.processes import Processes


class Reading(NamedTuple):
    """What the network makes of all n spots.

    Attributes
    ----------
    code
        (n, d) fused embedding.
    image_part
        (n, d) what the image brought in of it; None without an image.
    attention, image_attention
        (n_edges,) weight of each edge, mean over the heads, in the order of :func:`multist.model.graph.with_self`; ``image_attention`` is None
        without an image.
    """

    code: Tensor
    image_part: Tensor | None
    attention: Tensor
    image_attention: Tensor | None


@torch.no_grad()
def read(network: FusionNetwork, batches: Batches, processes: Processes) -> Reading:
    """Everything that the network says of all spots."""
    pieces = batches.for_reading()
    if len(pieces) == 1:
        whole = network(*batches.of_rows(pieces[0])[:3])
        image_attention = None if whole.image_attention is None else whole.image_attention.mean(1)
        return Reading(whole.code, whole.image_part, whole.gene_attention.mean(1), image_attention)
    width, indptr = network.gene_token.out_features, batches.indptr
    kept = {"code": torch.zeros(batches.n_spots, width), "attention": torch.zeros(int(indptr[-1]))}
    if network.has_image and batches.image is not None:
        kept |= {"image_part": torch.zeros_like(kept["code"]), "image_attention": torch.zeros_like(kept["attention"])}
    own = processes.share(pieces)
    for rows in watched(own, len(own), "multist: embedding", hidden=processes.rank > 0):
        batch = batches.of_rows(rows)
        fused = network(*batch[:3])
        place, order = _places(batch, indptr)
        for name, found in (("code", fused.code), ("image_part", fused.image_part)):
            if name in kept:
                kept[name][rows] = found[: batch.n_own].cpu()
        for name, found in (("attention", fused.gene_attention), ("image_attention", fused.image_attention)):
            if name in kept:
                kept[name][place] = found.mean(1)[: len(order)].cpu()[order]
    summed = {name: processes.sum(values) for name, values in kept.items()}
    return Reading(summed["code"], summed.get("image_part"), summed["attention"], summed.get("image_attention"))


def _places(batch: Batch, indptr: np.ndarray) -> tuple[Tensor, Tensor]:
    """Places of the edges of a tile's own spots in the whole, and the order that brings the tile's edges to them."""
    receiver, sender = batch.graph.receiver.cpu().numpy(), batch.graph.sender.cpu().numpy()
    n_edges = int(np.searchsorted(receiver, batch.n_own))
    receiver, sender = receiver[:n_edges], batch.spots[sender[:n_edges]]
    order = np.lexsort((sender, receiver))
    degree = np.diff(indptr)[batch.rows]
    start = np.repeat(indptr[batch.rows] - np.concatenate([[0], degree.cumsum()[:-1]]), degree)
    return torch.as_tensor(start + np.arange(n_edges)), torch.as_tensor(order)
