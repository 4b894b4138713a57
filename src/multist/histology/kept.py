"""Vectors of patches that a model has seen before, kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multist._files import whole_file
from multist._settings import logger, settings

_MAX_BYTES = 2**30
"""Bytes; results that are larger are not kept."""


class KeptVectors:
    """A file with the vectors of a call, each found by the pixels of its patch.

    What is in the file is used only for patches that are the same pixel by pixel, so an image that changed is embedded
    anew, and one whose corner was mended is embedded there.

    Parameters
    ----------
    by
        Everything else that a vector depends on, such as the weights and the precision; it gives the file its name.
    """

    def __init__(self, by: Mapping[str, Any]) -> None:
        name = hashlib.sha256(json.dumps(by, sort_keys=True).encode()).hexdigest()[:32]
        self.path = Path(settings.cache_dir).expanduser() / "histology" / f"{name}.safetensors"
        self._place, self._vectors = _read(self.path)
        self.digests: list[bytes] = []
        self.new = 0

    def encode(self, patches: np.ndarray, encoder: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(n, d) float32 of (n, h, w, 3) patches; only those that are not known go to the encoder."""
        digests = [hashlib.blake2b(np.ascontiguousarray(patch).data, digest_size=16).digest() for patch in patches]
        self.digests += digests
        unknown = np.array([digest not in self._place for digest in digests])
        self.new += int(unknown.sum())
        if unknown.all():
            return encoder(patches)
        kept = self._vectors[[self._place[digest] for digest in digests if digest in self._place]]
        if not unknown.any():
            return kept
        fresh = encoder(patches[unknown])
        vectors = np.empty((len(patches), fresh.shape[1]), np.float32)
        vectors[unknown], vectors[~unknown] = fresh, kept
        return vectors

    def keep(self, vectors: np.ndarray) -> None:
        """Write the (n, d) vectors of all patches that were encoded, in that order, if any of them is new."""
        if not self.new:
            logger.info("all %d patches were known: their vectors are those in %s", len(vectors), self.path)
        elif vectors.nbytes > _MAX_BYTES:
            logger.info("the vectors are not kept: they need %.1f GB", vectors.nbytes / 1e9)
        else:
            from safetensors import SafetensorError

            try:
                _write(self.path, np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, 16), vectors)
            except (OSError, SafetensorError) as error:  # the result is there all the same
                logger.warning("the vectors cannot be kept in %s: %s", settings.cache_dir, error)


def _read(path: Path) -> tuple[dict[bytes, int], np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if path.is_file():
        try:
            held = load_file(path)
        except (SafetensorError, OSError) as error:
            logger.warning("%s cannot be read and is made anew: %s", path, error)
        else:
            return {row.tobytes(): i for i, row in enumerate(held["patches"])}, held["vectors"]
    return {}, np.empty((0, 0), np.float32)


def _write(path: Path, digests: np.ndarray, vectors: np.ndarray) -> None:
    """Whole or not at all, also where two processes write the same."""
    from safetensors.numpy import save_file

    with whole_file(path) as file:
        save_file({"patches": digests, "vectors": np.ascontiguousarray(vectors)}, file)
