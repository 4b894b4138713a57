"""Data to try things on."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "layered_tissue": "multist.datasets._layered_tissue",
    },
)
