"""Spatial domains from expression, histology and space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist import _keys
from multist._settings import logger
from multist.access import copy_data, get_table, resolve, restored_on_error
from multist.tl._clusters import candidate_counts, divide, ensure_graph, plain, told_if_interrupted, write_domains

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from multist.access import SpatialRecord
    from multist.model.config import MultiSTConfig

_RESOLVED = 10.0  # pixels per spot or cell diameter, about 5 um per pixel on Visium: coarser than any nucleus
_VERSIONS = ("multist", "torch", "scanpy", "squidpy", "anndata", "spatialdata", "numpy", "scikit-learn")


def multist_domains(
    data: AnnData | SpatialData,
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
    device: str = "auto",
    random_state: int = 0,
    key_added: str = _keys.MULTIST,
    copy: bool = False,
) -> AnnData | SpatialData | None:
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
        Table with spots or cells; not changed but for the fields below.
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
    """
    _check_image_flag(use_image)
    if copy:
        data = copy_data(data)
    embedded = _keys.HISTOLOGY in get_table(data, table_key).obsm
    record = resolve(
        data, table_key=table_key, image_key=image_key, library_key=library_key,
        image="auto" if embedded and use_image else use_image,
    )  # fmt: skip
    counts = candidate_counts(n_domains, record.table.n_obs)
    stages = {"table_key": table_key, "library_key": library_key}
    with told_if_interrupted(), restored_on_error(record.table):
        expression_key = _expression_key(data, record.table, use_rep, layer=layer, random_state=random_state, **stages)
        ensure_graph(data, record, **stages)
        with_image = _histology(data, record, use_image, image_key=image_key, **stages)
        obs, code, uns = _fuse(
            record, counts, expression_key, config, with_image=with_image, consensus=consensus, refine=refine,
            device=device, random_state=random_state,
        )  # fmt: skip
        uns["params"] |= {"use_image": use_image, "layer": layer, "image_key": image_key, **stages}
        uns["params"] = plain(uns["params"] | {"n_domains_asked": n_domains})
        write_domains(record, obs, uns, key_added, **{_keys.embedding_key(key_added): code})
    return data if copy else None


def _check_image_flag(use_image: bool | str) -> None:  # noqa: FBT001
    if use_image not in (True, False, "auto"):
        raise ValueError(f"use_image must be True, False or 'auto'; got {use_image!r}")


def _expression_key(
    data: AnnData | SpatialData, table: AnnData, use_rep: str | None, *, layer: str | None, **stage: Any
) -> str:
    """``obsm`` key of the expression embedding, computed if there is none."""
    if use_rep is not None:
        if use_rep not in table.obsm:
            raise KeyError(
                f"use_rep {use_rep!r} not found in obsm; found: {', '.join(map(repr, table.obsm)) or 'nothing'}"
            )
        return use_rep
    for key in _keys.EXPRESSION_FEATURES:
        if key in table.obsm:
            logger.info("using the expression embedding in obsm[%r]", key)
            return key
    logger.info("no expression embedding found; running pp.embed_expression")
    from multist.pp import embed_expression

    embed_expression(data, layer=layer, **stage)
    return _keys.EXPRESSION


def _histology(data: AnnData | SpatialData, record: SpatialRecord, use_image: bool | str, **stage: Any) -> bool:  # noqa: FBT001
    """Make sure that the histology is embedded if it is wanted and there; say whether it takes part."""
    if use_image is False:
        return False
    table = record.table
    embedded = _keys.HISTOLOGY in table.obsm
    foreign = embedded and "histology" not in table.uns.get(_keys.MULTIST, {})
    if not embedded and not record.has_image:
        logger.info("no image for every section: domains from expression and space alone")
        return False
    if use_image == "auto" and not foreign and record.has_image and np.nanmedian(record.diameter) < _RESOLVED:
        logger.warning(
            "the image is ignored: a spot is only %.1f pixels wide in it, and below %g it shows no morphology; "
            "use_image=True uses it all the same", np.nanmedian(record.diameter), _RESOLVED,
        )  # fmt: skip
        return False
    if embedded:
        logger.info("using the histology embedding in obsm[%r]", _keys.HISTOLOGY)
        return True
    logger.info("no histology embedding found; running pp.embed_histology")
    from multist.pp import embed_histology

    embed_histology(data, **stage)
    return True


def _numbers(features: Any) -> np.ndarray:
    """As an array; float32 stays as it is, because a copy of a million rows is not for nothing."""
    array = np.asarray(features)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _fuse(
    record: SpatialRecord, counts: list[int], expression_key: str, config: MultiSTConfig | None, *,
    with_image: bool, consensus: bool, refine: bool, device: str, random_state: int,
) -> tuple[dict[str, Any], np.ndarray, dict[str, Any]]:  # fmt: skip
    """Columns for ``obs``, the embedding, and the entry for ``uns``."""
    from multist.model.config import MultiSTConfig
    from multist.model.tokens import make_tokens
    from multist.model.training import fit_embedding

    table, config = record.table, config or MultiSTConfig()
    expression = _numbers(table.obsm[expression_key])
    histology = _numbers(table.obsm[_keys.HISTOLOGY]) if with_image else None
    for key, features in ((expression_key, expression), (_keys.HISTOLOGY, histology)):
        if features is not None and not np.isfinite(features).all():
            raise ValueError(f"obsm[{key!r}] has values that are not finite")
    adjacency = table.obsp[_keys.CONNECTIVITIES]
    if config.clustering_loss and len(counts) > 1:
        raise ValueError(
            "config.clustering_loss needs a number of domains before training; give n_domains as one integer"
        )
    tokens = make_tokens(expression, histology, adjacency, record.xy, config, random_state=random_state)
    embedding = fit_embedding(
        tokens, adjacency, config, n_domains=counts[0], xy=record.xy, device=device, random_state=random_state
    )
    obs, curve = divide(
        embedding.code, adjacency, counts, consensus=consensus, refine=refine, random_state=random_state,
        device=embedding.device if embedding.device.startswith("cuda") else "cpu",
    )  # fmt: skip
    obs["image_weight"] = embedding.image_weight
    uns: dict[str, Any] = curve | {
        "params": {
            "n_domains": len(obs["domain"].categories), "expression_key": expression_key, "with_image": with_image, "consensus": consensus,
            "refine": refine, "device": device, "random_state": random_state, "shape": list(table.shape),
            **asdict(config),
        },
        "versions": {name: version(name) for name in _VERSIONS},
        "losses": {name: np.asarray(values) for name, values in embedding.losses.items()},
    }  # fmt: skip
    if tokens.reliability is not None:
        uns["image_reliability"] = tokens.reliability
    return obs, embedding.code, uns
