"""The only room that knows AnnData and SpatialData: the input is resolved here, patches are read, results written."""

from multist.access.expression import gene_names, log_expression
from multist.access.patches import PatchReader, black_sections
from multist.access.record import SectionImage, SpatialRecord
from multist.access.resolve import resolve
from multist.access.tables import SPATIAL_ATTRS, copy_data, find_sections, get_table, read_matrix
from multist.access.transaction import restored_on_error
from multist.access.write import write_image, write_table

__all__ = [
    "SPATIAL_ATTRS",
    "PatchReader",
    "SectionImage",
    "SpatialRecord",
    "black_sections",
    "copy_data",
    "find_sections",
    "gene_names",
    "get_table",
    "log_expression",
    "read_matrix",
    "resolve",
    "restored_on_error",
    "write_image",
    "write_table",
]
