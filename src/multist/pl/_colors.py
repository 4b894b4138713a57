"""Which colour stands for which category, shared by the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist._missing import as_name, as_names
from multist._palette import domain_colors, spare_colors
from multist.access import not_found, stored_colors

if TYPE_CHECKING:
    from anndata import AnnData


def as_layer_values(values: pd.Series, *, whole_numbers_are_categories: bool = False) -> pd.Series:
    """A column as floats if it holds numbers, else as a categorical of strings; missing values are NaN.

    Parameters
    ----------
    values
        Any column of ``obs``.
    whole_numbers_are_categories
        Take a column of whole numbers for names, as known regions often are.
    """
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.astype(float)
        if not (whole_numbers_are_categories and (numbers.dropna() % 1 == 0).all()):
            return numbers
        values = numbers.astype("Int64")
    return as_names(values)


def obs_values(obs: pd.DataFrame, key: str, argument: str) -> pd.Series:
    """Column ``key`` of ``obs`` as :func:`as_layer_values` gives it, whole numbers as names.

    Raises
    ------
    KeyError
        If there is no such column; the error names the caller's ``argument`` and lists the columns that exist.
    """
    if key not in obs:
        raise not_found(key, "obs", obs.columns, argument=argument)
    return as_layer_values(obs[key], whole_numbers_are_categories=True)


def obs_names(obs: pd.DataFrame, key: str, argument: str) -> pd.Series:
    """Column ``key`` of ``obs`` as a categorical of names.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If it holds numbers that are no names.
    """
    values = obs_values(obs, key, argument)
    if not isinstance(values.dtype, pd.CategoricalDtype):
        raise ValueError(f"{argument} {key!r} holds numbers that are no names; give another column")
    return values


def category_colors(
    tables: Sequence[AnnData],
    key: str,
    values: pd.Series,
    palette: str | Sequence[str] | Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Colour of each category of ``obs[key]``: the user's if there is one for each, else new ones.

    Parameters
    ----------
    tables
        The tables whose rows ``values`` are.
    key
        Name of the column.
    values
        The column as :func:`obs_values` gives it.
    palette
        Colours to take instead: by category, in the order of the categories, or the name of a colour map.

    Returns
    -------
    Category to colour, in the order of the categories.

    Raises
    ------
    ValueError
        If ``palette`` lacks colours.
    """
    categories = list(values.cat.categories)
    stored = _stored_colors(tables, key)
    usual = (
        {name: stored[name] for name in categories}
        if stored.keys() >= set(categories)
        else dict(zip(categories, domain_colors(len(categories)), strict=True))
    )
    if palette is None:
        return usual
    if isinstance(palette, Mapping):
        return usual | {str(name): color for name, color in palette.items() if str(name) in usual}
    colors = _from_map(palette, len(categories)) if isinstance(palette, str) else list(palette)
    if len(colors) < len(categories):
        raise ValueError(f"palette has {len(colors)} colours for the {len(categories)} categories of {key!r}")
    return dict(zip(categories, colors, strict=False))


def _stored_colors(tables: Sequence[AnnData], key: str) -> dict[str, str]:
    """Colours that the tables' ``uns`` hold for categories; the first table that has one decides."""
    found: dict[str, str] = {}
    for table in tables:
        if key in table.obs:
            found = (stored_colors(table, key) or {}) | found
    return found


def _from_map(name: str, n: int) -> list[str]:
    """Colours of a listed map in their order, or evenly spaced ones of a continuous map."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    cmap = mpl.colormaps[name]
    listed = cmap.N < 256
    at = np.arange(n) if listed and n <= cmap.N else np.linspace(0, 1, n)
    return [to_hex(color) for color in np.asarray(cmap(at))]


def store_colors(tables: Sequence[AnnData], key: str, colors: dict[str, str]) -> None:
    """Write ``uns[f"{key}_colors"]`` where a categorical column has none that can be used, as scanpy does.

    A view is left alone.
    """
    for table in tables:
        column = table.obs[key]
        if not isinstance(column.dtype, pd.CategoricalDtype) or table.is_view:
            continue
        if stored_colors(table, key) is None:
            table.uns[f"{key}_colors"] = [colors[name] for name in map(as_name, column.cat.categories)]


def matched_colors(values: pd.Series, other: pd.Series, colors: dict[str, str]) -> dict[str, str]:
    """Colours for the categories of ``values`` that repeat those of the most similar categories of ``other``.

    Each category of ``values`` is paired with at most one of ``other`` such that the pairs share as many observations
    as possible (linear assignment, Kuhn 1955); what is left over gets colours that ``other`` does not use.

    Parameters
    ----------
    values, other
        Categorical columns of the same observations.
    colors
        Category of ``other`` to colour.

    Returns
    -------
    Category of ``values`` to colour, in the order of the categories.
    """
    from scipy.optimize import linear_sum_assignment

    both_named = (values.notna() & other.notna()).to_numpy()
    shared = np.zeros((len(values.cat.categories), len(other.cat.categories)), dtype=np.int64)
    np.add.at(shared, (values.cat.codes.to_numpy()[both_named], other.cat.codes.to_numpy()[both_named]), 1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    partner = {row: column for row, column in zip(rows, columns, strict=True) if shared[row, column]}
    spare = spare_colors(shared.shape[0], colors.values())
    names = list(other.cat.categories)
    return {
        category: colors[names[partner[row]]] if row in partner else next(spare)
        for row, category in enumerate(values.cat.categories)
    }
