"""What :class:`multist.MultiST` does in each of its steps: a fitted model goes in, fields of tables and a fitted model come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist import _keys
from multist._threads import steady_threads
from multist.access import get_table
from multist.cluster.assign import DomainClassifier
from multist.model.config import MultiSTConfig
from multist.model.fitted import FusionModel
from multist.tl._cluster_domains import divide_embedding
from multist.tl._embedding_fields import made_by, write_embedding, write_recognised
from multist.tl._fitted_model import FittedModel, KnownDomains
from multist.tl._guided import embedded_sources, read_strokes, views_of
from multist.tl._inputs import (
    Part,
    Tissue,
    all_or_nothing,
    as_list,
    as_parts,
    features_of,
    gather_histology,
    gather_tissue,
    takes_image,
)
from multist.tl._recipe import Recipe, fitted_expression

if TYPE_CHECKING:
    from anndata import AnnData


def count_centres(
    data: Any,
    config: MultiSTConfig,
    n_domains: Any,
    labels_key: str | None,
    unlabeled_category: str | None,
    **stage: Any,
) -> int:
    """How many domains the published method is to look for; refuses what cannot be clustered, before training."""
    if labels_key is not None:
        parts = as_parts(data, image=False, **stage)
        strokes = read_strokes(parts, labels_key, unlabeled_category, n_domains=n_domains)
        return len(strokes.names) + strokes.n_more
    if config.losses is not None and n_domains is None:
        raise ValueError("the published method needs a number of domains before training; give n_domains")
    return n_domains or 1


def fit_model(
    data: Any,
    config: MultiSTConfig,
    n_centres: int,
    *,
    use_image: bool | Literal["auto"],
    use_rep: str | None,
    layer: str | None,
    image_key: str | None,
    key_added: str,
    device: str,
    random_state: int,
    **stage: Any,
) -> FittedModel:
    """Train, and write the embedding."""
    embedded = all(_keys.HISTOLOGY in table.obsm for table in _tables(data, stage["table_key"]))
    parts = as_parts(data, image_key=image_key, image="auto" if embedded and use_image else use_image, **stage)
    with all_or_nothing(parts), steady_threads("torch", "sklearn.cluster"):
        expression, key, axes = fitted_expression(parts, use_rep, layer=layer, **stage)
        tissue = gather_tissue(parts, **stage)
        with_image = takes_image(parts, use_image)
        histology = gather_histology(parts, image_key=image_key, **stage) if with_image else None
        fusion, embedding = FusionModel.fit(
            expression,
            histology,
            tissue.adjacency,
            tissue.xy,
            config,
            section=tissue.section,
            n_domains=n_centres,
            device=device,
            random_state=random_state,
        )
        params = {
            "expression_key": key,
            "with_image": fusion.n_image > 0,
            "device": device,
            "random_state": random_state,
            "use_image": use_image,
            "layer": layer,
            "image_key": image_key,
            **stage,
            **asdict(config),
        }
        write_embedding(parts, fusion, embedding, params, key_added)
        recipe = Recipe.of(parts, key, axes, with_image=fusion.n_image > 0)
    return FittedModel(fusion, recipe, tissue.section_names, len(tissue.xy), random_state)


def embed_sections(
    fitted: FittedModel,
    data: Any,
    *,
    layer: str | None,
    image_key: str | None,
    key_added: str,
    device: str,
    **stage: Any,
) -> None:
    """Write the embedding of sections that the model was not fitted on."""
    fusion, recipe = fitted.fusion, fitted.recipe
    embedded = all(_keys.HISTOLOGY in table.obsm for table in _tables(data, stage["table_key"]))
    wanted = recipe.histology is not None and not embedded
    parts = as_parts(data, image_key=image_key, image=wanted, **stage)
    with all_or_nothing(parts), steady_threads("torch", "sklearn.cluster"):
        tissue = gather_tissue(parts, **stage)
        expression = recipe.expression_of(parts, layer, fusion, tissue)
        histology = recipe.histology_of(parts, image_key=image_key, **stage)
        embedding = fusion.embed(expression, histology, tissue.adjacency, tissue.section, device=device)
        params = {
            "expression_key": recipe.expression_key,
            "with_image": histology is not None,
            "device": device,
            "fitted_on": list(fitted.fitted_on),
            "layer": layer,
            "image_key": image_key,
            **stage,
            **asdict(fusion.config),
        }
        write_embedding(parts, fusion, embedding, params, key_added)


def find_domains(
    fitted: FittedModel, data: Any, n_domains: Any, *, key_added: str, table_key: str | None, **call: Any
) -> FittedModel:
    """Divide the model's embedding, write the domains, and give the model that knows them."""
    key, tables = _keys.embedding_key(key_added), _tables(data, table_key)
    if not all(made_by(table, fitted.fusion, key_added) for table in tables):
        raise ValueError(f"obsm[{key!r}] is not of this model: run its fit or embed first")
    guided = divide_embedding(data, n_domains, use_rep=key, key_added=key_added, table_key=table_key, **call)
    column = _keys.domain_key(key_added)
    names = tuple(tables[0].obs[column].cat.categories)
    colors = tuple(map(str, tables[0].uns[f"{column}_colors"]))
    if guided is not None:
        return replace(fitted, known=KnownDomains(names, colors, guided.found.classifier, guided.sources))
    points = np.concatenate([table.obsm[key] for table in tables])
    codes = np.concatenate([table.obs[column].cat.codes.to_numpy(dtype=np.int64) for table in tables])
    return replace(fitted, known=KnownDomains(names, colors, DomainClassifier.fit(points, codes, len(names))))


def recognise(
    fitted: FittedModel,
    data: Any,
    *,
    refine: bool,
    layer: str | None,
    image_key: str | None,
    key_added: str,
    device: str,
    **stage: Any,
) -> None:
    """Write the domains that the model knows; what has no embedding of the model yet is embedded."""
    known = fitted.known
    if known is None:
        raise RuntimeError("this model knows no domains: call .cluster(data, n_domains) on the fitted sections first")
    if refine and known.sources:
        raise ValueError("refine=True is a vote, which erases thin domains; after strokes there is none: leave it out")
    parts = as_parts(data, image=False, **stage)
    with all_or_nothing(parts), steady_threads("torch", "sklearn.cluster"):
        if not all(made_by(table, fitted.fusion, key_added) for table in _tables(data, stage["table_key"])):
            embed_sections(fitted, data, layer=layer, image_key=image_key, key_added=key_added, device=device, **stage)
        tissue = gather_tissue(parts, **stage)
        code = features_of(parts, _keys.embedding_key(key_added))
        if isinstance(known.classifier, DomainClassifier):
            probability = known.classifier.predict(code)
        else:
            sources = _sources(fitted, known, parts, tissue, code, layer=layer, key_added=key_added)
            probability = known.classifier.predict(
                views_of(sources, tissue.adjacency), tissue.adjacency, section=tissue.section
            )
        write_recognised(parts, known, probability, tissue, refine=refine, key_added=key_added, **stage)


def _sources(
    fitted: FittedModel,
    known: KnownDomains,
    parts: Sequence[Part],
    tissue: Tissue,
    code: np.ndarray,
    *,
    layer: str | None,
    key_added: str,
) -> dict[str, np.ndarray]:
    """What the guided classifier is to see of each spot by itself."""
    components = None
    if "components" in known.sources:
        key = fitted.recipe.expression_key
        tables = [part.record.table for part in parts]
        fitted_here = all(key in table.obsm and "fitted_on" not in table.uns[key_added]["params"] for table in tables)
        # a section that was not fitted may hold components on axes of its own under the same name
        components = (
            features_of(parts, key) if fitted_here else fitted.recipe.expression_of(parts, layer, fitted.fusion, tissue)
        )
    n_image = 0 if fitted.fusion.image is None else len(fitted.fusion.image.averaging.center)
    found = embedded_sources(code, n_image, components)
    return {name: found[name] for name in known.sources}


def _tables(data: Any, table_key: str | None) -> list[AnnData]:
    return [get_table(each, table_key) for each in as_list(data)]
