"""What an embedding leaves in the tables, and what domains that are recognised in it do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from multist import _keys
from multist.access import Part, plain, versions
from multist.tl._clusters import write_domains
from multist.tl._inputs import gather_tissue, split

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.cluster.assign import DomainClassifier
    from multist.model.fitted import Embedding, FusionModel


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
        "n_image_dimensions": 0 if fusion.image is None else len(fusion.image.averaging.center),
        "structured": fusion.expression.averaging.structured,
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
            uns={key_added: uns | {"params": plain(params | {"shape": list(part.table.shape)})}},
        )


def write_recognised(
    parts: Sequence[Part],
    classifier: DomainClassifier,
    names: Sequence[str],
    *,
    refine: bool,
    key_added: str,
    params: Mapping[str, Any],
) -> None:
    """Domains of an embedding by what a model knows."""
    from multist.cluster.refine import majority_vote

    tissue = gather_tissue(parts)
    code = np.concatenate([part.table.obsm[_keys.embedding_key(key_added)] for part in parts])
    labels, probability = classifier(code)
    if refine:
        labels = majority_vote(labels, tissue.adjacency)
    own = plain(
        {
            "n_domains": len(names),
            "n_domains_asked": None,
            "refine": refine,
            "use_rep": _keys.embedding_key(key_added),
            **params,
        }
    )
    for part, codes, confidence in zip(parts, split(parts, labels), split(parts, probability), strict=True):
        obs = {"domain": pd.Categorical.from_codes(codes, list(names)), "confidence": confidence}
        before = part.table.uns.get(key_added, {}).get("params", {})
        write_domains(part, obs, {"params": {**before, **own}}, key_added)


def made_by(table: AnnData, fusion: FusionModel, key_added: str) -> bool:
    """Whether the embedding in a table is of this model."""
    params = table.uns.get(key_added, {}).get("params", {})
    return _keys.embedding_key(key_added) in table.obsm and params.get("model") == identity(fusion)


def identity(fusion: FusionModel) -> str:
    """A number that no other fit shares."""
    from multist.model.fitted_parts import parts_of

    digest = hashlib.sha256()
    for name, array in sorted(parts_of(fusion)[1].items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def learnt_classifier(tables: Sequence[AnnData], key_added: str) -> DomainClassifier:
    """What recognises the domains that were just found."""
    from multist.cluster.assign import DomainClassifier

    codes = [table.obs[_keys.domain_key(key_added)].cat.codes.to_numpy(dtype=np.int64) for table in tables]
    n_domains = len(tables[0].obs[_keys.domain_key(key_added)].cat.categories)
    points = [table.obsm[_keys.embedding_key(key_added)] for table in tables]
    return DomainClassifier.fit(np.concatenate(points), np.concatenate(codes), n_domains)
