"""Data to try things on."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "breast_cancer": "multist.datasets._breast_cancer",
        "dlpfc": "multist.datasets._dlpfc",
        "layered_tissue": "multist.datasets._layered_tissue",
        "olfactory_bulb": "multist.datasets._olfactory_bulb",
    },
)
