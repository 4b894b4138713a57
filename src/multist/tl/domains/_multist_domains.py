"""Spatial domains from expression, histology and space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from multist import _keys
from multist._described import described
from multist.access import run
from multist.tl.domains._cluster_domains import asked_domains
from multist.tl.domains._inputs import wanted_image

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.model.config import MultiSTConfig


@described
def multist_domains(
    data: AnnData | SpatialData | Sequence[AnnData | SpatialData],
    n_domains: int | Sequence[int] | Literal["auto"] | None = None,
    *,
    labels_key: str | None = None,
    unlabeled_category: str | None = None,
    trust: float = 1.0,
    use_image: bool | Literal["auto"] = "auto",
    use_rep: str | None = None,
    layer: str | None = None,
    table_key: str | None = None,
    image_key: str | None = None,
    library_key: str | None = None,
    config: MultiSTConfig | None = None,
    refine: bool = False,
    device: str = "auto",
    random_state: int = 0,
    key_added: str = _keys.MULTIST,
    copy: bool = False,
) -> AnnData | SpatialData | list[AnnData | SpatialData] | None:
    """Find spatial domains from expression, histology and space.

    Each stage that has not been run yet is run with its defaults, and the log says so:
    :func:`multist.pp.embed_expression`, :func:`multist.pp.spatial_graph` and :func:`multist.pp.embed_histology`. What
    is there is reused, so a table that holds only coordinates and an embedding is enough.

    Each factor of the expression and of the image is averaged over the surroundings as far as the data says that space
    structures it. Where there is an image, attention decides whom a spot listens to: it is learnt from spots whose
    expression is hidden, whose image asks which of the spots around it are of its tissue. The image takes part if that
    tells hidden spots better on tissue that was held out, and not otherwise. The embedding is then divided by a
    Gaussian mixture with one covariance for all domains.

    Parameters
    ----------
    data
        Table with spots or cells, or a list of such objects, which then share one embedding and one set of domains; not
        changed but for the fields below.

    Returns
    -------
    None, or the changed copy. Fields written to the table, for the default ``key_added``:

    ``obs["multist_domain"]``
        Categorical of strings, "0" being the largest domain; colours in ``uns["multist_domain_colors"]``, where those
        of an earlier run, such as your own, stay if there were as many domains.
    ``obs["multist_image_weight"]``
        Share of a spot's squared distance from the mean, in standard deviations, that the image's dimensions make up, 0
        to 1.
    ``obs["multist_confidence"]``
        Probability of the domain in the mixture.
    ``obsm["multist_probability"]``, with ``labels_key``
        (n_obs, n_domains) float64 probability of each domain, in the order of ``uns["multist"]["guided"]["classes"]``.
    ``obsm["X_multist"]``
        (n_obs, d) float32 embedding: up to 30 dimensions of the expression, then, if the image takes part, up to 10 of
        the image.
    ``obsp["multist_attention"]``, if the image takes part
        (n_obs, n_obs) float32 CSR: how much each spot listened to those within two steps; see
        :func:`multist.pl.attention`.
    ``uns["multist"]``
        Parameters, versions, the course of training, ``"image_gain"``: the share of the error of hidden spots that the
        image takes away, zero if it takes no part; ``"structured"``: the share of each factor of expression that space
        structures; ``"structured_share"``: that of all together, below one half as of single cells; and where there was
        a number of domains to choose, ``"n_domains"``: the candidates, their criteria and stability, and the one
        chosen.

    Raises
    ------
    KeyError
        If a key does not exist; the message lists those that do.
    ValueError
        If ``n_domains`` does not fit the table, the counts are not counts, the coordinates are unusable, or
        ``labels_key`` is the column that will be written.

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
    from multist.model.config import as_config
    from multist.tl.domains._model_steps import cluster_parts, fit_parts

    config = as_config(config)
    keys: dict[str, Any] = {"table_key": table_key, "library_key": library_key, "image_key": image_key}
    image = wanted_image(data, use_image, table_key)
    with run(
        data, "multist_domains", random_state=random_state, key_added=key_added, copy=copy, image=image, **keys
    ) as work:
        # refused before training
        asked = asked_domains(
            work.parts, n_domains, labels_key, unlabeled_category, trust=trust, key_added=key_added, refine=refine
        )
        if config.losses is not None and len(asked.counts) > 1:
            raise ValueError(
                "the published method needs a number of domains before training; give n_domains as one integer"
            )
        made: dict[str, Any] = {"key_added": key_added, "random_state": random_state, "params": keys}
        read: dict[str, Any] = {"use_image": use_image, "use_rep": use_rep, "layer": layer}
        fitted = fit_parts(work.parts, config, asked.counts[0], **read, device=device, **made)
        cluster_parts(fitted, work.parts, asked, refine=refine, **made)
    return work.result
