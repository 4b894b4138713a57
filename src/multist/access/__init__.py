"""The only room that knows AnnData and SpatialData: the input is resolved here, patches are read, results written."""

from multist.access.coordinates import read_coordinates
from multist.access.expression import Expression, Kind, find_expression, gene_names, log_expression
from multist.access.graph import read_graph
from multist.access.lattice import Lattice, find_lattice, lattice_pairs
from multist.access.patches import PatchReader, black_sections
from multist.access.record import SectionImage, SpatialRecord
from multist.access.resolve import resolve
from multist.access.tables import SPATIAL_ATTRS, copy_data, find_sections, get_table, read_features
from multist.access.transaction import restored_on_error
from multist.access.write import write_image, write_table

__all__ = [
    "SPATIAL_ATTRS",
    "Expression",
    "Kind",
    "Lattice",
    "PatchReader",
    "SectionImage",
    "SpatialRecord",
    "black_sections",
    "copy_data",
    "find_expression",
    "find_lattice",
    "find_sections",
    "gene_names",
    "get_table",
    "lattice_pairs",
    "log_expression",
    "read_coordinates",
    "read_features",
    "read_graph",
    "resolve",
    "restored_on_error",
    "write_image",
    "write_table",
]
