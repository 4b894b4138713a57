"""The steps of :class:`multist.MultiST`: parts and a fitted model go in, fields and a fitted model come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist import _keys
from multist._device import check_device
from multist._threads import steady_threads
from multist.access import check_layer, decisions_of
from multist.cluster.assign import DomainClassifier
from multist.cluster.neighbour_prior import neighbour_prior, prior_weight
from multist.cluster.stroke_views import scale_views
from multist.model.fitted import FusionModel
from multist.tl.domains._cluster_domains import Asked, divide_parts
from multist.tl.domains._embedding_fields import made_by, write_embedding, write_recognised
from multist.tl.domains._fitted_model import FittedModel, KnownDomains
from multist.tl.domains._guided import embedded_sources
from multist.tl.domains._inputs import Tissue, features_of, gather_histology, gather_tissue, takes_image
from multist.tl.domains._recipe import Recipe, fitted_expression

if TYPE_CHECKING:
    from multist.access import Part
    from multist.model.config import MultiSTConfig


def fit_parts(
    parts: Sequence[Part],
    config: MultiSTConfig,
    n_centres: int,
    *,
    use_image: bool | Literal["auto"],
    use_rep: str | None,
    layer: str | None,
    key_added: str,
    device: str,
    random_state: int,
    params: Mapping[str, Any],
) -> FittedModel:
    """Train, and write the embedding; ``params`` are those that named table, sections and image."""
    check_device(device)  # refused before training
    _check_layers(parts, layer)
    with steady_threads():
        expression, key, axes = fitted_expression(
            parts, use_rep, layer=layer, library_key=params["library_key"], random_state=random_state
        )
        tissue = gather_tissue(parts, on_image=True)
        histology = gather_histology(parts, params["image_key"]) if takes_image(parts, use_image) else None
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
        recipe = Recipe.of(parts, key, axes, with_image=fusion.n_image > 0)
        all_params = {
            "expression_key": key,
            "components_kept": recipe.kept_in(parts),
            "with_image": fusion.n_image > 0,
            "device": device,
            "random_state": random_state,
            "use_image": use_image,
            "layer": layer,
            **params,
            **asdict(config),
        }
        write_embedding(parts, fusion, embedding, all_params, key_added)
    return FittedModel(fusion, recipe, tissue.section_names, len(tissue.xy), random_state)


@decisions_of("embed")
def embed_parts(
    fitted: FittedModel,
    parts: Sequence[Part],
    *,
    layer: str | None,
    key_added: str,
    device: str,
    params: Mapping[str, Any],
) -> None:
    """Write the embedding of sections that the model was not fitted on.

    ``params`` are those that named table, sections and image.
    """
    check_device(device)
    fusion, recipe = fitted.fusion, fitted.recipe
    _check_layers(parts, layer)
    with steady_threads():
        tissue = gather_tissue(parts)
        expression = recipe.expression_of(parts, layer, fusion, tissue)
        histology = recipe.histology_of(parts, params["image_key"])
        embedding = fusion.embed(expression, histology, tissue.adjacency, tissue.section, device=device)
        all_params = {
            "expression_key": recipe.expression_key,
            "components_kept": recipe.kept_in(parts),
            "with_image": histology is not None,
            "device": device,
            "fitted_on": list(fitted.fitted_on),
            "layer": layer,
            **params,
            **asdict(fusion.config),
        }
        write_embedding(parts, fusion, embedding, all_params, key_added)


def cluster_parts(
    fitted: FittedModel,
    parts: Sequence[Part],
    asked: Asked,
    *,
    refine: bool,
    key_added: str,
    random_state: int,
    params: Mapping[str, Any],
) -> FittedModel:
    """Divide the model's embedding, write the domains, and give the model that knows them."""
    key, tables = _keys.embedding_key(key_added), [part.table for part in parts]
    if not all(made_by(table, fitted.fusion, key_added) for table in tables):
        raise ValueError(f"obsm[{key!r}] is not of this model: run its fit or embed first")
    guided = divide_parts(
        parts,
        asked,
        use_rep=key,
        refine=refine,
        key_added=key_added,
        random_state=random_state,
        params=params,
    )
    column = _keys.domain_key(key_added)
    names = tuple(tables[0].obs[column].cat.categories)
    colors = tuple(map(str, tables[0].uns[f"{column}_colors"]))
    if guided is not None:
        return replace(fitted, domains=KnownDomains(names, colors, guided.found.classifier, guided.sources))
    points = np.concatenate([table.obsm[key] for table in tables])
    codes = np.concatenate([table.obs[column].cat.codes.to_numpy(dtype=np.int64) for table in tables])
    share = fitted.fusion.structured_share
    prior = neighbour_prior(points, gather_tissue(parts).adjacency, share) if prior_weight(share) else None
    classifier = DomainClassifier.fit(points, codes, len(names), prior)
    return replace(fitted, domains=KnownDomains(names, colors, classifier))


@decisions_of("cluster_domains")
def recognise_parts(
    fitted: FittedModel,
    domains: KnownDomains,
    parts: Sequence[Part],
    *,
    refine: bool,
    layer: str | None,
    key_added: str,
    params: Mapping[str, Any],
) -> None:
    """Write the domains that the model knows into sections that it has embedded."""
    _check_layers(parts, layer)
    with steady_threads():
        tissue = gather_tissue(parts)
        code = features_of(parts, _keys.embedding_key(key_added))
        if isinstance(domains.classifier, DomainClassifier):
            probability = domains.classifier.predict(code)
        else:
            sources = _sources(fitted, domains, parts, tissue, code, layer=layer)
            probability = domains.classifier.predict(scale_views(sources, tissue.adjacency), tissue.adjacency)
        write_recognised(parts, domains, probability, tissue, refine=refine, key_added=key_added, params=params)


def _check_layers(parts: Sequence[Part], layer: str | None) -> None:
    for part in parts:
        check_layer(part.table, layer)


def _sources(
    fitted: FittedModel,
    domains: KnownDomains,
    parts: Sequence[Part],
    tissue: Tissue,
    code: np.ndarray,
    *,
    layer: str | None,
) -> dict[str, np.ndarray]:
    """What the guided classifier is to see of each spot by itself."""
    recipe, image, components = fitted.recipe, fitted.fusion.image, None
    if "components" in domains.sources:
        if recipe.kept_in(parts):
            components = features_of(parts, recipe.expression_key)
        else:
            components = recipe.expression_of(parts, layer, fitted.fusion, tissue)
    # not n_image_dimensions: models of 0.2 took some dimensions of the published network for the image's
    n_image = len(image.averaging.center) if image is not None and "image" in domains.sources else 0
    found = embedded_sources(code, n_image, components)
    return {name: found[name] for name in domains.sources}
