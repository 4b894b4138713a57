"""The only room that knows AnnData and SpatialData: the input is resolved here, patches are read, results written."""

from multist.access.expression import gene_names, log_expression
from multist.access.patches import PatchReader
from multist.access.record import SectionImage, SpatialRecord
from multist.access.resolve import resolve
from multist.access.scale import microns_per_pixel
from multist.access.shapes import spot_polygons
from multist.access.tables import SPATIAL_ATTRS, copy_data, find_sections, get_table, read_matrix
from multist.access.transaction import restored_on_error
from multist.access.write import write_image, write_table

__all__ = [
    "SPATIAL_ATTRS",
    "PatchReader",
    "SectionImage",
    "SpatialRecord",
    "copy_data",
    "find_sections",
    "gene_names",
    "get_table",
    "log_expression",
    "microns_per_pixel",
    "read_matrix",
    "resolve",
    "restored_on_error",
    "spot_polygons",
    "write_image",
    "write_table",
]
