"""The colours of categories, as they are stored beside a column of ``obs``."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._missing import as_name, as_names
from multist._palette import domain_colors, spare_colors
from multist._settings import logger

if TYPE_CHECKING:
    from anndata import AnnData


def stored_colors(table: AnnData, key: str) -> dict[str, str] | None:
    """Colour of each category of ``obs[key]`` in ``uns[f"{key}_colors"]``; None where one is missing or no colour.

    They may be names, RGB or RGBA rows in the order of the categories, the rows from 0 to 1 or whole numbers to 255, or
    a dict or Series by category. Opacity is kept.
    """
    from matplotlib.colors import is_color_like, to_hex

    categories = [as_name(value) for value in table.obs[key].astype("category").cat.categories]
    stored: Any = table.uns.get(f"{key}_colors", ())
    if isinstance(stored, pd.Series) and set(categories) <= {as_name(name) for name in stored.index}:
        stored = stored.to_dict()
    if isinstance(stored, Mapping):
        by_name = {as_name(name): color for name, color in stored.items()}
        stored = [by_name.get(category) for category in categories]
    elif not isinstance(stored, np.ndarray | list | tuple | pd.Series | pd.Index) or getattr(stored, "ndim", 1) == 0:
        stored = ()
    chosen = [_as_color(color) for color in list(stored)[: len(categories)]]
    present = table.obs[key].astype("category").cat.remove_unused_categories().cat.categories
    # a part of a table may have kept categories that it does not hold, and their colours not
    if len(chosen) == len(present) < len(categories):
        held = dict(zip(map(as_name, present), chosen, strict=True))
        others = spare_colors(len(categories), [color for color in chosen if isinstance(color, str)])
        chosen = [held[category] if category in held else next(others) for category in categories]
    if len(chosen) == len(categories) and all(is_color_like(color) for color in chosen):
        colors = [str(c) if isinstance(c, str) else to_hex(c, keep_alpha=len(c) == 4) for c in chosen]
        return dict(zip(categories, colors, strict=True))
    if len(chosen):
        logger.info("uns['%s_colors'] holds no colour for some of the categories: new ones are taken", key)
    return None


def colors_of(table: AnnData, key: str) -> dict[str, str]:
    """``"#rrggbb"`` of each category of ``obs[key]``: as it is stored, or else as plots colour it."""
    from matplotlib.colors import to_hex

    names = as_names(table.obs[key]).cat.categories
    colors = stored_colors(table, key) or dict(zip(names, domain_colors(len(names)), strict=True))
    return {name: to_hex(color) for name, color in colors.items()}


def _as_color(color: Any) -> Any:
    """A colour as matplotlib takes it: text that h5py left as bytes, rows of whole numbers to 255."""
    if isinstance(color, bytes):
        return color.decode(errors="replace")
    if not isinstance(color, np.ndarray | list | tuple):
        return color
    if not all(isinstance(part, Real) for part in color):
        return None
    row = np.asarray(color)
    return tuple((row / 255 if row.dtype.kind in "iu" and row.max(initial=0) > 1 else row).tolist())
