"""A fitted model: what turns features and a graph into the embedding, of the sections it was fitted on or of others."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from multist._settings import logger
from multist.model.common_axes import own_axes
from multist.model.config import MultiSTConfig
from multist.model.factors import ENOUGH
from multist.model.network import FusionNetwork
from multist.model.sections import Surroundings
from multist.model.tokenizer import Centred, ImageAxes, Tokenizer, as_floats
from multist.model.tokens import make_tokens, tokens_of
from multist.model.training import Embedding, Frame, embed_tokens, fit_embedding


@dataclass(frozen=True, eq=False)
class FusionModel:
    """Tokenizer and network, fitted.

    Attributes
    ----------
    config
        Constants.
    tokenizer
        From features to tokens.
    network
        From tokens to the code.
    frame
        Where the code of the fitted sections lies.
    n_expression, n_image
        Number of features of either modality; ``n_image`` is zero without an image.
    """

    config: MultiSTConfig
    tokenizer: Tokenizer
    network: FusionNetwork
    frame: Frame
    n_expression: int
    n_image: int

    @classmethod
    def fit(
        cls, expression: np.ndarray, image: np.ndarray | None, adjacency: sp.csr_matrix, xy: np.ndarray, config: MultiSTConfig, *,
        section: np.ndarray | None = None, n_domains: int = 1, device: str = "auto", random_state: int = 0, resume: str | Path | None = None,
    ) -> tuple[FusionModel, Embedding]:  # fmt: skip
        """Fit to (n, p) expression and (n, q) image features; see :func:`multist.model.training.fit_embedding`."""
        if len(xy) > ENOUGH:  # seconds without a bar
            logger.info("reducing the features of %d spots to spatial factors", len(xy))
        tokens = make_tokens(expression, image, adjacency, xy, config, section=section, random_state=random_state)
        embedding = fit_embedding(
            tokens,
            adjacency,
            config,
            n_domains=n_domains,
            xy=xy,
            device=device,
            random_state=random_state,
            resume=resume,
        )
        n_image = 0 if image is None else image.shape[1]
        model = cls(config, tokens.tokenizer, embedding.network, embedding.frame, expression.shape[1], n_image)
        return model, embedding

    def embed(
        self, expression: np.ndarray, image: np.ndarray | None, adjacency: sp.csr_matrix, xy: np.ndarray, section: np.ndarray, *,
        device: str = "auto",
    ) -> Embedding:  # fmt: skip
        """Embed other sections, with features of the same meaning as those that were fitted.

        Raises
        ------
        ValueError
            If the number of features differs, or an image is missing.
        """
        given = 0 if image is None else image.shape[1]
        for what, found, expected in (
            ("expression", expression.shape[1], self.n_expression), ("histology", given, self.n_image)
        ):  # fmt: skip
            if found != expected:
                raise ValueError(f"the model was fitted on {expected} {what} features; there are {found}")
        tokens = tokens_of(self.tokenizer, expression, image, adjacency, section)
        return embed_tokens(self.network, self.frame, tokens, adjacency, xy=xy, device=device)

    def shares_axes(self, features: np.ndarray, section: np.ndarray) -> bool | None:
        """Whether other sections' (n, p) expression can lie on the axes of that which was fitted.

        Returns
        -------
        False if both were made in their own spots, and these differ; None if the new was, and where the fitted comes from is not
        known; else True, for nothing speaks against it.
        """
        own, fitted = own_axes(as_floats(features)[:, : self.config.n_expression], section), self.tokenizer.own
        if not len(own) or (
            own.shape == fitted.shape and len(own) == 1 and np.allclose(own, fitted, rtol=1e-4, atol=0)
        ):
            return True
        return False if len(fitted) else None

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """A record for JSON, and arrays."""
        tokenizer = self.tokenizer
        arrays = {
            "expression.mean": tokenizer.centred.mean, "expression.loadings": tokenizer.loadings,
            "expression.own": tokenizer.own,
        }  # fmt: skip
        record: dict[str, Any] = {
            "config": asdict(self.config), "n_hops": tokenizer.n_hops, "spread": tokenizer.centred.spread,
            "n_expression": self.n_expression, "n_image": self.n_image,
        }  # fmt: skip
        if tokenizer.image is not None:
            image = tokenizer.image._asdict()
            centred, known = image.pop("centred"), image.pop("known")
            record["image_spread"] = centred.spread
            image |= _surroundings(known)
            arrays |= {f"image.{name}": value for name, value in image.items()} | {"image.mean": centred.mean}
        arrays |= {f"expression.{name}": value for name, value in _surroundings(tokenizer.known).items()}
        arrays |= {f"frame.{name}": value for name, value in self.frame._asdict().items()}
        arrays |= {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        return record, arrays

    @classmethod
    def from_parts(cls, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> FusionModel:
        """What :meth:`to_parts` took apart.

        Raises
        ------
        KeyError, TypeError, RuntimeError
            If a part is missing, or does not fit the others.
        """
        config = MultiSTConfig(**record["config"])
        parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in ("expression", "image", "frame", "network")}
        for name, value in arrays.items():
            room, _, rest = name.partition(".")
            if room in parts:
                parts[room][rest] = value
        image = None
        if parts["image"]:
            centred = Centred(parts["image"].pop("mean"), record["image_spread"])
            known = _surroundings_in(parts["image"])
            image = ImageAxes(**parts["image"], centred=centred, known=known)
        expression = parts["expression"]
        centred = Centred(expression["mean"], record["spread"])
        known = _surroundings_in(expression)
        tokenizer = Tokenizer(record["n_hops"], centred, expression["loadings"], known, image, expression["own"])
        state = {name: torch.from_numpy(value) for name, value in parts["network"].items()}
        starts = [state.get(f"{name}.weight") for name in ("gene_token", "image_token")]
        loadings, image_loadings = (None if start is None else start.T for start in starts)
        if loadings is None:
            raise KeyError("network.gene_token.weight")
        network = FusionNetwork(loadings, image_loadings, config, n_hops=record["n_hops"])
        network.load_state_dict(state)
        return cls(config, tokenizer, network, Frame(**parts["frame"]), record["n_expression"], record["n_image"])


def _surroundings(known: Surroundings | None) -> dict[str, np.ndarray]:
    return {} if known is None else {f"known_{name}": value for name, value in known._asdict().items()}


def _surroundings_in(arrays: dict[str, np.ndarray]) -> Surroundings | None:
    """Taken out of the arrays."""
    if "known_values" not in arrays:
        return None
    return Surroundings(**{name: arrays.pop(f"known_{name}") for name in Surroundings._fields})
