"""Tools: spatial domains and what follows from them."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "multist_domains": "multist.tl._multist_domains",
    },
)
