"""Spatial domains from expression, histology and space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multist import _keys
from multist.tl._clusters import candidate_counts
from multist.tl._inputs import all_or_nothing, as_parts, copied
from multist.tl._model import MultiST

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.model.config import MultiSTConfig


def multist_domains(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData],
    n_domains: int | Sequence[int] | Literal["auto"],
    *,
    use_image: bool | Literal["auto"] = "auto",
    use_rep: str | None = None,
    layer: str | None = None,
    table_key: str | None = None,
    image_key: str | None = None,
    library_key: str | None = None,
    config: MultiSTConfig | None = None,
    consensus: bool = True,
    refine: bool = True,
    resume: str | Path | None = None,
    device: str = "auto",
    random_state: int = 0,
    key_added: str = _keys.MULTIST,
    copy: bool = False,
) -> AnnData | SpatialData | list[AnnData | SpatialData] | None:
    """Find spatial domains from expression, histology and space.

    Each stage that has not been run yet is run with its defaults, and the log says so:
    :func:`multist.pp.embed_expression`, :func:`multist.pp.spatial_graph` and :func:`multist.pp.embed_histology`. What is
    there is reused, so a table that holds only coordinates and an embedding is enough.

    A network fuses both modalities by attention between neighbouring spots. How far the image is trusted follows from
    how well it agrees with expression on held-out tissue: an image that says nothing about the tissue does not count.
    The embedding is then divided by Gaussian mixtures that share one covariance, and lone spots join what surrounds them.

    Parameters
    ----------
    data
        Table with spots or cells, or a list of such objects, which then share one embedding and one set of domains; not
        changed but for the fields below.
    n_domains
        Exact number of domains, from 1 to the number of spots; several to choose from, such as ``range(4, 12)``; or
        ``"auto"``, which chooses from 2 to 20, but no more than one per ten spots. See
        :func:`multist.cluster.count.choose_count` for the rule, and :func:`multist.pl.n_domains` to see the curve.
    use_image
        ``"auto"`` uses the image where there is one in which a spot is at least ten pixels wide, True demands it, False
        ignores it.
    use_rep
        ``obsm`` key of the expression embedding; None takes ``X_pca`` or ``X_feat``, or computes it from counts.
    layer
        Layer of the raw counts, if they are not in ``X``; only read when the embedding has to be computed.
    table_key, image_key
        Table and image of a SpatialData, or image of ``uns["spatial"]``; None finds them.
    library_key
        ``obs`` column that names the section of each spot; spots of different sections are no neighbours.
    config
        Constants of the model; None takes the defaults of :class:`multist.model.config.MultiSTConfig`.
    consensus
        Vote over several numbers of dimensions instead of clustering once.
    refine
        Let spots that stand alone join what surrounds them.
    resume
        Folder in which training keeps how far it is, twice a minute. After an interruption the same call goes on from there
        and gives the bits that it would have given without; None keeps nothing.
    device
        ``"auto"`` or a name torch knows.
    random_state
        Seed. The same input, seed and device give the same bits on the CPU.
    key_added
        Prefix of the fields.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    None, or the changed copy. Fields written to the table, for the default ``key_added``:

    ``obs["multist_domain"]``
        Categorical of strings, "0" being the largest domain; colours in ``uns["multist_domain_colors"]``.
    ``obs["multist_image_weight"]``
        Share of each spot's embedding that the image brought in, 0 to 1.
    ``obs["multist_confidence"]``
        Share of the partitions that agree on the domain.
    ``obsm["X_multist"]``
        (n_obs, n_factors) float32 embedding.
    ``obsp["multist_attention"]``, and with an image ``obsp["multist_image_attention"]``
        (n_obs, n_obs) float32 CSR: how much each spot looked at itself and its neighbours; see :func:`multist.pl.attention`.
    ``uns["multist"]``
        Parameters, versions, losses, the reliability of each image factor, and where there was a number of domains to
        choose, ``"n_domains"``: the candidates, their criteria and stability, and the one chosen.

    Raises
    ------
    KeyError
        If a key does not exist; the message lists those that do.
    ValueError
        If ``n_domains`` does not fit the table, the counts are not counts, or the coordinates are unusable.

    References
    ----------
    MultiST, arXiv 2601.13331; the departures from it are explained in the documentation.

    Examples
    --------
    >>> mt.tl.multist_domains(sdata, 7)
    >>> sq.gr.nhood_enrichment(sdata.tables["table"], cluster_key="multist_domain")
    >>> mt.tl.ligrec(sdata, pairs=pairs)  # sq.gr.ligrec with log-normalised expression and a result that files hold
    >>> sq.pl.ligrec(mt.tl.ligrec_result(sdata, of="ligrec"), alpha=0.01)
    """
    data = copied(data) if copy else data
    stage: dict[str, Any] = {"table_key": table_key, "library_key": library_key}
    parts = as_parts(data, image=False, **stage)
    counts = candidate_counts(n_domains, sum(part.record.table.n_obs for part in parts))
    model = MultiST(config, device=device, random_state=random_state)
    if model.config.clustering_loss and len(counts) > 1:
        raise ValueError(
            "config.clustering_loss needs a number of domains before training; give n_domains as one integer"
        )
    with all_or_nothing(parts):
        model.fit(
            data, n_domains=counts[0], use_image=use_image, use_rep=use_rep, layer=layer, image_key=image_key, resume=resume,
            key_added=key_added, **stage,
        )  # fmt: skip
        model.domains(data, n_domains, consensus=consensus, refine=refine, key_added=key_added, **stage)
    return data if copy else None
