"""How far training is, kept in a folder, so that it goes on after an interruption to the same bits."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from multist._settings import logger, settings
from multist.model import batches
from multist.model.checkpoint import RECORD, check_writable, load_folder, save_folder
from multist.model.graph import build_graph
from multist.model.tokens import Tokens

EVERY = 30.0
"""Seconds between two states that are kept."""


class TrainingState:
    """Parameters, optimiser, random states and losses of a training that may be interrupted.

    Parameters
    ----------
    folder
        Where they are kept.
    tokens, adjacency, options
        What is trained on and how, by which a folder of another training is told.
    xy
        (n, 2) coordinates along which tiles are cut. They are looked at only where there are enough spots for several.
    """

    def __init__(
        self,
        folder: str | Path,
        tokens: Tokens,
        adjacency: sp.csr_matrix,
        options: list[Any],
        *,
        xy: np.ndarray | None = None,
    ) -> None:
        self.folder = Path(folder)
        tiled = len(tokens.expression) > batches.FULL
        options = [*options, tokens.n_hops, batches.FULL if tiled else None]
        digest = hashlib.sha256(repr(options).encode())
        edges = (adjacency.indptr, adjacency.indices, adjacency.data)
        for array in (tokens.expression, tokens.image, tokens.section, *edges, xy if tiled else None):
            # what an array is called, so that the bytes of one cannot stand for those of two
            digest.update(b"none" if array is None else f"{array.dtype} {array.shape}".encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        self._training = digest.hexdigest()

    def restore(self, parts: dict[str, Any], generator: torch.Generator, losses: dict[str, list[float]]) -> int:
        """Put every part where it was, and return how many steps are done; none if the folder holds nothing yet.

        Raises
        ------
        FileExistsError
            If the folder holds anything else.
        ValueError
            If the folder is of another training, or cannot be read.
        """
        check_writable(self.folder)  # now, not when the first state is to be kept
        if not (self.folder / RECORD).exists():
            return 0
        record, arrays = load_folder(self.folder, "training")
        if record.get("training") != self._training:
            raise ValueError(
                f"{str(self.folder)!r} holds the training of other data, constants or seed; give another folder, or none"
            )
        if record.get("kernels") != (now := _kernels(parts)):
            raise ValueError(
                f"{str(self.folder)!r} holds a training by {record.get('kernels')}, and this one is by {now}, which comes to other bits: "
                "take the same device and settings.graph_backend, or give another folder, or none"
            )
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        try:
            for name, part in parts.items():
                part.load_state_dict(_filled(record["parts"][name], tensors))
            generator.set_state(tensors["generator"])
            torch.set_rng_state(tensors["global"])
            losses.update(record["losses"])
            n_done = int(record["step"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{str(self.folder)!r} lacks a part of the training: {error}") from error
        logger.info("training goes on from step %d of %s", n_done, self.folder)
        return n_done

    def kept_during(
        self,
        steps: Iterable[tuple[int, Any]],
        parts: dict[str, Any],
        generator: torch.Generator,
        losses: dict[str, list[float]],
    ) -> Iterator[tuple[int, Any]]:
        """The steps; whenever half a minute has passed, and after the last, the state is kept."""
        last, step = time.monotonic(), None
        for step, batch in steps:
            yield step, batch
            if time.monotonic() - last >= EVERY:
                self._keep(step + 1, parts, generator, losses)
                last = time.monotonic()
        if step is not None:
            self._keep(step + 1, parts, generator, losses)

    def _keep(
        self, n_done: int, parts: dict[str, Any], generator: torch.Generator, losses: dict[str, list[float]]
    ) -> None:
        arrays = {"generator": generator.get_state().numpy(), "global": torch.get_rng_state().numpy()}
        record = {"training": self._training, "kernels": _kernels(parts), "step": n_done, "losses": losses}
        record["parts"] = {name: _emptied(part.state_dict(), arrays, name) for name, part in parts.items()}
        save_folder(self.folder, "training", record, arrays)


def _kernels(parts: dict[str, Any]) -> str:
    """What computes a step."""
    kind = next(parts["network"].parameters()).device.type
    graph = build_graph(sp.identity(2, format="csr"), backend=settings.graph_backend, device=kind)
    return f"{type(graph).__name__} on {kind}"


def _emptied(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    """A state for JSON: tensors go to ``arrays`` and leave their name; dicts become pairs, as their keys may be numbers."""
    if isinstance(value, Tensor):
        arrays[path] = value.detach().cpu().numpy().copy()
        return {"tensor": path}
    if isinstance(value, dict):
        return {"pairs": [[key, _emptied(each, arrays, f"{path}.{key}")] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        return {"items": [_emptied(each, arrays, f"{path}.{i}") for i, each in enumerate(value)]}
    return value


def _filled(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The state that :func:`_emptied` took apart."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "items" in value:
        return [_filled(each, tensors) for each in value["items"]]
    return {key: _filled(each, tensors) for key, each in value["pairs"]}
