"""The parts of the page, each from what a function has written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multist import _keys, pl
from multist._report.markers import FDR, markers
from multist._report.page import Cell, Part, Picture, Table, Tissue, picture, table_of
from multist._report.parameters import decisions, parameters, versions
from multist._report.result import Result
from multist._words import counted
from multist.access import StaleError

_MOST_ROWS = 25
_WIDENING = 2.0
"""How much wider than on a page the picture at the top is."""


def tissue(result: Result) -> Tissue:
    """Domains, and the image under them: the same figure twice, so that both lie on one another."""
    several = len(result.record.section_names) > 1
    common: dict[str, Any] = {"return_fig": True, "show": False, "legend_loc": "none", **result.where}
    if not several:
        common["title"] = ""

    def draw(shows: str, *, transparent: bool, **look: Any) -> Picture:
        figure: Any = pl.domains(result.data, result.cluster_key, **look, **common)
        figure.set_size_inches((_WIDENING if not several else 1.0) * figure.get_size_inches())
        return picture(figure, shows, transparent=transparent)

    if all(image is None for image in result.record.images):
        return Tissue(draw("The domains on the tissue", transparent=False))
    return Tissue(
        draw("The domains on the tissue", transparent=True, img_alpha=0, alpha=1),
        draw("The H&E image of the tissue", transparent=False, img_alpha=1, alpha=0, bw=False),
    )


def all_parts(result: Result) -> Iterator[tuple[str, Part | str]]:
    """Name of each part, and the part or why there is none."""
    for name, part in _PARTS.items():
        try:
            yield name, part(result)
        except StaleError as error:
            yield name, str(error)


def _drawn(shows: str, plot: Callable[..., Any], result: Result, **options: Any) -> list[Picture]:
    """What a plot draws of the result."""
    return [picture(plot(result.data, result.key, return_fig=True, show=False, **options), shows)]


def _first_rows(title: str, frame: pd.DataFrame, result: Result, domains: Sequence[str]) -> list[tuple[str, Table]]:
    """The first rows of a table that has any, with a caption that says so."""
    if frame.empty:
        return []
    caption = title if len(frame) <= _MOST_ROWS else f"{title}, the first {_MOST_ROWS} of {len(frame):,}"
    return [(caption, table_of(frame[:_MOST_ROWS], result.colors, domains))]


def _sizes(result: Result) -> Part:
    """How many spots each domain has, and what is known of them."""
    columns = {
        "confidence": result.column(_keys.confidence_key(result.key)),
        "weight of the image": result.column(_keys.image_weight_key(result.key)),
        "pseudotime": result.column(_keys.pseudotime_key(result.key)),
    }
    shown = {
        name: values.groupby(result.domains, observed=False).median()
        for name, values in columns.items()
        if values is not None and values.any()
    }
    count, rows = result.domains.value_counts(), []
    for name in result.names:
        color, share = result.colors[name], count[name] / count.sum()
        medians = [values[name] for values in shown.values()]
        rows.append(
            [
                Cell(name, color),
                Cell(f"{count[name]:,}", number=True),
                Cell(f"{100 * share:.1f} %", color, count[name] / count.max(), number=True),
                *(Cell(f"{median:.2f}" if np.isfinite(median) else "", number=True) for median in medians),
            ]
        )
    text = "Each domain's spots, and the medians of what is known of them." if shown else "Each domain's spots."
    unnamed = int(result.domains.isna().sum())
    if unnamed:
        text += f" {counted(unnamed, 'spot is', 'spots are')} in none."
    return Part("Domains", text, tables=[("", Table(["domain", "spots", "share", *shown], rows))])


def _count(result: Result) -> Part | str:
    """Why there are as many domains as there are."""
    if not isinstance(result.entry.get(_keys.CURVE), Mapping):
        return "the number was given; n_domains='auto' in tl.multist_domains chooses it"
    shows = "Criterion and stability of each number of domains"
    figures = _drawn(shows, pl.n_domains, result, table_key=result.where["table_key"])
    text = "How well each number of domains fits, and how far repetitions agree on it."
    return Part("Number of domains", text, figures)


def _image(result: Result) -> Part | str:
    """Where the image counted."""
    if result.column(_keys.image_weight_key(result.key)) is None:
        return "run tl.multist_domains, which writes the weight of the image at each spot"
    shows = "Weight of the image on the tissue and by domain"
    figures = _drawn(shows, pl.modality_weights, result, cluster_key=result.cluster_key, **result.where)
    text = "The share of a spot's distance from the mean embedding that the image makes up, from 0 to 1."
    measured, tables = result.entry.get(_keys.BORDER_SHARPNESS), []
    if isinstance(measured, pd.DataFrame) and len(measured):
        text += (
            " At the right, how sharp each border is in either modality: 0.5 is chance, 1 is a clean cut, and a full "
            "circle is sharper than lines drawn within the two domains."
        )
        wanted = [
            "domain_1",
            "domain_2",
            "n_edges",
            "expression",
            "expression_pvalue",
            "expression_fdr",
            "histology",
            "histology_pvalue",
            "histology_fdr",
            "drawn_by",
        ]
        frame = measured[[name for name in wanted if name in measured]].sort_values("n_edges", ascending=False)
        tables = _first_rows("Borders", frame, result, ("domain_1", "domain_2"))
    return Part("Where the image counted", text, figures, tables)


def _pairs(result: Result) -> Part | str:
    """Which domains touch, and which pairs act there."""
    found = result.entry.get(_keys.INTERACTIONS)
    if not isinstance(found, Mapping):
        return "run tl.interactions, which tests ligand-receptor pairs where domains touch"
    shows = "Domains that touch, and the strongest pairs"
    figures = _drawn(shows, pl.borders, result, fdr=FDR, gene_symbols=result.gene_symbols, **result.where)
    pairs = found["pairs"]
    significant = pairs[pairs["border_fdr"] <= FDR].sort_values("border_fdr")
    text = (
        f"Pairs tested: {len(pairs[['source', 'target']].drop_duplicates()):,}, at each border in both directions. "
        f"Significant tests: {len(significant):,} of {int(pairs['border_pvalue'].notna().sum()):,}, at a false "
        f"discovery rate of {FDR:g}, against tissue that was shuffled in patches."
    )
    wanted = ["source", "target", "ligand_domain", "receptor_domain", "enrichment", "border_pvalue", "border_fdr"]
    frame = significant[[name for name in wanted if name in significant]]
    tables = _first_rows("Significant pairs", frame, result, ("ligand_domain", "receptor_domain"))
    return Part("Borders and pairs", text, figures, tables)


def _pseudotime(result: Result) -> Part | str:
    """The place along the tissue."""
    if result.column(_keys.pseudotime_key(result.key)) is None:
        return "run tl.pseudotime with the domain at which the tissue begins"
    shows = "Pseudotime on the tissue, by domain, and genes along it"
    genes: dict[str, Any] = {"gene_symbols": result.gene_symbols, "layer": result.layer}
    figures = _drawn(shows, pl.pseudotime, result, **genes, **result.where)
    text = "From 0 at the root to 1, domains in the order of their medians; the genes that rise and fall most along it."
    return Part("Pseudotime", text, figures)


_PARTS: dict[str, Callable[[Result], Part | str]] = {
    "Domains": _sizes,
    "Markers": markers,
    "Number of domains": _count,
    "Where the image counted": _image,
    "Borders and pairs": _pairs,
    "Pseudotime": _pseudotime,
    "Decisions": decisions,
    "Parameters": parameters,
    "Versions": versions,
}
"""In the order of the page."""
