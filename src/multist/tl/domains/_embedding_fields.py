"""What an embedding leaves in the tables, and what domains that are recognised in it do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from multist import _keys
from multist._settings import logger
from multist.access import Part, division_params, embedding_params, listed, plain, versions
from multist.tl.domains._clusters import write_division
from multist.tl.domains._inputs import Tissue, embedding_entry, split

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.model.fitted import Embedding, FusionModel
    from multist.tl.domains._fitted_model import KnownDomains


def write_embedding(
    parts: Sequence[Part],
    fusion: FusionModel,
    embedding: Embedding,
    params: dict[str, Any],
    key_added: str,
) -> None:
    """Code, image weight, attention and parameters into every table."""
    params = params | {"model": identity(fusion)}
    uns: dict[str, Any] = {
        "versions": versions(),
        "losses": embedding.losses,
        "image_gain": fusion.gain,
        "n_image_dimensions": fusion.n_image_dimensions,
        "structured": fusion.expression.averaging.structured,
        _keys.STRUCTURED_SHARE: fusion.structured_share,
    }
    attention = [None] * len(parts) if embedding.attention is None else split(parts, embedding.attention)
    rows = zip(parts, split(parts, embedding.code), split(parts, embedding.image_weight), attention, strict=True)
    for part, code, weight, listened in rows:
        key = _keys.attention_key(key_added)
        if listened is None:
            cast("Any", part.table).drop("obsp", key)  # of an earlier embedding
        part.write(
            obs={_keys.image_weight_key(key_added): weight},
            obsm={_keys.embedding_key(key_added): code},
            obsp={} if listened is None else {key: listened},
        )
        kept = division_params(part.table, key_added)  # if the embedding is the same as before, so are its domains
        new = kept | plain(params | {"shape": list(part.table.shape)})
        part.write(uns={key_added: uns | {"params": new}})


def structured_share(parts: Sequence[Part], use_rep: str) -> float:
    """How much of what an embedding was made of space structures, on average over the spots of which it is known.

    One where it is not known of any, as of an embedding that somebody else made.
    """
    held = [(embedding_entry(part.table, use_rep), part.table.n_obs) for part in parts]
    told = [(entry[_keys.STRUCTURED_SHARE], n) for entry, n in held if _keys.STRUCTURED_SHARE in entry]
    if told:
        shares, sizes = zip(*told, strict=True)
        return float(np.average(shares, weights=sizes))
    if use_rep == _keys.embedding_key():
        logger.info(
            "how much space structures of what obsm[%r] was made of is not known, so that domains are found as among "
            "spots; of single cells, run tl.multist_domains",
            use_rep,
        )
    return 1.0


def write_recognised(
    parts: Sequence[Part],
    domains: KnownDomains,
    probability: np.ndarray,
    tissue: Tissue,
    *,
    refine: bool,
    key_added: str,
    params: Mapping[str, Any],
) -> None:
    """Domains that a model knows, from the (n, k) probability of each."""
    from multist.cluster.refine import majority_vote

    labels = probability.argmax(axis=1)
    confidence = probability.max(axis=1)
    if refine:
        labels = majority_vote(labels, tissue.adjacency)
    absent = [name for code, name in enumerate(domains.names) if not (labels == code).any()]
    if absent:
        logger.info(
            "no spot was recognised as %s, of %d domains that the model knows: they are not there, or look different",
            listed(absent),
            len(domains.names),
        )
    all_params = {"n_domains": len(domains.names), "n_domains_asked": None, "labels_key": None, "refine": refine}
    all_params = plain(all_params | {"use_rep": _keys.embedding_key(key_added), **params})
    uns = {_keys.GUIDED: {"classes": list(domains.names)}} if domains.sources else {}
    rows = zip(parts, *(split(parts, values) for values in (labels, confidence, probability)), strict=True)
    for part, codes, sure, each in rows:
        obs = {"domain": pd.Categorical.from_codes(codes, list(domains.names)), "confidence": sure}
        write_division(
            part,
            obs,
            {**uns, "params": {**embedding_params(part.table, key_added), **all_params}},
            key_added,
            colors=list(domains.colors),
            probability=each if domains.sources else None,
        )


def made_by(table: AnnData, fusion: FusionModel, key_added: str) -> bool:
    """Whether the embedding in a table is of this model."""
    key = _keys.embedding_key(key_added)
    return key in table.obsm and embedding_entry(table, key).get("params", {}).get("model") == identity(fusion)


def identity(fusion: FusionModel) -> str:
    """Hexadecimal text that only the same fit from the same seed shares."""
    from multist.model.fitted_parts import parts_of

    digest = hashlib.sha256()
    for name, array in sorted(parts_of(fusion)[1].items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
