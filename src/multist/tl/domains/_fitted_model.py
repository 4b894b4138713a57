"""What a fit leaves: all that embeds other sections and recognises domains in them, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multist._words import counted
from multist.cluster.assign import DomainClassifier
from multist.cluster.guided_classifier import GuidedClassifier
from multist.model.checkpoint import load_folder, rooms_of, save_folder
from multist.model.fitted import FusionModel
from multist.model.fitted_parts import model_of_parts, parts_of
from multist.tl.domains._model_arrays import check_arrays
from multist.tl.domains._recipe import AXES, Recipe

_NAMES = ("genes", "library")


@dataclass(frozen=True, eq=False)
class KnownDomains:
    """Domains that were found, and what recognises them elsewhere.

    Attributes
    ----------
    names, colors
        Of each domain.
    classifier
        Guided if strokes named the domains, else a linear discriminant of the embedding.
    sources
        Names of what a guided classifier sees of a spot by itself; none of the other.
    """

    names: tuple[str, ...]
    colors: tuple[str, ...]
    classifier: DomainClassifier | GuidedClassifier
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FittedModel:
    """What :meth:`multist.MultiST.fit` leaves.

    Attributes
    ----------
    fusion
        From features and a graph to the embedding.
    recipe
        How the features are made.
    fitted_on
        Names of the sections.
    n_fitted
        Number of their spots.
    random_state
        Seed of the fit.
    domains
        Domains that were found in the embedding; None as long as there are none.
    """

    fusion: FusionModel
    recipe: Recipe
    fitted_on: tuple[str, ...]
    n_fitted: int
    random_state: int
    domains: KnownDomains | None = None

    def facts(self) -> dict[str, str]:
        """What it was fitted on, reads, embeds and knows, in words."""
        named = ", ".join(self.fitted_on[:3]) + (", ..." if len(self.fitted_on) > 3 else "")
        read = f"{counted(self.fusion.n_expression, 'component')} of {self.recipe.expression_key}"
        if self.recipe.histology is not None:
            read += f" and {counted(self.fusion.n_image, 'histology feature')}"
        domains = "no domains"
        if self.domains is not None:
            domains = counted(len(self.domains.names), "domain") + (
                ", named by strokes" if self.domains.sources else ""
            )
        return {
            "fitted on": f"{counted(self.n_fitted, 'spot')} of {counted(len(self.fitted_on), 'section')} ({named})",
            "reads": read,
            "embeds": counted(len(self.fusion.center), "dimension"),
            "knows": domains,
        }

    def to_folder(self, folder: str | Path) -> None:
        """Write everything as safetensors and JSON.

        See :func:`multist.model.checkpoint.save_folder` for what is raised.
        """
        recipe = self.recipe
        fusion_record, fusion = parts_of(self.fusion)
        stain_record, stain = _parted(recipe.stain)
        # safetensors holds numbers only; the genes' names go to the record
        genes = None if recipe.axes is None else {name: recipe.axes[name].tolist() for name in _NAMES}
        axes = {name: value for name, value in (recipe.axes or {}).items() if name not in _NAMES}
        histology = None
        if recipe.histology is not None:
            histology = {name: np.asarray(value).item() for name, value in recipe.histology.items()}
        rooms: dict[str, Mapping[str, np.ndarray]] = {"fusion": fusion, "axes": axes, "stain": stain}
        if self.domains is not None:
            classifier = self.domains.classifier
            if isinstance(classifier, GuidedClassifier):
                rooms["guided"] = classifier.to_arrays()
            else:
                rooms["linear"] = classifier._asdict()
        record = {
            "random_state": self.random_state,
            "fitted_on": list(self.fitted_on),
            "n_fitted": self.n_fitted,
            "expression_key": recipe.expression_key,
            "genes": genes,
            "histology": histology,
            "stain": stain_record,
            "fusion": fusion_record,
            "domain_names": None if self.domains is None else list(self.domains.names),
            "domain_colors": None if self.domains is None else list(self.domains.colors),
            "guided_by": [] if self.domains is None else list(self.domains.sources),
        }
        arrays = {f"{room}.{name}": value for room, held in rooms.items() for name, value in held.items()}
        save_folder(folder, record, arrays)

    @classmethod
    def from_folder(cls, folder: str | Path) -> FittedModel:
        """What :meth:`to_folder` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or it lacks a file.
        ValueError
            If it is truncated, damaged, of another version, or holds anything else.
        """
        record, arrays = load_folder(folder)
        rooms = rooms_of(arrays)
        try:
            lengths = {} if record["genes"] is None else {"g": len(record["genes"]["genes"])}
            lengths |= {} if record["genes"] is None else {"l": len(record["genes"]["library"])}
            lengths |= {} if record["domain_names"] is None else {"k": len(record["domain_names"])}
            check_arrays(arrays, lengths)
            axes = None
            if record["genes"] is not None:
                held = {name: np.array(record["genes"][name], dtype=str) for name in _NAMES} | rooms["axes"]
                axes = {name: held[name] for name in AXES}
            stain = None if record["stain"] is None else {**record["stain"], **rooms["stain"]}
            domains = None
            if record["domain_names"] is not None:
                guided, linear = rooms["guided"], rooms["linear"]
                classifier = GuidedClassifier.from_arrays(guided) if guided else DomainClassifier(**linear)
                names, colors, sources = (
                    tuple(record[name]) for name in ("domain_names", "domain_colors", "guided_by")
                )
                domains = KnownDomains(names, colors, classifier, sources)
            return cls(
                fusion=model_of_parts(record["fusion"], rooms["fusion"]),
                recipe=Recipe(record["expression_key"], axes, record["histology"], stain),
                fitted_on=tuple(record["fitted_on"]),
                n_fitted=int(record["n_fitted"]),
                random_state=int(record["random_state"]),
                domains=domains,
            )
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{str(folder)!r} lacks a part of the model, or has one that does not fit: {error}"
            ) from error


def _parted(values: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Plain values and arrays of numbers apart; names of the places a stain was taken from mean nothing elsewhere."""
    if values is None:
        return None, {}
    kept = {name: np.asarray(value) for name, value in values.items() if not name.startswith("patch_")}
    arrays = {name: value for name, value in kept.items() if value.dtype.kind in "fiub"}
    return {name: str(value) for name, value in kept.items() if name not in arrays}, arrays
