"""Visium's spots beside the tissue, which tables hold that nobody has filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multist._settings import logger

if TYPE_CHECKING:
    from anndata import AnnData


def lies_on_glass(table: AnnData) -> np.ndarray:
    """(n_obs,) bool. Spots that ``obs["in_tissue"]`` says lie beside the tissue."""
    if "in_tissue" not in table.obs:
        return np.zeros(table.n_obs, dtype=bool)
    return (pd.to_numeric(table.obs["in_tissue"], errors="coerce") == 0).to_numpy()


def warn_of_glass(table: AnnData, which: str = "") -> None:
    """Warn of spots beside the tissue, which are domains and ends of an order for what little they hold.

    Parameters
    ----------
    table
        The table.
    which
        What the message starts with, to tell several tables apart.
    """
    n_beside = int(lies_on_glass(table).sum())
    if n_beside:
        logger.warning(
            "%s%d of %d spots lie beside the tissue (obs['in_tissue'] is 0) and are taken for tissue: leave them out "
            "by adata[adata.obs['in_tissue'] == 1].copy(), and embed the expression of the others anew",
            which,
            n_beside,
            table.n_obs,
        )
