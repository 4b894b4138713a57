"""The parts of the page, each from what a function has written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


def _sizes(result: Result) -> Part:
    """How many spots each domain has, and what is known of them."""
    count = result.domains.value_counts(sort=False)
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
    colors, total, rows = result.colors, max(int(count.sum()), 1), []
    for name in result.names:
        share = count[name] / total
        row = [Cell(name, colors[name]), Cell(f"{count[name]:,}", number=True)]
        row.append(Cell(f"{100 * share:.1f} %", colors[name], share / max(count.max() / total, 1e-9), number=True))
        rows.append(
            row
            + [
                Cell(f"{values[name]:.2f}" if np.isfinite(values[name]) else "", number=True)
                for values in shown.values()
            ]
        )
    text = "Each domain's spots, and the medians of what is known of them." if shown else "Each domain's spots."
    unnamed = int(result.domains.isna().sum())
    if unnamed:
        text += f" {counted(unnamed, 'spot is', 'spots are')} in none."
    return Part("Domains", text, tables=[("", Table(["domain", "spots", "share", *shown], rows))])


def _markers(result: Result) -> Part | str:
    return markers(
        result.record.table, result.domains, result.colors, result.layer, result.gene_symbols, result.n_markers
    )


def _count(result: Result) -> Part | str:
    """Why there are as many domains as there are."""
    if not isinstance(result.entry.get(_keys.CURVE), Mapping):
        return "the number was given; n_domains='auto' in tl.multist_domains chooses it"
    figure = pl.n_domains(result.data, result.key, table_key=result.where["table_key"], return_fig=True, show=False)
    text = "How well each number of domains fits, and how far repetitions agree on it."
    return Part("Number of domains", text, [picture(figure, "Criterion and stability of each number of domains")])


def _image(result: Result) -> Part | str:
    """Where the image counted."""
    weight = result.column(_keys.image_weight_key(result.key))
    if weight is None or not np.isfinite(weight).any():
        return "run tl.multist_domains, which writes the weight of the image at each spot"
    figure = pl.modality_weights(
        result.data, result.key, cluster_key=result.cluster_key, return_fig=True, show=False, **result.where
    )
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
        tables = [(_first("Borders", frame), table_of(frame[:_MOST_ROWS], result.colors, ("domain_1", "domain_2")))]
    return Part(
        "Where the image counted", text, [picture(figure, "Weight of the image on the tissue and by domain")], tables
    )


def _pairs(result: Result) -> Part | str:
    """Which domains touch, and which pairs act there."""
    found = result.entry.get(_keys.INTERACTIONS)
    if not isinstance(found, Mapping):
        return "run tl.interactions, which tests ligand-receptor pairs where domains touch"
    figure = pl.borders(
        result.data, result.key, fdr=FDR, gene_symbols=result.gene_symbols, return_fig=True, show=False, **result.where
    )
    pairs = found["pairs"]
    significant = pairs[pairs["border_fdr"] <= FDR].sort_values("border_fdr")
    text = (
        f"Pairs tested: {len(pairs[['source', 'target']].drop_duplicates()):,}, at each border in both directions. "
        f"Significant tests: {len(significant):,} of {int(pairs['border_pvalue'].notna().sum()):,}, at a false "
        f"discovery rate of {FDR:g}, against tissue that was shuffled in patches."
    )
    wanted = ["source", "target", "ligand_domain", "receptor_domain", "enrichment", "border_pvalue", "border_fdr"]
    frame = significant[[name for name in wanted if name in significant]]
    tables = []
    if len(frame):
        tables = [
            (
                _first("Significant pairs", frame),
                table_of(frame[:_MOST_ROWS], result.colors, ("ligand_domain", "receptor_domain")),
            )
        ]
    return Part("Borders and pairs", text, [picture(figure, "Domains that touch, and the strongest pairs")], tables)


def _pseudotime(result: Result) -> Part | str:
    """The place along the tissue."""
    time = result.column(_keys.pseudotime_key(result.key))
    if time is None or not np.isfinite(time).any():
        return "run tl.pseudotime with the domain at which the tissue begins"
    figure = pl.pseudotime(
        result.data,
        result.key,
        gene_symbols=result.gene_symbols,
        layer=result.layer,
        return_fig=True,
        show=False,
        **result.where,
    )
    text = "From 0 at the root to 1, domains in the order of their medians; the genes that rise and fall most along it."
    return Part("Pseudotime", text, [picture(figure, "Pseudotime on the tissue, by domain, and genes along it")])


def _decisions(result: Result) -> Part | str:
    return decisions(result.entry)


def _parameters(result: Result) -> Part | str:
    return parameters(result.record.table.uns, result.key)


def _versions(result: Result) -> Part | str:
    return versions(result.record.table.uns, result.key)


def _first(title: str, frame: pd.DataFrame) -> str:
    return title if len(frame) <= _MOST_ROWS else f"{title}, the first {_MOST_ROWS} of {len(frame):,}"


_PARTS: dict[str, Callable[[Result], Part | str]] = {
    "Domains": _sizes,
    "Markers": _markers,
    "Number of domains": _count,
    "Where the image counted": _image,
    "Borders and pairs": _pairs,
    "Pseudotime": _pseudotime,
    "Decisions": _decisions,
    "Parameters": _parameters,
    "Versions": _versions,
}
"""In the order of the page."""
