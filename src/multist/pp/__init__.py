"""Preprocessing: histology, expression and the spatial graph."""

from multist._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "read_slide": "multist.pp._read_slide",
        "normalize_histology": "multist.pp._normalize_histology",
        "embed_histology": "multist.pp._embed_histology",
        "embed_expression": "multist.pp._embed_expression",
        "labels_from_shapes": "multist.pp._labels_from_shapes",
        "read_labels": "multist.pp._read_labels",
        "sum_genes": "multist.pp._sum_genes",
        "spatial_graph": "multist.pp._spatial_graph",
    },
)
