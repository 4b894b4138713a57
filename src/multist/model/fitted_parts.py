"""A fitted model as plain values and arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from multist.model.checkpoint import rooms_of
from multist.model.config import MultiSTConfig, PublishedLosses
from multist.model.features.averaging import Averaging
from multist.model.features.image_axes import ImageAxes
from multist.model.features.sections import Surroundings
from multist.model.fitted import FusionModel, Modality

if TYPE_CHECKING:
    from multist.model.network.attention import ImageAttention


def parts_of(model: FusionModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A record for JSON, and arrays."""
    record: dict[str, Any] = {
        "config": asdict(model.config),
        "gain": model.gain,
        "n_expression": model.n_expression,
        "n_image": model.n_image,  # read by version 0.2.0
        "n_networks": len(model.networks),
        "expression_scale": model.expression.scale,
    }
    arrays = {
        "embedding.center": model.center,
        "embedding.spread": model.spread,
        "embedding.component_spread": model.component_spread,
    }
    arrays |= _modality_arrays("expression", model.expression)
    if model.image is not None and model.axes is not None:
        record["image_scale"] = model.image.scale
        arrays |= _modality_arrays("image", model.image)
        arrays |= {f"axes.{name}": value for name, value in model.axes._asdict().items()}
    for number, network in enumerate(model.networks):
        arrays |= {f"network{number}.{name}": value.cpu().numpy() for name, value in network.state_dict().items()}
    if model.published is not None:
        state = model.published.state_dict()
        arrays |= {f"published.{name}": value.cpu().numpy() for name, value in state.items()}
    return record, arrays


def model_of_parts(record: dict[str, Any], arrays: dict[str, np.ndarray]) -> FusionModel:
    """What :func:`parts_of` took apart.

    Raises
    ------
    KeyError, TypeError, RuntimeError, ValueError
        If a part is missing, or does not fit the others.
    """
    given = dict(record["config"])
    losses = given.pop("losses")
    config = MultiSTConfig(**given, losses=None if losses is None else PublishedLosses(**losses))
    rooms = rooms_of(arrays)
    expression = _modality(rooms["expression"], record["expression_scale"])
    axes = ImageAxes(**rooms["axes"]) if "axes" in rooms else None
    image = _modality(rooms["image"], record["image_scale"]) if "image" in rooms else None
    networks = _networks(config, rooms, int(record["n_networks"]), len(expression.averaging.center), axes)
    published = None
    if config.losses is not None:
        from multist.model.network.published import PublishedNetwork

        published = PublishedNetwork.of_state(rooms["published"])
    embedding = rooms["embedding"]
    return FusionModel(
        config=config,
        expression=expression,
        image=image,
        axes=axes,
        networks=networks,
        gain=record["gain"],
        center=embedding["center"],
        spread=embedding["spread"],
        component_spread=embedding["component_spread"],
        n_expression=record["n_expression"],
        published=published,
    )


def _networks(
    config: MultiSTConfig,
    rooms: dict[str, dict[str, np.ndarray]],
    count: int,
    n_expression: int,
    axes: ImageAxes | None,
) -> tuple[ImageAttention, ...]:
    if not count:
        return ()
    if axes is None:
        raise KeyError("axes")
    import torch

    from multist.model.network.attention import ImageAttention

    networks = []
    for number in range(count):
        state = rooms[f"network{number}"]
        if config.n_heads * config.head_width > sum(value.size for value in state.values()):
            raise ValueError(f"network {number} has fewer numbers than a network of the configuration")
        network = ImageAttention(np.zeros((n_expression, 2)), axes.axes.shape[1], config)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        networks.append(network)
    return tuple(networks)


def _modality_arrays(room: str, modality: Modality) -> dict[str, np.ndarray]:
    arrays = modality.averaging._asdict()
    if modality.surroundings is not None:
        arrays |= {f"surroundings_{name}": value for name, value in modality.surroundings._asdict().items()}
    return {f"{room}.{name}": value for name, value in arrays.items()}


def _modality(arrays: dict[str, np.ndarray], scale: float) -> Modality:
    averaging = Averaging(**{name: arrays[name] for name in Averaging._fields})
    if "surroundings_values" not in arrays:
        return Modality(averaging, scale, None)
    values = {name: arrays[f"surroundings_{name}"] for name in Surroundings._fields}
    return Modality(averaging, scale, Surroundings(**values))
