from ._embed_expression import reduce_expression as reduce_expression
from ._embed_histology import describe_histology as describe_histology
from ._normalize_histology import change_stain as change_stain
from ._normalize_histology import given_reference as given_reference
from ._spatial_graph import join_neighbors as join_neighbors
