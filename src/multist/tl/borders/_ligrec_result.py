"""A stored result in squidpy's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from multist import _keys
from multist._described import described
from multist.access import get_table, refuse_stale, result_entry
from multist.tl.borders._cluster_test import without_true_labels

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_PAIR, _ENDS = ["source", "target"], ["ligand_domain", "receptor_domain"]


@described
def ligrec_result(
    data: AnnData | SpatialData,
    *,
    of: Literal["interactions", "ligrec"] = "interactions",
    key: str = _keys.MULTIST,
    table_key: str | None = None,
) -> dict[str, pd.DataFrame]:
    """What :func:`~multist.tl.interactions` or :func:`~multist.tl.ligrec` found, in squidpy's form.

    squidpy's form has two levels of columns and sparse values, which neither ``.h5ad`` nor ``.zarr`` can store; so it
    is made from the stored table when it is wanted.

    Parameters
    ----------
    data
        Table with a result, also one that was read from a file.
    of
        The function whose result is taken.
    key
        Name of the result: the ``key_added`` of that function.

    Returns
    -------
    ``"means"`` and ``"pvalues"``, with ``source`` and ``target`` as index and the ligand's and the receptor's domain as
    columns, and ``"metadata"``: squidpy's own values; those of interactions
    are between domains that touch.

    Raises
    ------
    KeyError
        There is no such result.
    ValueError
        ``of`` is neither of the two, or the domains are no longer those that were tested.

    Examples
    --------
    >>> mt.tl.interactions(adata, pairs)
    >>> sq.pl.ligrec(mt.tl.ligrec_result(adata), alpha=0.01)
    """
    if of not in (_keys.INTERACTIONS, _keys.LIGREC):
        raise ValueError(f"of is 'interactions' or 'ligrec', got {of!r}")
    adata = get_table(data, table_key)
    result = result_entry(adata, key, of)
    table, n_perms = result["pairs"], int(result["params"]["n_perms"])
    named = pd.unique(table[_ENDS].to_numpy().ravel())
    refuse_stale(adata, result["params"], f"uns[{key!r}][{of!r}]", f"tl.{of}", named)
    table = table.astype(dict.fromkeys(_PAIR + _ENDS, str))
    table["pvalue"] = without_true_labels(table["cluster_pvalue"].to_numpy(), n_perms)
    frames = {}
    for name, column, fill in (("means", "mean", 0), ("pvalues", "pvalue", np.nan)):
        wide = table.pivot(index=_PAIR, columns=_ENDS, values=column)
        wide = wide.sort_index(axis=1).rename_axis(columns=[None, None])
        # squidpy draws rows in the order of their labels, but marks significant ones in the order of the table
        frames[name] = wide.loc[sorted(wide.index, key=" | ".join)].astype(pd.SparseDtype(float, fill))
    return frames | {"metadata": pd.DataFrame(index=frames["means"].index)}
