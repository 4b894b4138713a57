"""The colours of categories, as they are stored beside a column of ``obs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._settings import logger

if TYPE_CHECKING:
    from anndata import AnnData


def stored_colors(table: AnnData, key: str) -> dict[str, str] | None:
    """Colour of each category of ``obs[key]`` in ``uns[f"{key}_colors"]``; None where one is missing or no colour.

    They may be names, RGB or RGBA rows in the order of the categories, or a dict. Opacity is kept.
    """
    from matplotlib.colors import is_color_like, to_hex

    categories = [str(name) for name in table.obs[key].astype("category").cat.categories]
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
        colors = [str(c) if isinstance(c, str) else to_hex(c, keep_alpha=len(c) == 4) for c in chosen]
        return dict(zip(categories, colors, strict=True))
    if len(chosen):
        logger.info("uns['%s_colors'] holds no colour for some of the categories: new ones are taken", key)
    return None
