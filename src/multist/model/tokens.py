"""From raw feature matrices to what the network reads: spatial factors, those of the image weighed by reliability."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from multist.model.common_axes import common_axes, own_axes
from multist.model.config import MultiSTConfig
from multist.model.factors import ENOUGH, LEAST, range_of_neighbourhood, smooth, spatial_factors
from multist.model.reliability import held_out_agreement
from multist.model.sections import Surroundings, offsets_to, section_offsets
from multist.model.tokenizer import Centred, ImageAxes, Tokenizer, as_floats


class Tokens(NamedTuple):
    """Features of one or more sections, row by row.

    Attributes
    ----------
    expression
        (n, p) float64 scores of the expression's spatial factors at single spots; float32 of more than 20,000 spots.
    image
        (n, q) scores of the image's, each scaled by its reliability; None without a usable image.
    tokenizer
        How they were made, to make those of another section.
    section
        (n,) int64 section of each spot.
    """

    expression: np.ndarray
    image: np.ndarray | None
    tokenizer: Tokenizer
    section: np.ndarray

    @property
    def n_hops(self) -> int:
        """Range of a neighbourhood."""
        return self.tokenizer.n_hops

    @property
    def reliability(self) -> np.ndarray | None:
        """Share of each image factor that expression predicts on held-out tissue; None without an image."""
        return None if self.tokenizer.image is None else self.tokenizer.image.reliability


def make_tokens(
    expression: np.ndarray,
    image: np.ndarray | None,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    config: MultiSTConfig,
    *,
    section: np.ndarray | None = None,
    random_state: int = 0,
) -> Tokens:
    """Reduce (n, p) expression and (n, q) image features to the spatial factors that the network reads.

    Sections (``section``, (n,) int from 0; None for a single one) are brought to common axes first if each has its own, and
    centred where that makes them alike.
    """
    section = np.zeros(len(xy), np.int64) if section is None else section
    options: dict[str, Any] = {"center": config.center_sections, "random_state": random_state}
    expression = as_floats(expression)[:, : config.n_expression]
    own = own_axes(expression, section)
    expression = common_axes(expression, adjacency, section)
    expression, known = _alike(expression, adjacency, section, one_scale=True, **options)
    centred = Centred.of(expression)
    features = centred(expression)
    n_hops = config.n_hops or range_of_neighbourhood(features, adjacency)
    loadings = _loadings(features, adjacency, config, n_hops)
    genes = features @ loadings.astype(features.dtype)
    del features, expression
    if image is None:
        return Tokens(genes, None, Tokenizer(n_hops, centred, loadings, known, None, own), section)
    image, known_image = _alike(as_floats(image), adjacency, section, one_scale=False, **options)
    axes = ImageAxes.of(image, config.n_image)
    components = axes(image)
    image_loadings = _loadings(components, adjacency, config, n_hops)
    picture = components @ image_loadings.astype(components.dtype)
    del components, image
    reliability = np.ones(picture.shape[1])
    if config.weigh_image:
        rows = np.arange(len(xy))
        if len(xy) > ENOUGH:
            rows = np.sort(np.random.default_rng(random_state).choice(len(xy), ENOUGH, replace=False))
        smooth_image, smooth_genes = (
            _scaled(smooth(each, adjacency, n_hops)[rows].astype(np.float64)) for each in (picture, genes)
        )
        reliability = held_out_agreement(smooth_image, smooth_genes, xy[rows], random_state=random_state)
    axes = axes._replace(loadings=image_loadings, reliability=reliability, known=known_image)
    return Tokens(genes, axes.weighed(picture, LEAST), Tokenizer(n_hops, centred, loadings, known, axes, own), section)


def tokens_of(
    tokenizer: Tokenizer,
    expression: np.ndarray,
    image: np.ndarray | None,
    adjacency: sp.csr_matrix,
    section: np.ndarray,
) -> Tokens:
    """Tokens of other sections, by what was found on those that the ``tokenizer`` was made for."""
    features = as_floats(expression)[:, : len(tokenizer.centred.mean)]
    features = tokenizer.centred(_brought_to(tokenizer.known, features, adjacency, section))
    genes = features @ tokenizer.loadings.astype(features.dtype)
    if image is None or tokenizer.image is None:
        return Tokens(genes, None, tokenizer, section)
    axes = tokenizer.image
    components = axes(_brought_to(axes.known, as_floats(image), adjacency, section))
    picture = components @ axes.loadings.astype(components.dtype)
    return Tokens(genes, axes.weighed(picture, LEAST), tokenizer, section)


def _alike(
    features: np.ndarray,
    adjacency: sp.csr_matrix,
    section: np.ndarray,
    *,
    center: bool,
    one_scale: bool,
    random_state: int,
) -> tuple[np.ndarray, Surroundings | None]:
    """Features without what sets whole sections apart, and by what other sections are brought to them."""
    if not center:
        return features, None
    offsets, known = section_offsets(features, adjacency, section, one_scale=one_scale, random_state=random_state)
    return (features - offsets.astype(features.dtype)[section] if offsets.any() else features), known


def _brought_to(
    known: Surroundings | None, features: np.ndarray, adjacency: sp.csr_matrix, section: np.ndarray
) -> np.ndarray:
    if known is None:
        return features
    return features - offsets_to(known, features, adjacency, section).astype(features.dtype)[section]


def _loadings(features: np.ndarray, adjacency: sp.csr_matrix, config: MultiSTConfig, n_hops: int) -> np.ndarray:
    return spatial_factors(features, adjacency, config.n_factors, n_hops=n_hops).loadings


def _scaled(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
