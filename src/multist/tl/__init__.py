"""Tools: spatial domains and what follows from them."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "MultiSTConfig": "multist.model.config",
        "border_sharpness": "multist.tl._border_sharpness",
        "cluster_domains": "multist.tl._cluster_domains",
        "domain_shapes": "multist.tl._domain_shapes",
        "interactions": "multist.tl._interactions",
        "ligrec": "multist.tl._ligrec",
        "ligrec_result": "multist.tl._ligrec_result",
        "multist_domains": "multist.tl._multist_domains",
        "suggest_labels": "multist.tl._suggest_labels",
        "pseudotime": "multist.tl._pseudotime",
        "write_domains": "multist.tl._write_domains",
    },
)
