from ._embed_expression import embed_expression as embed_expression
from ._embed_histology import embed_histology as embed_histology
from ._labels_from_shapes import labels_from_shapes as labels_from_shapes
from ._normalize_histology import normalize_histology as normalize_histology
from ._read_labels import read_labels as read_labels
from ._read_slide import read_slide as read_slide
from ._spatial_graph import spatial_graph as spatial_graph
from ._sum_genes import sum_genes as sum_genes
