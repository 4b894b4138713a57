"""A fitted model to a folder and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multist.cluster.assign import DomainClassifier
from multist.model.checkpoint import load_folder, save_folder
from multist.model.fitted_parts import model_of_parts, parts_of
from multist.tl._recipe import AXES, Recipe

if TYPE_CHECKING:
    from multist.tl._model import MultiST

_NAMES = ("genes", "library")
_ROOMS = ("fusion", "axes", "stain", "classifier")


def write_model(model: MultiST, folder: str | Path) -> None:
    """See :meth:`multist.MultiST.save`."""
    fusion, recipe = model._needs_fit()
    fusion_record, fusion_arrays = parts_of(fusion)
    stain, stain_arrays = _parted(recipe.stain)
    arrays = {f"fusion.{name}": value for name, value in fusion_arrays.items()}
    arrays |= {f"stain.{name}": value for name, value in stain_arrays.items()}
    # safetensors holds numbers only; the genes' names go to the record
    genes = None if recipe.axes is None else {name: recipe.axes[name].tolist() for name in _NAMES}
    arrays |= {f"axes.{name}": value for name, value in (recipe.axes or {}).items() if name not in _NAMES}
    if model._classifier is not None:
        arrays |= {f"classifier.{name}": value for name, value in model._classifier._asdict().items()}
    histology = None if recipe.histology is None else {k: _plain(v) for k, v in recipe.histology.items()}
    record = {
        "random_state": model.random_state, "domain_names": list(model._domain_names), "fitted_on": list(model._fitted_on), "n_fitted": model._n_fitted,
        "expression_key": recipe.expression_key, "genes": genes, "histology": histology, "stain": stain,
        "fusion": fusion_record,
    }  # fmt: skip
    save_folder(folder, "model", record, arrays)


def read_model(kind: type[MultiST], folder: str | Path, device: str) -> MultiST:
    """See :meth:`multist.MultiST.load`."""
    record, arrays = load_folder(folder, "model")
    rooms: dict[str, dict[str, np.ndarray]] = {room: {} for room in _ROOMS}
    for name, value in arrays.items():
        room, _, rest = name.partition(".")
        rooms.setdefault(room, {})[rest] = value
    try:
        fusion = model_of_parts(record["fusion"], rooms["fusion"])
        model = kind(fusion.config, device=device, random_state=record["random_state"])
        axes = None
        if record["genes"] is not None:
            held = {name: np.array(record["genes"][name], dtype=str) for name in _NAMES} | rooms["axes"]
            axes = {name: held[name] for name in AXES}
        stain = None if record["stain"] is None else {**record["stain"], **rooms["stain"]}
        model._recipe = Recipe(record["expression_key"], axes, record["histology"], stain)
        model._fusion = fusion
        model._classifier = DomainClassifier(**rooms["classifier"]) if rooms["classifier"] else None
        model._domain_names = tuple(record["domain_names"])
        model._fitted_on, model._n_fitted = tuple(record["fitted_on"]), int(record["n_fitted"])
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{str(folder)!r} lacks a part of the model, or has one that does not fit: {error}") from error
    return model


def _parted(values: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Plain values and arrays of numbers apart; names of the places a stain was taken from mean nothing elsewhere."""
    if values is None:
        return None, {}
    kept = {name: np.asarray(value) for name, value in values.items() if not name.startswith("patch_")}
    arrays = {name: value for name, value in kept.items() if value.dtype.kind in "fiub"}
    return {name: str(value) for name, value in kept.items() if name not in arrays}, arrays


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
