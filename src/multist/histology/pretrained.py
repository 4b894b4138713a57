"""Vision networks of timm and transformers as patch encoders, by name or from a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from multist.histology.hub import locate
from multist.histology.transform import Transform

if TYPE_CHECKING:
    import torch

_EXTRAS = {"timm": "timm", "transformers": "encoders"}
"""What brings each library along."""
LIBRARIES = tuple(_EXTRAS)


@dataclass(frozen=True)
class Pretrained:
    """A network with its preprocessing, and where it is from.

    Attributes
    ----------
    network
        From (n, 3, h, w) as ``transform`` gives it to (n, d).
    transform
        The preprocessing of the model.
    library
        Name and version of the library that runs it.
    revision, licence
        As the hub states them; empty where they are not known.
    weights
        Digest of all weights.
    """

    network: torch.nn.Module
    transform: Transform
    library: str
    revision: str
    licence: str
    weights: str

    def recorded(self) -> dict[str, Any]:
        """What is written beside the result."""
        names = ("library", "revision", "licence", "weights")
        return {name: getattr(self, name) for name in names} | {"transform": self.transform.recorded()}


def load_pretrained(encoder: str) -> Pretrained:
    """Load a vision model with its own preprocessing.

    Parameters
    ----------
    encoder
        ``"timm:NAME_OR_FOLDER"`` or ``"transformers:NAME_OR_FOLDER"``.

    Raises
    ------
    ImportError
        If the library is not installed, or does not fit torch.
    ValueError
        If the name is none, or the folder holds no model that the library knows.
    OSError
        If the model cannot be fetched; the error says what to do.
    """
    import torch

    library, _, name = encoder.partition(":")
    package = _import(library, encoder)
    room = import_module(f"multist.histology.{library}_model")
    located = locate(room.repository(name, encoder) if library == "timm" else name, encoder)
    # weights that a model does not use may be drawn at random, and nobody's random state is to move
    with torch.random.fork_rng(devices=[]):
        network, transform = room.load(located.folder, encoder)
    stated = getattr(network, "pretrained_cfg", {})  # by timm, beside the weights
    return Pretrained(
        network,
        transform,
        f"{library} {package.__version__}",
        located.revision,
        located.licence or str(stated.get("license") or ""),
        _digest(network),
    )


def _import(library: str, encoder: str) -> Any:
    extra = _EXTRAS[library]
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        raise ImportError(f"encoder {encoder!r} needs {library}: pip install 'multist[{extra}]'") from error
    except RuntimeError as error:  # torchvision, which timm imports, was built for another torch
        raise ImportError(
            f"{library} cannot be imported ({error}): torch and torchvision must be builds for one another, both for "
            "the CPU or both for the same CUDA"
        ) from error


def _digest(network: torch.nn.Module) -> str:
    """Of all weights and buffers, by name."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
