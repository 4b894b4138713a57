"""Other domains from an embedding that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from multist import _keys
from multist.access import copy_data, resolve, restored_on_error
from multist.tl._clusters import candidate_counts, divide, ensure_graph, plain, told_if_interrupted, write_domains

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_VERSIONS = ("multist", "torch", "numpy", "scikit-learn")


def cluster_domains(
    data: AnnData | SpatialData,
    n_domains: int | Sequence[int] | Literal["auto"],
    *,
    use_rep: str = _keys.embedding_key(),
    table_key: str | None = None,
    library_key: str | None = None,
    refine: bool = True,
    consensus: bool = True,
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | None:
    """Divide an embedding into domains, as :func:`multist.tl.multist_domains` does after training, without training.

    With the same number, seed and ``use_rep`` the domains are those of :func:`multist.tl.multist_domains`. Any other
    embedding will do as well.

    Parameters
    ----------
    data
        Table with spots or cells and an embedding; not changed but for the fields below.
    n_domains
        Exact number of domains; several to choose from, such as ``range(4, 12)``; or ``"auto"``, which chooses from 2 to
        20, but no more than one per ten spots. See :func:`multist.cluster.count.choose_count` for the rule.
    use_rep
        ``obsm`` key of the embedding.
    table_key
        Table of a SpatialData; None finds it.
    library_key
        ``obs`` column that names the section of each spot; spots of different sections are no neighbours.
    refine
        Let spots that stand alone join what surrounds them.
    consensus
        Vote over several numbers of dimensions instead of clustering once.
    key_added
        Prefix of the fields.
    random_state
        Seed.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    None, or the changed copy. Fields written to the table, for the default ``key_added``: ``obs["multist_domain"]``,
    ``obs["multist_confidence"]`` and ``uns["multist_domain_colors"]`` as :func:`multist.tl.multist_domains` writes them,
    and in ``uns["multist"]`` the parameters, the versions and, where there was a number to choose, ``"n_domains"``, the curve.
    Parameters of the training are kept.

    Raises
    ------
    KeyError
        If there is no ``use_rep``; the message lists what there is.
    ValueError
        If ``n_domains`` does not fit the table, or the embedding has values that are not finite.

    Examples
    --------
    >>> mt.tl.multist_domains(adata, 7)
    >>> mt.tl.cluster_domains(adata, 12, key_added="fine")  # obs["fine_domain"]
    """
    if copy:
        data = copy_data(data)
    record = resolve(data, table_key=table_key, library_key=library_key, image=False)
    table = record.table
    counts = candidate_counts(n_domains, table.n_obs)
    if use_rep not in table.obsm:
        found = ", ".join(map(repr, table.obsm)) or "nothing"
        raise KeyError(f"use_rep {use_rep!r} not found in obsm; found: {found}. tl.multist_domains makes 'X_multist'")
    code = np.asarray(table.obsm[use_rep])
    if code.ndim != 2 or not np.isfinite(code).all():
        raise ValueError(f"obsm[{use_rep!r}] must be a matrix of finite values; its shape is {code.shape}")
    stages = {"table_key": table_key, "library_key": library_key}
    with told_if_interrupted(), restored_on_error(table):
        ensure_graph(data, record, **stages)
        obs, uns = divide(
            code, table.obsp[_keys.CONNECTIVITIES], counts,
            consensus=consensus, refine=refine, random_state=random_state,
        )  # fmt: skip
        own = {
            "n_domains": len(obs["domain"].categories), "n_domains_asked": n_domains, "use_rep": use_rep,
            "consensus": consensus, "refine": refine, "random_state": random_state, **stages,
        }  # fmt: skip
        before = table.uns.get(key_added, {})
        kept = {field: before[field] for field in ("params", "versions") if isinstance(before.get(field), Mapping)}
        uns["params"] = {**kept.get("params", {}), **plain(own)}
        uns["versions"] = {**kept.get("versions", {}), **{name: version(name) for name in _VERSIONS}}
        write_domains(record, obs, uns, key_added)
    return data if copy else None
