"""Which colour stands for which category, shared by the plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._palette import domain_colors
from multist._settings import logger

if TYPE_CHECKING:
    from anndata import AnnData


def obs_values(table: AnnData, key: str, argument: str, *, whole_numbers_are_categories: bool = False) -> pd.Series:
    """Column ``key`` of ``table.obs``: floats if it holds numbers, else a categorical of strings.

    Parameters
    ----------
    table
        Annotated spots.
    key
        Name of the column.
    argument
        Name of the caller's argument, for the error.
    whole_numbers_are_categories
        Take a column of whole numbers for names, as known regions often are.

    Returns
    -------
    The column, one value per row of ``table``; missing values are NaN.

    Raises
    ------
    KeyError
        If there is no such column; the error lists those that exist.
    """
    if key not in table.obs:
        found = ", ".join(repr(name) for name in table.obs.columns) or "no column at all"
        raise KeyError(f"{argument} {key!r} not found in the table's obs; found: {found}")
    values = table.obs[key]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.astype(float)
        if not (whole_numbers_are_categories and (numbers.dropna() % 1 == 0).all()):
            return numbers
        values = numbers.astype("Int64")
    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    return values.cat.rename_categories([str(category) for category in values.cat.categories])


def category_colors(table: AnnData, key: str, values: pd.Series) -> dict[str, str]:
    """Colour of each category of ``obs[key]``: the user's if there is one for each, else new ones.

    Parameters
    ----------
    table
        Annotated spots.
    key
        Name of the column.
    values
        The column as :func:`obs_values` gives it.

    Returns
    -------
    Category to colour, in the order of the categories.
    """
    categories = list(values.cat.categories)
    stored = _stored_colors(table, key, categories)
    return dict(zip(categories, stored or domain_colors(len(categories)), strict=True))


def store_colors(table: AnnData, key: str, colors: dict[str, str]) -> None:
    """Write ``uns[f"{key}_colors"]`` where a categorical column has none that can be used, as scanpy does; a view is left alone."""
    usable = _stored_colors(table, key, list(colors)) is not None
    if not usable and isinstance(table.obs[key].dtype, pd.CategoricalDtype) and not table.is_view:
        table.uns[f"{key}_colors"] = list(colors.values())


def _stored_colors(table: AnnData, key: str, categories: list[str]) -> list[str] | None:
    """The user's colours in the order of the categories: names, RGB or RGBA rows, or a dict; None where one is missing or no colour."""
    from matplotlib.colors import is_color_like, to_hex

    stored: Any = table.uns.get(f"{key}_colors", ())
    if isinstance(stored, Mapping):
        by_name = {str(name): color for name, color in stored.items()}
        stored = [by_name.get(category) for category in categories]
    elif np.ndim(stored) == 0:
        stored = ()
    chosen = [
        tuple(color) if isinstance(color, np.ndarray | list) else color for color in list(stored)[: len(categories)]
    ]
    if len(chosen) == len(categories) and all(is_color_like(color) for color in chosen):
        return [str(c) if isinstance(c, str) else to_hex(c, keep_alpha=len(c) == 4) for c in chosen]
    if len(chosen):
        logger.info("uns['%s_colors'] holds no colour for some of the categories: new ones are taken", key)
    return None


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

    known = (values.notna() & other.notna()).to_numpy()
    shared = np.zeros((len(values.cat.categories), len(other.cat.categories)), dtype=np.int64)
    np.add.at(shared, (values.cat.codes.to_numpy()[known], other.cat.codes.to_numpy()[known]), 1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    partner = {row: column for row, column in zip(rows, columns, strict=True) if shared[row, column]}
    used = {color.lower() for color in colors.values()}
    spare = iter([c for c in domain_colors(shared.shape[0] + len(used)) if c.lower() not in used])
    names = list(other.cat.categories)
    return {
        category: colors[names[partner[row]]] if row in partner else next(spare)
        for row, category in enumerate(values.cat.categories)
    }
