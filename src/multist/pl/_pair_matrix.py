"""The strongest ligand-receptor pairs at the borders, as a matrix of circles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist.pl._canvas import PAGE
from multist.pl._layer import NUMBERS
from multist.pl._names import LETTER, LINE, in_lines, longest, pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap

    from multist.pl._look import Look

_LINE, _COLUMN, _SIDE, _BETWEEN = 0.19, 0.25, 0.95, 0.5
"""Inches of a row, a column, of what explains colours and sizes, and of what lies between all these."""
_MIN_HEIGHT = 1.9
"""Inches that the explanation needs in height."""
_MIN_P_VALUE = 1e-5
_LIGHT = 0.18
"""Share of the colour map that is too light for a circle's edge on white."""


def strongest(pairs: pd.DataFrame, n_pairs: int, fdr: float, symbols: Mapping[str, str]) -> pd.DataFrame:
    """The rows to show, with a name for each pair and border, and whether they are significant.

    Of each border and direction the ``n_pairs`` significant ones that are enriched most; where nothing is significant
    anywhere, those with the smallest p-values. A pair that is shown for one border is shown at all borders where it was
    tested; of more borders than a page is wide those where something has the smallest p-values.

    Parameters
    ----------
    pairs
        What :func:`multist.tl.interactions` found.
    n_pairs, fdr
        As in :func:`multist.pl.borders`.
    symbols
        Identifier of a gene to the name to write.
    """
    tested = pairs[pairs["border_pvalue"].notna()]
    named = lambda column: ["_".join(symbols.get(gene, gene) for gene in _parts(name, symbols)) for name in column]
    significant = tested["border_fdr"] <= fdr
    shown = tested.assign(
        pair=[f"{one} – {two}" for one, two in zip(named(tested["source"]), named(tested["target"]), strict=True)],
        border=[
            # a column has room for two lines, one for each domain
            pair(str(one).replace("\n", " "), "→", str(two).replace("\n", " "))
            for one, two in zip(tested["ligand_domain"], tested["receptor_domain"], strict=True)
        ],
        significant=significant,
    )
    by, upwards = ("enrichment", False) if significant.any() else ("border_pvalue", True)
    ranked = shown.sort_values(by, ascending=upwards, kind="stable")
    candidates = ranked[ranked["significant"]] if significant.any() else ranked
    top = candidates.groupby("border", sort=False).head(n_pairs)
    kept = ranked[ranked["pair"].isin(top["pair"])]
    strongest_first = kept.sort_values("border_pvalue", kind="stable")["border"].unique()
    room = PAGE - LETTER * longest(kept["pair"]) - _SIDE - _BETWEEN
    kept = kept[kept["border"].isin(strongest_first[: max(4, int(room / _COLUMN))])]
    return kept.sort_values("border", kind="stable")


def _parts(name: str, symbols: Mapping[str, str]) -> list[str]:
    """Genes of a complex; a gene whose own name has an underscore is one."""
    return [name] if name in symbols else str(name).split("_")


def matrix_inches(shown: pd.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Width and height of the matrix, and the same with its labels and what explains it."""
    inner = _COLUMN * max(shown["border"].nunique(), 4), _LINE * max(shown["pair"].nunique(), 3)
    height = max(inner[1] + LETTER * (longest(map(_label, shown["border"])) or 12) + 0.3, _MIN_HEIGHT)
    return inner, (LETTER * (longest(shown["pair"]) or 12) + inner[0] + _SIDE + _BETWEEN, height + 0.4)


def _label(border: str) -> str:
    """The name of a border, its lines as short as a page needs them."""
    return "\n".join(in_lines(line, 2 * LINE, 1) for line in border.split("\n"))


def draw_pairs(ax: Axes, shown: pd.DataFrame, fdr: float, look: Look) -> str:
    """Circles for pairs (rows) at borders (columns): coloured by enrichment, sized by p-value, full if significant.

    Returns
    -------
    What is seen, as a title.
    """
    from matplotlib.cm import ScalarMappable

    if shown.empty:
        ax.set_axis_off()
        return "no pair was tested"
    pairs, columns = list(dict.fromkeys(shown["pair"])), list(dict.fromkeys(shown["border"]))
    (width, height), _ = matrix_inches(shown)
    ax.set_box_aspect(height / width)
    ax.set_anchor("NW")
    ax.set_xticks(range(len(columns)), list(map(_label, columns)), rotation=90, multialignment="right")
    ax.set_yticks(range(len(pairs)), pairs)
    ax.set(xlim=(-0.6, len(columns) - 0.4), ylim=(len(pairs) - 0.4, -0.6))
    ax.set_xlabel("ligand's domain →\nreceptor's domain")
    ax.grid(color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    colors = ScalarMappable(_norm(shown["enrichment"].to_numpy(), look), look.cmap or _usual_colors())
    for full, group in shown.groupby("significant"):
        rgba = [tuple(color) for color in colors.to_rgba(group["enrichment"])]
        ax.scatter(
            [columns.index(border) for border in group["border"]],
            [pairs.index(pair) for pair in group["pair"]],
            s=_dot_size(group["border_pvalue"].to_numpy()),
            facecolors=rgba if full else "none",
            edgecolors=rgba,
            linewidths=1.2,
        )
    if look.legend_loc != "none":
        _explain(ax, colors, width, height, fdr, empty=not shown["significant"].all())
    return "strongest pairs at the borders" if shown["significant"].any() else "strongest pairs, none significant"


def _usual_colors() -> ListedColormap:
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    return ListedColormap(mpl.colormaps[f"{NUMBERS}_r"](np.linspace(_LIGHT, 1, 256)))


def _norm(enrichment: np.ndarray, look: Look) -> Any:
    from multist.pl._layer import Layer

    # what is not raised at a border need not be told apart
    return Layer("enrichment", pd.Series(np.maximum(enrichment, 0)), limits=(look.vmin or 0.0, look.vmax)).norm()


def _explain(ax: Axes, colors: ScalarMappable, width: float, height: float, fdr: float, *, empty: bool) -> None:
    """Colour bar and sizes, at the right of the matrix and as far as they need in inches."""
    from matplotlib.lines import Line2D

    place = ax.inset_axes((1 + 0.15 / width, 1 - 0.75 / height, 0.09 / width, 0.75 / height))
    bar = ax.figure.colorbar(colors, cax=place, label="enrichment\n(log2)")
    bar.ax.tick_params(length=2, pad=2)
    bar.outline.set_visible(False)
    usual: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": "0.4"}
    steps = {0.05: "p = 0.05", 1e-3: "p = 0.001", _MIN_P_VALUE: "p ≤ 0.00001"}
    sizes = [(label, _dot_size(step) ** 0.5) for step, label in steps.items()]
    handles = [Line2D([], [], markersize=size, label=label, **usual) for label, size in sizes]
    if empty:
        handles.append(Line2D([], [], markersize=5, markerfacecolor="none", label=f"FDR > {fdr:g}", **usual))
    ax.legend(
        handles=handles,
        frameon=False,
        handletextpad=0.2,
        loc="upper left",
        labelspacing=0.4,
        bbox_to_anchor=(1 + 0.05 / width, 1 - 0.85 / height),
        borderpad=0,
    )


def _dot_size(pvalue: Any) -> Any:
    """Area in square points."""
    return 4.0 + 8.0 * -np.log10(np.clip(pvalue, _MIN_P_VALUE, 0.5))
