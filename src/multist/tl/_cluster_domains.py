"""Other domains from an embedding that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from multist import _keys
from multist.tl._clusters import candidate_counts, divide, plain, write_domains
from multist.tl._guided import Guided, guide, guided_columns, read_strokes, spot_sources
from multist.tl._inputs import all_or_nothing, as_parts, copied, features_of, gather_tissue, split

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_VERSIONS = ("multist", "torch", "numpy", "scikit-learn")


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
    device: str = "auto",
    key_added: str = _keys.MULTIST,
    random_state: int = 0,
    copy: bool = False,
) -> AnnData | SpatialData | list[AnnData | SpatialData] | None:
    """Divide an embedding into domains, as :func:`multist.tl.multist_domains` does after training, without training.

    With the same number, seed and ``use_rep`` the domains are those of :func:`multist.tl.multist_domains`. Any other
    embedding will do as well.

    Parameters
    ----------
    data
        Table with spots or cells and an embedding, or a list of them; not changed but for the fields below.
    n_domains
        Exact number of domains; None with ``labels_key`` for those that were named; several to choose from, such as ``range(4, 12)``; or ``"auto"``, which chooses from 2 to
        20, but no more than one per ten spots. See :func:`multist.cluster.count.choose_count` for the rule.
    labels_key
        ``obs`` column in which a person named some spots; missing elsewhere. The domains then are the classes that were named, with their
        names and colours, and as many further ones as ``n_domains`` is larger. See :doc:`/guided`.
    unlabeled_category
        Value of that column that means "not named"; None if these are missing.
    trust
        Probability that a stroke is right, up to 1. Strokes stay as they are if it is 1, and may be overruled below.
    use_rep
        ``obsm`` key of the embedding.
    table_key
        Table of a SpatialData; None finds it.
    library_key
        ``obs`` column that names the section of each spot; spots of different sections are no neighbours.
    refine
        Let spots that stand alone join what surrounds them. It erases domains that are one spot wide.
    device
        Where mixtures of more than 10,000 spots are fitted: ``"auto"`` (an accelerator if there is one) or a name torch knows.
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
    Parameters of the training are kept. With ``labels_key`` also ``obsm["multist_probability"]``, (n_obs, n_domains) float64, and in
    ``uns["multist"]["guided"]`` the classes in its order and the share of strokes that were recognised while they were held out.

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
    >>> mt.tl.cluster_domains(adata, labels_key="annotation")  # what a person named on some spots
    """
    data = copied(data) if copy else data
    divide_embedding(
        data,
        n_domains,
        labels_key=labels_key,
        unlabeled_category=unlabeled_category,
        trust=trust,
        use_rep=use_rep,
        table_key=table_key,
        library_key=library_key,
        refine=refine,
        device=device,
        key_added=key_added,
        random_state=random_state,
    )
    return data if copy else None


def divide_embedding(
    data: Any,
    n_domains: Any,
    *,
    labels_key: str | None,
    unlabeled_category: str | None,
    trust: float,
    use_rep: str,
    table_key: str | None,
    library_key: str | None,
    refine: bool,
    device: str,
    key_added: str,
    random_state: int,
) -> Guided | None:
    """Write what :func:`cluster_domains` finds, and return what recognises it elsewhere if strokes named it."""
    stage = {"table_key": table_key, "library_key": library_key}
    parts = as_parts(data, image=False, **stage)
    counts, strokes, guided = None, None, None
    if labels_key is None:
        counts = candidate_counts(n_domains, sum(part.record.table.n_obs for part in parts))
    else:
        strokes = read_strokes(parts, labels_key, unlabeled_category, n_domains=n_domains, refine=refine)
    code = features_of(parts, use_rep)
    if code.ndim != 2:
        raise ValueError(f"obsm[{use_rep!r}] must be a matrix; its shape is {code.shape}")
    with all_or_nothing(parts):
        tissue = gather_tissue(parts, **stage)
        own: dict[str, Any] = {
            "n_domains_asked": n_domains, "use_rep": use_rep, "refine": refine, "random_state": random_state, **stage,
        }  # fmt: skip
        colors, probability = None, [None] * len(parts)
        if strokes is not None:
            sources = spot_sources(parts, use_rep, key_added)
            guided = guide(sources, tissue, strokes, trust=trust, random_state=random_state)
            obs, uns, colors = guided_columns(guided.found, strokes)
            probability = split(parts, guided.found.probability)
            own |= {"labels_key": labels_key, "unlabeled_category": unlabeled_category, "trust": trust}
        else:
            obs, uns = divide(
                code, tissue.adjacency, counts or [1], refine=refine, random_state=random_state, device=device
            )
            own |= {"labels_key": None}
        own["n_domains"] = len(obs["domain"].categories)
        columns = {name: split(parts, values) for name, values in obs.items()}
        for number, part in enumerate(parts):
            before = part.record.table.uns.get(key_added, {})
            kept = {field: before[field] for field in ("params", "versions") if isinstance(before.get(field), Mapping)}
            own_uns = uns | {
                "params": {**kept.get("params", {}), **plain(own)},
                "versions": {**kept.get("versions", {}), **{name: version(name) for name in _VERSIONS}},
            }
            values = {name: each[number] for name, each in columns.items()}
            write_domains(part.record, values, own_uns, key_added, colors=colors, probability=probability[number])
    return guided
