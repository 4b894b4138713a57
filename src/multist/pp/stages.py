"""What each step does to a record, without the user's object; :mod:`multist.tl` runs those that are missing."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "change_stain": "multist.pp._normalize_histology",
        "describe_histology": "multist.pp._embed_histology",
        "given_reference": "multist.pp._normalize_histology",
        "join_neighbors": "multist.pp._spatial_graph",
        "reduce_expression": "multist.pp._embed_expression",
    },
)
