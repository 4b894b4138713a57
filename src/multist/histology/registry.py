"""Whatever turns patches into vectors, by name or as an object."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._device import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from multist.histology.pretrained import Pretrained


BUILT_IN = "texture"
"""The encoder that needs no weights; it works on the whole image rather than on patches."""


class PatchEncoder:
    """A frozen network or function from patches to vectors.

    Parameters
    ----------
    function
        From (n, 3, h, w) float32 in [0, 1] to (n, d): a :class:`torch.nn.Module` or any callable, which gets a tensor.
    name
        What is written into the parameters.
    device
        Where the batches go: a name torch knows, or ``"auto"``.
    pixels
        Side of the patches it is given.
    pretrained
        What is known of a model that has a name. On a GPU it runs in half precision; functions and modules of a user
        run in their own.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        device: str = "auto",
        pixels: int = 224,
        pretrained: Pretrained | None = None,
    ) -> None:
        self.function = function
        self.name = name
        self.pixels = pixels
        self.pretrained = pretrained
        self._device_name = device

    @property
    def precision(self) -> str:
        """``"float16"`` for a named model on a CUDA device, else ``"float32"``."""
        on_gpu = choose_device(self._device_name).startswith("cuda")
        return "float16" if on_gpu and self.pretrained is not None else "float32"

    @contextmanager
    def frozen(self) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
        """Give a function from (n, h, w, 3) uint8 to (n, d) float32; put a module's mode and device back afterwards."""
        import torch

        device = torch.device(choose_device(self._device_name))
        network = self.function if isinstance(self.function, torch.nn.Module) else None
        modes = {} if network is None else {module: module.training for module in network.modules()}
        home = None if network is None else next((p.device for p in network.parameters()), None)
        try:
            if network is not None:
                network.eval().to(device)
            with torch.no_grad():
                yield lambda patches: self._encode(patches, torch, device)
        finally:
            for module, mode in modes.items():
                module.training = mode
            if network is not None and home is not None:
                network.to(home)

    def _encode(self, patches: np.ndarray, torch: Any, device: torch.device) -> np.ndarray:
        batch = torch.from_numpy(np.ascontiguousarray(patches.transpose(0, 3, 1, 2))).to(device).float().div_(255)
        if self.pretrained is not None:
            batch = self.pretrained.transform(batch)
        with torch.autocast(device.type, torch.float16, enabled=self.precision == "float16"):
            result = self.function(batch)
        vectors = result.detach().float().cpu().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
        if vectors.ndim != 2 or len(vectors) != len(patches):
            raise ValueError(
                f"encoder {self.name!r} must return (n, d) for n patches; "
                f"got shape {tuple(vectors.shape)} for {len(patches)} patches"
            )
        vectors = vectors.astype(np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError(f"encoder {self.name!r} returned values that are not finite")
        return vectors


def get_encoder(encoder: str | Callable[..., Any], *, device: str = "auto") -> PatchEncoder:
    """Make an encoder of patches from its name or from an object.

    Parameters
    ----------
    encoder
        A :class:`torch.nn.Module`, or any callable from a (n, 3, h, w) float32 tensor in [0, 1] to a (n, d) tensor or
        array; or a model as ``"timm:NAME_OR_FOLDER"`` or ``"transformers:NAME_OR_FOLDER"``, with its own preprocessing.
        A ``pixels`` attribute of the object, if it has one, is the side of the patches it is given; else 224.
    device
        ``"auto"`` or any name torch knows.

    Raises
    ------
    ValueError
        If the name is unknown, or ``pixels`` is no whole number above zero.
    TypeError
        If it is neither a name nor callable.
    ImportError
        If the library of a named model is not installed.
    OSError
        If a named model cannot be fetched.
    """
    if isinstance(encoder, str):
        from multist.histology.pretrained import LIBRARIES, load_pretrained

        library, _, name = encoder.partition(":")
        if library not in LIBRARIES or not name:
            raise ValueError(
                f"encoder {encoder!r} is unknown; built in: {BUILT_IN!r}; or give a torch module, "
                "a callable, or a model as 'timm:NAME_OR_FOLDER' or 'transformers:NAME_OR_FOLDER'"
            )
        model = load_pretrained(encoder)
        return PatchEncoder(model.network, encoder, device=device, pixels=model.transform.resize, pretrained=model)
    if not callable(encoder):
        raise TypeError(f"encoder must be a name, a torch module or a callable; got {type(encoder).__name__}")
    name = getattr(encoder, "__qualname__", type(encoder).__qualname__)
    pixels = getattr(encoder, "pixels", 224)
    if not isinstance(pixels, Integral) or pixels < 1:
        raise ValueError(f"pixels of encoder {name!r} must be a whole number of at least 1; got {pixels!r}")
    return PatchEncoder(encoder, name, device=device, pixels=int(pixels))
