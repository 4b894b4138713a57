"""Plots."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "domains": "multist.pl._domains",
        "histology": "multist.pl._histology",
        "n_domains": "multist.pl._n_domains",
    },
)
