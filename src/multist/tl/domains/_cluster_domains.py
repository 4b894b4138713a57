"""Other domains from an embedding that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from multist import _keys
from multist._described import described
from multist._missing import as_names
from multist.access import Part, decisions_of, embedding_params, get_table, plain, run, stored_colors, versions
from multist.tl.domains._clusters import candidate_counts, labels_and_curve, write_division
from multist.tl.domains._embedding_fields import structured_share
from multist.tl.domains._guided import Guided, Strokes, guide, guided_columns, read_strokes, spot_sources
from multist.tl.domains._inputs import features_of, gather_tissue, split

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@described
def cluster_domains(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData],
    n_domains: int | Sequence[int] | Literal["auto"] | None = None,
    *,
    labels_key: str | None = None,
    unlabeled_category: str | None = None,
    trust: float = 1.0,
    use_rep: str = _keys.embedding_key(),
    table_key: str | None = None,
    library_key: str | None = None,
    refine: bool = False,
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | list[AnnData | SpatialData] | None:
    """Divide an embedding into domains, as :func:`multist.tl.multist_domains` does after training, without training.

    With the same number, seed and ``use_rep`` the domains are those of :func:`multist.tl.multist_domains`, whose
    ``uns["multist"]`` tells how much space structures. Any other embedding will do as well, and is divided as one of
    spots is.

    Parameters
    ----------
    data
        Table with spots or cells and an embedding, or a list of them; not changed but for the fields below.
    use_rep
        ``obsm`` key of the embedding.

    Returns
    -------
    None, or the changed copy. Fields written to the table, for the default ``key_added``: ``obs["multist_domain"]``,
    ``obs["multist_confidence"]`` and ``uns["multist_domain_colors"]`` as :func:`multist.tl.multist_domains` writes
    them, and in ``uns["multist"]`` the parameters, the versions and, where there was a number to choose,
    ``"n_domains"``, the curve. Parameters of the training are kept. With ``labels_key`` also
    ``obsm["multist_probability"]``, (n_obs, n_domains) float64, and in ``uns["multist"]["guided"]`` the classes in its
    order, the share of strokes that were recognised while they were held out, and the spots whose strokes all others
    contradict (``"doubted"``).

    Raises
    ------
    KeyError
        If there is no ``use_rep``; the message lists what there is.
    ValueError
        If ``n_domains`` does not fit the table, the embedding has values that are not finite, ``labels_key`` is a
        column that will be written, or ``trust`` is no probability above 0.

    Examples
    --------
    >>> mt.tl.multist_domains(adata, 7)
    >>> mt.tl.cluster_domains(adata, 12, key_added="fine")  # obs["fine_domain"]
    >>> mt.tl.cluster_domains(adata, labels_key="annotation")  # what a person named on some spots
    """
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    with run(
        data, "cluster_domains", random_state=random_state, key_added=key_added, copy=copy, image=False, **keys
    ) as work:
        divide_parts(
            work.parts,
            asked_domains(
                work.parts, n_domains, labels_key, unlabeled_category, trust=trust, key_added=key_added, refine=refine
            ),
            use_rep=use_rep,
            refine=refine,
            key_added=key_added,
            random_state=random_state,
            params=keys,
        )
    return work.result


class Asked(NamedTuple):
    """How many domains are wanted, or whose.

    Attributes
    ----------
    counts
        Numbers to choose from; with strokes how many domains there are to be.
    strokes
        What a person named, if that is to guide them.
    trust
        Probability that a stroke is right.
    params
        The parameters behind it.
    """

    counts: list[int]
    strokes: Strokes | None
    trust: float
    params: dict[str, Any]


def asked_domains(
    parts: Sequence[Part],
    n_domains: Any,
    labels_key: str | None,
    unlabeled_category: str | None,
    *,
    trust: float,
    key_added: str,
    refine: bool = False,
) -> Asked:
    """Check what is asked for, before any work; raises what :func:`cluster_domains` raises for these."""
    params = {"n_domains_asked": n_domains, "labels_key": labels_key}
    if labels_key is None:
        counts = candidate_counts(n_domains, sum(part.table.n_obs for part in parts))
        return Asked(counts, None, trust, params)
    from multist.cluster.guided import check_trust

    if not isinstance(labels_key, str):
        raise TypeError(f"labels_key is the name of a column of obs; got {labels_key!r}")
    check_trust(trust)
    if labels_key in (_keys.domain_key(key_added), _keys.confidence_key(key_added), _keys.image_weight_key(key_added)):
        raise ValueError(
            f"labels_key names obs[{labels_key!r}], where results will be written, and the strokes would be lost: "
            "copy them to another column, or give another key_added"
        )
    with decisions_of("cluster_domains"):
        strokes = read_strokes(parts, labels_key, unlabeled_category, n_domains=n_domains, refine=refine)
    params |= {"unlabeled_category": unlabeled_category, "trust": trust}
    return Asked([len(strokes.names) + strokes.n_more], strokes, trust, params)


@decisions_of("cluster_domains")
def divide_parts(
    parts: Sequence[Part],
    asked: Asked,
    *,
    use_rep: str,
    refine: bool,
    key_added: str,
    random_state: int,
    params: Mapping[str, Any],
) -> Guided | None:
    """The stage of :func:`cluster_domains`.

    ``params`` are further ones to be kept. Gives what recognises named domains elsewhere.
    """
    code = features_of(parts, use_rep)
    if code.ndim != 2:
        raise ValueError(f"obsm[{use_rep!r}] must be a matrix; its shape is {code.shape}")
    tissue = gather_tissue(parts)
    all_params = {**asked.params, "use_rep": use_rep, "refine": refine, "random_state": random_state, **params}
    guided, colors, probability, doubted = None, None, [None] * len(parts), None
    if asked.strokes is not None:
        sources = spot_sources(parts, use_rep)
        guided = guide(sources, tissue, asked.strokes, trust=asked.trust, random_state=random_state)
        obs, uns, colors = guided_columns(guided.found, asked.strokes)
        probability = split(parts, guided.found.probability)
        doubted = split(parts, np.isin(np.arange(len(code)), guided.found.doubted))
    else:
        obs, uns = labels_and_curve(
            code,
            tissue.adjacency,
            asked.counts,
            structured_share=structured_share(parts, use_rep),
            refine=refine,
            random_state=random_state,
        )
        colors = _earlier_colors(
            parts, _keys.domain_key(key_added), list(obs["domain"].categories), params["table_key"]
        )
    all_params["n_domains"] = len(obs["domain"].categories)
    columns = {name: split(parts, values) for name, values in obs.items()}
    for number, part in enumerate(parts):
        kept = embedding_params(part.table, key_added)
        told = uns | {"params": {**kept, **plain(all_params)}, "versions": versions()}
        if doubted is not None:
            names = part.table.obs_names[doubted[number]].to_numpy(str)
            told[_keys.GUIDED] = {**uns[_keys.GUIDED], "doubted": names}
        values = {name: each[number] for name, each in columns.items()}
        write_division(part, values, told, key_added, colors=colors, probability=probability[number])
    return guided


def _earlier_colors(parts: Sequence[Part], key: str, names: list[str], table_key: str | None) -> list[str] | None:
    """Colours that a table holds for domains of these names from an earlier run, where the user may have chosen them.

    One that several sections have is to look alike in all, so that those of the first table that has any are taken.
    """
    for part in parts:
        table = get_table(part.data, table_key)  # a new embedding has removed them from the draft
        if key in table.obs and list(as_names(table.obs[key]).cat.categories) == names:
            colors = stored_colors(table, key)
            if colors is not None:
                return list(colors.values())
    return None
