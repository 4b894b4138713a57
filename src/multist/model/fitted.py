"""A fitted model: what turns features and a graph into the embedding, of the sections it was fitted on or of others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp

from multist._rows import row_slices
from multist._settings import logger
from multist.model.config import MultiSTConfig
from multist.model.features.averaging import Averaging
from multist.model.features.common_axes import common_axes, component_spread
from multist.model.features.image_axes import ImageAxes
from multist.model.features.image_gain import linear_gain, unit_variance
from multist.model.features.neighbourhood import as_floats
from multist.model.features.sections import Surroundings, offsets_to, section_offsets

if TYPE_CHECKING:
    from multist.model.network.attention import ImageAttention
    from multist.model.network.published import PublishedNetwork

_MAX_DEVIATIONS = 2.5
"""Standard deviations at which a dimension of the embedding ends.

With 2 to 4 the mean agreement changes by .04 at most.
"""
_NEARLY_ALL, _NEARLY_ALL_SPOTS = 0.95, 0.1
"""Weight of the image that leaves nothing to expression, where all but such a share of the spots have it."""


class Embedding(NamedTuple):
    """What a model makes of sections.

    Attributes
    ----------
    code
        (n, d) float32: first the dimensions of the expression, then those of the image.
    image_weight
        (n,) float32. Share of a spot's squared distance from the mean, in standard deviations, that the image's
        dimensions make up; zero without an image.
    attention
        (n, n) float32 CSR of weights with which each spot's image asked the spots around it; None without an image or
        training.
    losses
        Name of each course of training to its values.
    """

    code: np.ndarray
    image_weight: np.ndarray
    attention: sp.csr_matrix | None
    losses: dict[str, np.ndarray]


class Modality(NamedTuple):
    """How one modality's factors become dimensions of the embedding.

    Attributes
    ----------
    averaging
        Weights of a spot and of what surrounds it.
    scale
        By which all of its dimensions are multiplied.
    surroundings
        Averages around spots that other sections are brought to; None if sections are left where they are.
    """

    averaging: Averaging
    scale: float
    surroundings: Surroundings | None

    @classmethod
    def fit(
        cls,
        factors: np.ndarray,
        surroundings: Surroundings | None,
        adjacency: sp.csr_matrix,
        attention: sp.csr_matrix | None,
        *,
        weight: float = 1.0,
        random_state: int = 0,
    ) -> Modality:
        """The averaging of (n, p) factors, and the scale that gives these a total spread of ``weight``."""
        averaging = Averaging.fit(factors, adjacency, attention, random_state=random_state)
        spread = float(np.sqrt(factors.var(axis=0, dtype=np.float64).sum()))
        return cls(averaging, weight / max(spread, 1e-12), surroundings)

    def dimensions(self, factors: np.ndarray, adjacency: sp.csr_matrix, attention: sp.csr_matrix | None) -> np.ndarray:
        """(n, p) dimensions of the embedding before their ends are drawn in."""
        result = self.averaging(factors, adjacency, attention)
        result *= self.scale
        return result


@dataclass(frozen=True)
class _Learnt:
    """What was trained, and what the image adds; the defaults are those of expression alone.

    ``losses`` and ``attention`` go into the :class:`Embedding`, the others into the :class:`FusionModel`.
    """

    gain: float = 0.0
    attention: sp.csr_matrix | None = None
    networks: tuple[ImageAttention, ...] = ()
    published: PublishedNetwork | None = None
    losses: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FusionModel:
    """Averaging of both modalities, attention between them, and where the embedding lies.

    Attributes
    ----------
    config
        Constants.
    expression, image
        Of either modality; ``image`` is None if no image adds anything.
    axes
        From the image's features to its factors; None with ``image``.
    networks
        Attention, an ensemble; empty if nothing was trained.
    gain
        Share of the error of hidden spots on held-out tissue that the image takes away.
    center, spread
        (d,) mean and standard deviation of the dimensions, beyond so many of which they end.
    component_spread
        (m, c) spread of the leading components of expression in the sections that they were made in, see
        :func:`multist.model.features.common_axes.component_spread`; it tells whether others lie on the same axes.
    n_expression
        Number of features of expression that are read.
    published
        Network of the published method in place of all this; None by default.
    """

    config: MultiSTConfig
    expression: Modality
    image: Modality | None
    axes: ImageAxes | None
    networks: tuple[ImageAttention, ...]
    gain: float
    center: np.ndarray
    spread: np.ndarray
    component_spread: np.ndarray
    n_expression: int
    published: PublishedNetwork | None = None

    @classmethod
    def fit(
        cls,
        expression: np.ndarray,
        image: np.ndarray | None,
        adjacency: sp.csr_matrix,
        xy: np.ndarray,
        config: MultiSTConfig,
        *,
        section: np.ndarray | None = None,
        n_domains: int = 1,
        device: str = "auto",
        random_state: int = 0,
    ) -> tuple[FusionModel, Embedding]:
        """Fit to (n, p) expression and (n, q) image features of n spots.

        Sections (``section``, (n,) int from 0; None for a single one) are brought to common axes first if each has its
        own, and centred where that makes them alike.

        Parameters
        ----------
        adjacency
            (n, n) spatial neighbourhoods without the diagonal.
        xy
            (n, 2) coordinates.
        config
            Constants.
        n_domains
            Number of centres of the published clustering loss; unused otherwise.
        device
            ``"auto"`` or a name torch knows.
        random_state
            Seed.
        """
        section = np.zeros(len(xy), np.int64) if section is None else section
        factors = as_floats(expression)[:, : config.n_expression]
        spread_of_components = component_spread(factors, section)
        factors = common_axes(factors, adjacency, section)
        factors, surroundings = _alike(factors, adjacency, section, config, one_scale=True, random_state=random_state)
        axes, image_factors, image_surroundings = None, None, None
        if image is not None:
            features, image_surroundings = _alike(
                as_floats(image), adjacency, section, config, one_scale=False, random_state=random_state
            )
            axes = ImageAxes.of(features, config.n_image)
            image_factors = axes(features)
        learnt = _learn(factors, image_factors, adjacency, xy, section, config, n_domains, device, random_state)
        if not learnt.gain and learnt.published is None:
            axes, image_factors, image_surroundings = None, None, None
        graphs = (adjacency, learnt.attention)
        image_modality = None
        if image_factors is not None:
            image_modality = Modality.fit(
                image_factors, image_surroundings, *graphs, weight=learnt.gain or 1.0, random_state=random_state
            )
        model = cls(
            config=config,
            expression=Modality.fit(factors, surroundings, *graphs, random_state=random_state),
            image=image_modality,
            axes=axes,
            networks=learnt.networks,
            gain=learnt.gain,
            center=np.zeros(0),  # center and spread are measured below
            spread=np.ones(0),
            component_spread=spread_of_components,
            n_expression=expression.shape[1],
            published=learnt.published,
        )
        code = model._code(factors, image_factors, *graphs, device)
        center = code.mean(axis=0, dtype=np.float64)
        squares = sum(np.square(code[rows] - center).sum(axis=0) for rows in row_slices(len(code)))
        model = replace(model, center=center, spread=np.maximum(np.sqrt(squares / len(code)), 1e-12))
        return model, model._embedding(code, learnt.attention, learnt.losses)

    @property
    def structured_share(self) -> float:
        """Share of the expression's variance that space structures; a factor counts by its part in the embedding.

        One for the published network, whose embedding is no average.
        """
        structured = self.expression.averaging.structured
        variance = self.spread[: len(structured)] ** 2
        return 1.0 if self.published is not None else float(np.average(structured, weights=variance))

    @property
    def n_image(self) -> int:
        """Number of features of the image that are read; zero without an image."""
        return 0 if self.axes is None else len(self.axes.varied)

    @property
    def n_image_dimensions(self) -> int:
        """Last dimensions of the embedding that are the image's; none of the published network, which mixes both."""
        return 0 if self.image is None or self.published is not None else len(self.image.averaging.center)

    def embed(
        self,
        expression: np.ndarray,
        image: np.ndarray | None,
        adjacency: sp.csr_matrix,
        section: np.ndarray,
        *,
        device: str = "auto",
    ) -> Embedding:
        """Embed other sections, with features of the same meaning as those that were fitted.

        Raises
        ------
        ValueError
            If the number of features differs, or an image is missing.
        """
        n_image = 0 if image is None or not self.n_image else image.shape[1]
        for modality, given, expected in (
            ("expression", expression.shape[1], self.n_expression),
            ("histology", n_image, self.n_image),
        ):
            if given != expected:
                raise ValueError(f"the model was fitted on {expected} {modality} features; there are {given}")
        factors = as_floats(expression)[:, : len(self.expression.averaging.center)]
        factors = _brought_to(self.expression.surroundings, factors, adjacency, section)
        image_factors, attention = None, None
        if self.axes is not None and self.image is not None and image is not None:
            image_factors = self.axes(_brought_to(self.image.surroundings, as_floats(image), adjacency, section))
        if self.networks and image_factors is not None:
            from multist.model.network.attention import attention_matrix

            attention = attention_matrix(list(self.networks), factors, image_factors, adjacency, device=device)
        return self._embedding(self._code(factors, image_factors, adjacency, attention, device), attention, {})

    def shares_axes(self, features: np.ndarray, section: np.ndarray) -> bool | None:
        """Whether other sections' (n, p) expression can lie on the axes of that which was fitted.

        Returns
        -------
        False if both were made in their own spots, and these differ; None if the new was, and where the fitted comes
        from is not known; else True, for nothing speaks against it.
        """
        here = component_spread(as_floats(features)[:, : self.config.n_expression], section)
        fitted = self.component_spread
        if not len(here) or (
            here.shape == fitted.shape and len(here) == 1 and np.allclose(here, fitted, rtol=1e-4, atol=0)
        ):
            return True
        return False if len(fitted) else None

    def _code(
        self,
        factors: np.ndarray,
        image_factors: np.ndarray | None,
        adjacency: sp.csr_matrix,
        attention: sp.csr_matrix | None,
        device: str,
    ) -> np.ndarray:
        """(n, d) dimensions before their ends are drawn in."""
        if self.published is not None:
            from multist.model.network.published import read_published

            return read_published(self.published, factors, image_factors, adjacency, device=device)
        code = self.expression.dimensions(factors, adjacency, attention)
        if self.image is None or image_factors is None:
            return code
        return np.hstack([code, self.image.dimensions(image_factors, adjacency, attention)])

    def _embedding(self, code: np.ndarray, attention: sp.csr_matrix | None, losses: dict[str, np.ndarray]) -> Embedding:
        width = self.n_image_dimensions
        embedding, weight = np.empty(code.shape, dtype=np.float32), np.zeros(len(code))
        for rows in row_slices(len(code)):
            standard = np.clip((code[rows] - self.center) / self.spread, -_MAX_DEVIATIONS, _MAX_DEVIATIONS)
            embedding[rows] = standard * self.spread
            if width:
                squares = standard**2
                weight[rows] = squares[:, -width:].sum(axis=1) / np.maximum(squares.sum(axis=1), 1e-12)
        warn_of_image_alone(weight)
        return Embedding(embedding, weight.astype(np.float32), attention, losses)


def _learn(
    factors: np.ndarray,
    image_factors: np.ndarray | None,
    adjacency: sp.csr_matrix,
    xy: np.ndarray,
    section: np.ndarray,
    config: MultiSTConfig,
    n_domains: int,
    device: str,
    random_state: int,
) -> _Learnt:
    """Train the published network, or learn what an image adds: by attention, or by a linear rule without training."""
    if config.losses is not None:
        from multist.model.network.published import fit_published

        published, losses = fit_published(
            factors,
            image_factors,
            adjacency,
            section,
            config,
            config.losses,
            n_domains=n_domains,
            device=device,
            random_state=random_state,
        )
        return _Learnt(published=published, losses=losses)
    if image_factors is None:
        return _Learnt()
    if config.epochs == 0:
        exact, exact_image = (unit_variance(each.astype(np.float64)) for each in (factors, image_factors))
        learnt = _Learnt(gain=linear_gain(exact, exact_image, adjacency, xy, section, random_state=random_state))
    else:
        from multist.model.network.attention import attention_matrix, fit_attention

        trained = fit_attention(
            factors, image_factors, adjacency, xy, section, config, device=device, random_state=random_state
        )
        learnt = _Learnt(losses={"hidden_expression": trained.losses})
        if trained.gain:
            attention = attention_matrix(trained.networks, factors, image_factors, adjacency, device=device)
            learnt = replace(learnt, gain=trained.gain, attention=attention, networks=tuple(trained.networks))
            logger.info(
                "the image takes away %.1f %% of the error of hidden spots on held-out tissue, and takes part",
                100 * trained.gain,
            )
    if not learnt.gain:
        logger.warning(
            "the image adds nothing to what the neighbours tell of hidden spots on held-out tissue: domains come "
            "from expression and space alone"
        )
    return learnt


def _alike(
    features: np.ndarray,
    adjacency: sp.csr_matrix,
    section: np.ndarray,
    config: MultiSTConfig,
    *,
    one_scale: bool,
    random_state: int,
) -> tuple[np.ndarray, Surroundings | None]:
    """Features without what sets whole sections apart, and by what other sections are brought to them."""
    if not config.center_sections:
        return features, None
    offsets, surroundings = section_offsets(
        features, adjacency, section, one_scale=one_scale, random_state=random_state
    )
    return (features - offsets.astype(features.dtype)[section] if offsets.any() else features), surroundings


def _brought_to(
    surroundings: Surroundings | None, features: np.ndarray, adjacency: sp.csr_matrix, section: np.ndarray
) -> np.ndarray:
    if surroundings is None:
        return features
    return features - offsets_to(surroundings, features, adjacency, section).astype(features.dtype)[section]


def warn_of_image_alone(weight: np.ndarray) -> None:
    """Say so where the (n,) weights of the image leave nothing to expression."""
    if len(weight) and np.quantile(weight, _NEARLY_ALL_SPOTS) > _NEARLY_ALL:
        logger.warning(
            "at nearly all spots the image makes up more than %.0f %% of what tells them apart: domains are those of "
            "the image alone. See whether the expression has any pattern in space (pl.domains of some genes), or pass "
            "use_image=False",
            100 * _NEARLY_ALL,
        )
