"""One column of the spots as it is drawn: its name, its colours and the range of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist import _keys
from multist._palette import MISSING_COLOR
from multist._settings import logger
from multist._words import shown
from multist.access import (
    advice,
    check_layer,
    gene_names,
    listed,
    names_place,
    not_found,
    refuse_twins,
    shown_expression,
    some_names,
    symbols_advice,
    table_with,
)
from multist.pl import _colors

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

    from multist.pl._look import Look
    from multist.pl._slides import Slides

NUMBERS = "plasma"
"""The uniform map of matplotlib that is farthest from the colours of H&E: 33 in CIELAB, where viridis is 6."""
_MISSING_LABEL = "not labelled"
_OTHERS_LABEL = "other"
_MOST_LISTED = 60
"""Categories of a legend: five columns, which are as wide as a page."""
_SAID = {
    _keys.domain_key(): "domains",
    _keys.image_weight_key(): "weight of the image",
    _keys.pseudotime_key(): "pseudotime",
    _keys.confidence_key(): "confidence",
}
"""What the columns that this package writes are called in a figure."""


@dataclass(frozen=True)
class Layer:
    """A column to draw.

    Attributes
    ----------
    key
        Name of the column or gene.
    values
        (n_obs,) categorical of strings, or floats.
    colors
        Category to colour; none for numbers.
    cmap
        Colour map of numbers.
    limits
        Numbers at its two ends; None for those of the values.
    left_out
        Whether there are spots that the user's ``groups`` leave out, beside those without a value.
    unit
        What the numbers are, for their colour bar; may be empty.
    """

    key: str
    values: pd.Series
    colors: dict[str, str] = field(default_factory=dict)
    cmap: str | Colormap = NUMBERS
    limits: tuple[float | str | None, float | str | None] = (None, None)
    left_out: bool = False
    unit: str = ""

    @property
    def label(self) -> str:
        """What it is called in a figure."""
        return _SAID.get(self.key, self.key)

    @property
    def is_numeric(self) -> bool:
        """Whether a colour bar explains it, rather than a legend."""
        return not isinstance(self.values.dtype, pd.CategoricalDtype)

    @property
    def is_crowded(self) -> bool:
        """Whether there are more categories than a legend beside a panel can list."""
        return len(self.drawn_colors) > _MOST_LISTED

    def entries(self) -> dict[str, str]:
        """Colours to explain: the categories that a spot has, and one entry for spots in none of them."""
        if not self.values.isna().any():
            return self.drawn_colors
        return {**self.drawn_colors, (_OTHERS_LABEL if self.left_out else _MISSING_LABEL): MISSING_COLOR}

    @property
    def drawn_colors(self) -> dict[str, str]:
        """Colours of the categories that a spot has."""
        held = set(self.values.unique())
        return {name: color for name, color in self.colors.items() if name in held}

    def norm(self) -> Normalize:
        """The range of the numbers, over all sections."""
        from matplotlib.colors import Normalize

        finite = self.values[np.isfinite(self.values)].to_numpy()
        if not len(finite):
            return Normalize(0, 1)
        low, high = (_limit(asked, finite, end) for asked, end in zip(self.limits, (0, 100), strict=True))
        if low > high and None not in self.limits:
            raise ValueError(f"vmin and vmax are {low:g} and {high:g}: vmin has to be the smaller")
        if low > high:  # all numbers lie beyond the limit that was given
            low, high = (low, low + 1) if self.limits[1] is None else (high - 1, high)
        return Normalize(low, high)

    def rgba(self, rows: np.ndarray, alpha: float) -> np.ndarray:
        """(len(rows), 4) colours; missing values are grey, and what ``groups`` leave out is fainter than the others."""
        import matplotlib as mpl
        from matplotlib.colors import to_rgba, to_rgba_array

        values = self.values.iloc[rows]
        if self.is_numeric:
            cmap = mpl.colormaps[self.cmap] if isinstance(self.cmap, str) else self.cmap
            rgba = np.array(cmap(self.norm()(values.to_numpy())))
        elif self.colors:
            rgba = to_rgba_array(list(self.colors.values()))[values.cat.codes.to_numpy()]
        else:
            rgba = np.zeros((len(rows), 4))
        rgba[:, 3] = alpha
        rgba[values.isna().to_numpy()] = to_rgba(MISSING_COLOR, (0.5 if self.left_out else 1) * alpha)
        return rgba

    def only(self, groups: Sequence[str] | None, of: pd.Series | None = None) -> Layer:
        """The same with no value where the spots belong to other groups.

        Parameters
        ----------
        groups
            Categories to keep; None keeps all.
        of
            Column whose categories they are; None for the layer's own.

        Raises
        ------
        ValueError
            If one is no category.
        """
        groups_of = self.values if of is None else of
        if groups is None or not isinstance(groups_of.dtype, pd.CategoricalDtype):
            return self
        categories = list(groups_of.cat.categories)
        unknown = [name for name in groups if name not in categories]
        if unknown:
            raise ValueError(f"groups {listed(unknown)} not among the categories; found: {listed(categories)}")
        kept = groups_of.isin(groups).to_numpy()
        values = self.values.where(kept)
        colors = self.colors
        if of is None:
            values = values.cat.set_categories([name for name in categories if name in groups])
            colors = {name: color for name, color in colors.items() if name in groups}
        return replace(self, values=values, colors=colors, left_out=bool((~kept).any()))


def _limit(asked: float | str | None, finite: np.ndarray, end: int) -> float:
    """A number, or a percentile of the values."""
    if isinstance(asked, str):
        share = asked.removeprefix("p")
        if not asked.startswith("p") or not share.replace(".", "", 1).isdigit() or not float(share) <= 100:
            raise ValueError(f"vmin and vmax are numbers, or percentiles from 'p0' to 'p100'; got {asked!r}")
        return float(np.percentile(finite, float(share)))
    return float(np.percentile(finite, end)) if asked is None else float(asked)


def numbers_of(look: Look) -> dict[str, Any]:
    """How the options of a call want numbers to be drawn."""
    return {"cmap": look.cmap or NUMBERS, "limits": (look.vmin, look.vmax)}


def domain_layer(slides: Slides, key: str, look: Look) -> Layer:
    """The domains in a column of ``obs``.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If it holds numbers that are no names.
    """
    values = _colors.obs_names(slides.obs, key, "cluster_key")
    return Layer(key, values, _colors.category_colors(slides.tables, key, values, look.palette))


def number_layer(slides: Slides, key: str, look: Look, key_added: str) -> Layer:
    """The numbers that the result ``key_added`` has in a column of ``obs``.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If no spot has a value.
    """
    if key not in slides.obs:
        raise not_found(key, "obs", slides.obs.columns, key_added=key_added)
    values = slides.obs[key].astype(float)
    if not np.isfinite(values).any():
        cure = advice(key, key_added=key_added)
        raise ValueError(f"obs[{key!r}] has no value for any of the {len(values)} spots{cure}")
    return Layer(key, values, **numbers_of(look))


def color_layers(
    slides: Slides, keys: Sequence[str], look: Look, *, layer: str | None, gene_symbols: str | None
) -> list[Layer]:
    """Columns of ``obs`` and genes as layers.

    Raises
    ------
    KeyError
        If one is neither; the error lists what there is.
    """
    for table in slides.tables:
        check_layer(table, layer)
    found = []
    for key in keys:
        colors, unit = dict[str, str](), ""
        is_column = key in slides.obs
        is_both = is_column and _is_gene(slides, key, gene_symbols)
        if is_both and layer is None:
            _tell_that_column_is_drawn(slides, key, gene_symbols)
        # no column has a layer
        if is_column and not (is_both and layer is not None):
            # domains that were numbers in a file are names all the same
            are_names = key.endswith(_keys.domain_key(""))
            values = _colors.as_layer_values(slides.obs[key], whole_numbers_are_categories=are_names)
            if isinstance(values.dtype, pd.CategoricalDtype):
                colors = _colors.category_colors(slides.tables, key, values, look.palette)
        else:
            values, unit = _expression(slides, key, layer, gene_symbols)
        found.append(Layer(key, values, colors, unit=unit, **numbers_of(look)).only(look.chosen))
    return found


def _is_gene(slides: Slides, key: str, gene_symbols: str | None) -> bool:
    return any((gene_names(table, gene_symbols) == key).any() for table in slides.tables)


def _tell_that_column_is_drawn(slides: Slides, key: str, gene_symbols: str | None) -> None:
    """Warn that a column is drawn and not the gene of its name, with what can be done in this table."""
    cure = "give layer=, or rename the column" if all(table.layers for table in slides.tables) else "rename the column"
    logger.warning(
        "%s is in obs and in %s: the column of obs is drawn. For the gene %s",
        shown(key),
        names_place(gene_symbols),
        cure,
    )


def other_labels(slides: Slides, keys: Sequence[str], result: Layer | None, look: Look) -> list[Layer]:
    """Known regions or older results as layers, in the colours of the categories of ``result`` they overlap most."""
    found = []
    for key in keys:
        values, colors = _colors.obs_values(slides.obs, key, "truth_key"), dict[str, str]()
        if isinstance(values.dtype, pd.CategoricalDtype):
            if result is None:
                colors = _colors.category_colors(slides.tables, key, values, look.palette)
            else:
                colors = _colors.matched_colors(values, result.values, result.colors)
        found.append(Layer(key, values, colors, **numbers_of(look)))
    return found


def _expression(slides: Slides, gene: str, layer: str | None, gene_symbols: str | None) -> tuple[pd.Series, str]:
    """Log-normalised expression of a gene in all spots, and whether that is what it is."""
    parts, all_logged, where = [], True, names_place(gene_symbols)
    for table in slides.tables:
        if layer is None:
            table = table_with(table, [gene], gene_symbols)
        names = gene_names(table, gene_symbols)
        at = np.flatnonzero(names == gene)
        if len(at) == 0:
            columns = ", ".join(map(repr, slides.obs.columns)) or "no column"
            nor = f"nor in {where}, which has {some_names(names)}" if len(names) else "and the table has no genes"
            raise KeyError(
                f"color {shown(gene)} not found in obs, which has {columns}, {nor}"
                f"{symbols_advice(table, [gene]) or advice(gene, [*slides.obs.columns, *names])}"
            )
        refuse_twins(names, where, [gene])
        values, logged = shown_expression(table, layer, at)
        all_logged &= logged
        parts.append(values.toarray().ravel())
    return pd.Series(np.concatenate(parts), index=slides.obs.index), "log-normalised" if all_logged else ""
