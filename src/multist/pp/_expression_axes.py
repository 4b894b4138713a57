"""Axes of the expression of one table, on which the counts of another can be projected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._settings import logger
from multist.access import get_table

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

LOG, ROOT = 0.0, 0.5  # powers of the family that Box and Cox (1964) put in one row: the logarithm is its member at zero
MAX_SCALED = 10.0
_BLOCK = 8192  # spots that are dense at once
_FEWEST = 0.5  # share of the genes; with less, the names are of another kind


@dataclass(frozen=True, eq=False)
class ExpressionAxes:
    """Principal axes of the transformed genes.

    Attributes
    ----------
    genes
        (g,) names.
    mean, std
        (g,) of the transformed expression.
    loadings
        (g, d) of the scaled genes.
    center
        (d,) components of the mean spot.
    depth
        Library size that every spot is brought to.
    power
        0 for the logarithm, after which genes are scaled, 0.5 for the square root.
    """

    genes: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    loadings: np.ndarray
    center: np.ndarray
    depth: np.ndarray
    power: np.ndarray

    def to_dict(self) -> dict[str, np.ndarray]:
        """Arrays, as ``uns`` keeps them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def given(
        cls, reference: AnnData | SpatialData | Mapping[str, Any], key: str, table_key: str | None
    ) -> ExpressionAxes:
        """The axes in ``uns[key]`` of a table, or that entry itself.

        Raises
        ------
        KeyError
            If there are none.
        """
        held = reference if isinstance(reference, Mapping) else get_table(reference, table_key).uns.get(key, {})
        missing = [field.name for field in fields(cls) if field.name not in held]
        if missing:
            raise KeyError(
                f"the reference holds no axes (uns[{key!r}] lacks {', '.join(missing)}); run pp.embed_expression on it first"
            )
        arrays = {field.name: np.asarray(held[field.name]) for field in fields(cls)}
        # zarr gives strings of variable length, which h5ad and numpy's own do not take
        return cls(**arrays | {"genes": np.array([str(gene) for gene in arrays["genes"]])})

    def project(self, counts: Any, names: pd.Index) -> np.ndarray:
        """(n, d) float32 components of (n, n_vars) counts, dense or CSR.

        Genes that are not there count as average, as long as half of them are.

        Raises
        ------
        ValueError
            If less than half of the genes are there, or a name is there twice.
        """
        if not names.is_unique:
            raise ValueError(
                f"var_names are not unique ({names[names.duplicated()][0]!r} is there twice), so the reference's genes cannot be "
                "found: run var_names_make_unique() first"
            )
        place = pd.Index(names).get_indexer(pd.Index(self.genes))
        there = place >= 0
        if there.mean() < _FEWEST:
            raise ValueError(
                f"{int(there.sum())} of the reference's {len(there)} genes are in var_names ({names[0]!r}, ...); the "
                f"reference has {self.genes[0]!r}, ...: are these names of the same kind?"
            )
        if not there.all():
            logger.info("%d of %d genes of the reference are missing, and count as average", (~there).sum(), len(there))
        total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        chosen, result = counts[:, place[there]], np.empty((counts.shape[0], len(self.center)), np.float32)
        for start in range(0, len(result), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = chosen[rows].toarray() if hasattr(chosen, "toarray") else np.asarray(chosen[rows])
            level = block * (float(self.depth) / np.maximum(total[rows], 1.0))[:, None]
            scaled = (stabilized(level, float(self.power)) - self.mean[there]) / self.std[there]
            scaled = np.clip(scaled, -MAX_SCALED, MAX_SCALED) if self.power == LOG else scaled
            result[rows] = scaled @ self.loadings[there] - self.center
        return result


def stabilized(values: np.ndarray, power: float) -> np.ndarray:
    """Logarithm of one more, or square root, of non-negative values."""
    return np.log1p(values) if power == LOG else np.sqrt(values)
