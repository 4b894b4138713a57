"""The only room that knows AnnData and SpatialData: the input is resolved here, patches are read, results written."""

from multist.access.expression import gene_names, log_expression
from multist.access.patches import PatchReader
from multist.access.record import SectionImage, SpatialRecord
from multist.access.resolve import resolve
from multist.access.shapes import Drawn, read_drawn, resolve_drawn, write_shapes
from multist.access.tables import SPATIAL_ATTRS, copy_data, find_sections, get_table, listed, read_matrix, section_code
from multist.access.transaction import restored_on_error
from multist.access.write import write_image, write_table

__all__ = [
    "SPATIAL_ATTRS",
    "Drawn",
    "PatchReader",
    "SectionImage",
    "SpatialRecord",
    "copy_data",
    "find_sections",
    "gene_names",
    "get_table",
    "listed",
    "log_expression",
    "read_drawn",
    "read_matrix",
    "resolve",
    "resolve_drawn",
    "restored_on_error",
    "section_code",
    "write_image",
    "write_shapes",
    "write_table",
]
