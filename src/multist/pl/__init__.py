"""Plots."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "attention": "multist.pl._attention",
        "borders": "multist.pl._borders",
        "domains": "multist.pl._domains",
        "histology": "multist.pl._histology",
        "modality_weights": "multist.pl._modality_weights",
        "n_domains": "multist.pl._n_domains",
        "pseudotime": "multist.pl._pseudotime",
    },
)
