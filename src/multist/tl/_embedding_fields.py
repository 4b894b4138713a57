"""What an embedding leaves in the tables, and what domains that are recognised in it do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from multist import _keys
from multist.access import write_table
from multist.tl._clusters import plain, write_domains
from multist.tl._inputs import Part, Tissue, gather_tissue, split

if TYPE_CHECKING:
    from anndata import AnnData

    from multist.cluster.assign import DomainClassifier
    from multist.model.fitted import FusionModel
    from multist.model.training import Embedding

_RELIABILITY = "image_reliability"
_VERSIONS = ("multist", "torch", "scanpy", "squidpy", "anndata", "spatialdata", "numpy", "scikit-learn")


def write_embedding(
    parts: Sequence[Part],
    tissue: Tissue,
    fusion: FusionModel,
    embedding: Embedding,
    params: dict[str, Any],
    key_added: str,
) -> None:
    """Code, image weight, attention and parameters into every table."""
    from multist.model.graph import with_self

    keys = with_self(tissue.adjacency)
    matrices = {_keys.attention_key(key_added): embedding.attention}
    if embedding.image_attention is not None:
        matrices[_keys.image_attention_key(key_added)] = embedding.image_attention
    attention = {
        name: split(parts, sparse.csr_matrix((weight, keys.indices, keys.indptr), shape=keys.shape))
        for name, weight in matrices.items()
    }
    params = params | {"model": identity(fusion)}
    uns: dict[str, Any] = {
        "versions": {name: version(name) for name in _VERSIONS},
        "losses": {name: np.asarray(values) for name, values in embedding.losses.items()},
    }
    if fusion.tokenizer.image is not None:
        uns[_RELIABILITY] = fusion.tokenizer.image.reliability
    rows = zip(parts, split(parts, embedding.code), split(parts, embedding.image_weight), strict=True)
    for number, (part, code, weight) in enumerate(rows):
        table = part.record.table
        _forget_image(table, set(attention) | set(uns), key_added)
        own = plain(params | {"shape": list(table.shape)})
        write_table(
            part.record,
            obs={_keys.image_weight_key(key_added): weight},
            obsm={_keys.embedding_key(key_added): code},
            obsp={name: matrices[number] for name, matrices in attention.items()},
            uns={key_added: uns | {"params": own}},
        )


def _forget_image(table: AnnData, written: set[str], key_added: str) -> None:
    """Remove what an earlier embedding with an image has left, as far as it is not replaced."""
    stale = _keys.image_attention_key(key_added)
    if stale in table.obsp and stale not in written:
        del table.obsp[stale]
    before = table.uns.get(key_added, {})
    if _RELIABILITY in before and _RELIABILITY not in written:
        table.uns[key_added] = {name: value for name, value in before.items() if name != _RELIABILITY}


def write_recognised(
    parts: Sequence[Part], classifier: DomainClassifier, *, refine: bool, key_added: str, **stage: Any
) -> None:
    """Domains of an embedding by what a model knows."""
    from multist.cluster.refine import majority_vote

    tissue = gather_tissue(parts, **stage)
    code = np.concatenate([part.record.table.obsm[_keys.embedding_key(key_added)] for part in parts])
    labels, probability = classifier(code)
    if refine:
        labels = majority_vote(labels, tissue.adjacency)
    names = [str(k) for k in range(len(classifier.offset))]
    own = plain({"n_domains": len(names), "n_domains_asked": None, "refine": refine, **stage})
    for part, codes, confidence in zip(parts, split(parts, labels), split(parts, probability), strict=True):
        obs = {"domain": pd.Categorical.from_codes(codes, names), "confidence": confidence}
        before = part.record.table.uns.get(key_added, {}).get("params", {})
        write_domains(part.record, obs, {"params": {**before, **own}}, key_added)


def made_by(table: AnnData, fusion: FusionModel, key_added: str) -> bool:
    """Whether the embedding in a table is of this model."""
    params = table.uns.get(key_added, {}).get("params", {})
    return _keys.embedding_key(key_added) in table.obsm and params.get("model") == identity(fusion)


def identity(fusion: FusionModel) -> str:
    """A number that no other fit shares."""
    digest = hashlib.sha256()
    for name, array in sorted(fusion.to_parts()[1].items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
