from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from multist import _keys
from multist._described import described
from multist._report.page import Page, write_page
from multist._report.parts import all_parts, tissue
from multist._report.result import Result
from multist._settings import logger
from multist._words import counted
from multist.access import check_whole

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@described
def report(
    data: AnnData | SpatialData,
    path: str | Path,
    key: str = _keys.MULTIST,
    *,
    title: str | None = None,
    cluster_key: str | None = None,
    n_markers: int = 6,
    layer: str | None = None,
    gene_symbols: str | None = None,
    table_key: str | None = None,
    image_key: str | None = "auto",
    library_key: str | None = None,
) -> Path:
    """Write a result as one page to hand on: a file that holds its figures, and asks nothing of the network.

    The page has the tissue with its domains over the H&E image, with a slider between them; the sizes of the domains
    and their markers; where the image counted; borders and pairs; pseudotime; and what was decided, with which
    parameters and versions. What was not computed is left out, and named at the end with the function that computes it.
    It prints on A4.

    Parameters
    ----------
    data
        Table with domains and coordinates.
    path
        File to write, ``"report.html"``, of no other suffix than ``.html`` or ``.htm``; folders are made.
    title
        Title of the page; by default the names of the sections.
    cluster_key
        ``obs`` column of the domains; None takes those of the result.
    n_markers
        Genes that are listed of each domain.
    layer
        Layer with counts or log-normalised expression, for markers and trends; None takes the first of ``X``, a layer
        of counts and ``raw`` that holds such.
    gene_symbols
        Column of ``var`` with the names to write, where ``var_names`` are identifiers.
    image_key
        Image to show; ``"auto"`` takes the only one, as it was scanned, and None none.

    Returns
    -------
    The path that was written.

    Raises
    ------
    KeyError
        If there are no domains, or a key does not exist; the message lists what there is.
    ValueError
        If ``n_markers`` is no whole number above zero, or ``path`` has another suffix.

    Notes
    -----
    Markers are the genes of Welch's t-test of each domain against all other spots, on log-normalised expression; of
    more than 20,000 spots a sample is tested. Writes ``uns[f"{cluster_key}_colors"]`` where the domains have no colours
    yet; nothing else.

    Examples
    --------
    >>> mt.tl.multist_domains(sdata, n_domains=7)
    >>> mt.report(sdata, "report.html")
    """
    from multist import __version__

    check_whole(n_markers=n_markers)
    suffix = Path(path).suffix
    if suffix.lower() not in ("", ".html", ".htm"):
        raise ValueError(
            f"a report is a page of HTML, which {Path(path).name!r} would not say: give a name that ends in .html; a "
            "browser prints it to PDF"
        )
    result = Result.of(
        data,
        key,
        cluster_key=cluster_key,
        n_markers=n_markers,
        layer=layer,
        gene_symbols=gene_symbols,
        table_key=table_key,
        image_key=image_key,
        library_key=library_key,
    )
    picture = tissue(result)
    page = Page(title or result.heading, result.summary, picture)
    for name, found in all_parts(result):
        if isinstance(found, str):
            page.left_out.append((name, found))
        else:
            page.parts.append(found)
    page.made_by = f"multist {__version__}, {date.today().isoformat()}"
    written = write_page(page, path)
    logger.info("%s: %.1f MB, %s", written, written.stat().st_size / 1e6, counted(len(page.parts), "part"))
    return written
