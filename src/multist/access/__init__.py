"""The only room that knows AnnData and SpatialData: the input is resolved here, patches are read, results written."""

from multist.access.absent import advice, listed, not_found, result_entry
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
from multist.access.palette import colors_of, stored_colors
from multist.access.patches import PatchReader, unstained_sections
from multist.access.record import SectionImage, SpatialRecord
from multist.access.resolve import resolve, resolve_shown
from multist.access.run import (
    ONE_AT_A_TIME,
    Part,
    as_list,
    check_whole,
    decisions_of,
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
