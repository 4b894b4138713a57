"""The only room that knows AnnData and SpatialData: the input is resolved here, patches are read, results written."""

from multist.access.absent import advice, listed, not_found
from multist.access.blocks import Result
from multist.access.coordinates import read_coordinates
from multist.access.expression import (
    Expression,
    Kind,
    check_layer,
    find_expression,
    log_expression,
    shown_expression,
    warn_of_raw_components,
)
from multist.access.genes import (
    gene_names,
    identifiers_advice,
    names_place,
    refuse_twins,
    some_names,
    summed_twins,
    symbols_advice,
    table_with,
)
from multist.access.graph import read_graph
from multist.access.palette import stored_colors
from multist.access.patches import PatchReader, unstained_sections
from multist.access.record import SectionImage, SpatialRecord
from multist.access.resolve import resolve, resolve_shown
from multist.access.run import (
    ONE_AT_A_TIME,
    Part,
    as_list,
    check_whole,
    decisions_of,
    is_whole,
    open_part,
    plain,
    run,
    versions,
)
from multist.access.shapes import read_drawn, resolve_drawn, spot_polygons
from multist.access.stale import StaleError, division_params, domain_params, embedding_params, refuse_stale
from multist.access.tables import (
    SPATIAL_ATTRS,
    check_columns,
    find_sections,
    get_table,
    read_domains,
    read_features,
    refuse_measurements,
    section_code,
    with_table,
)
from multist.access.write import Fields

__all__ = [
    "ONE_AT_A_TIME",
    "SPATIAL_ATTRS",
    "Expression",
    "Fields",
    "Kind",
    "Part",
    "PatchReader",
    "Result",
    "SectionImage",
    "SpatialRecord",
    "StaleError",
    "advice",
    "as_list",
    "check_columns",
    "check_layer",
    "check_whole",
    "decisions_of",
    "division_params",
    "domain_params",
    "embedding_params",
    "find_expression",
    "find_sections",
    "gene_names",
    "get_table",
    "identifiers_advice",
    "is_whole",
    "listed",
    "log_expression",
    "names_place",
    "not_found",
    "open_part",
    "plain",
    "read_coordinates",
    "read_drawn",
    "read_features",
    "read_graph",
    "read_domains",
    "refuse_measurements",
    "refuse_stale",
    "refuse_twins",
    "resolve",
    "resolve_drawn",
    "resolve_shown",
    "run",
    "section_code",
    "shown_expression",
    "some_names",
    "spot_polygons",
    "stored_colors",
    "summed_twins",
    "symbols_advice",
    "table_with",
    "unstained_sections",
    "versions",
    "warn_of_raw_components",
    "with_table",
]
