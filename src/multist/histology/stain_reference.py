"""How a slide is stained, in a form that is stored with the data and carried to the next slide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

_SHAPES: dict[str, tuple[int, ...]] = {
    "white": (3,),
    "mean": (3,),
    "covariance": (3, 3),
    "stain_matrix": (3, 3),
    "max_concentrations": (2,),
    "mu": (3,),
    "sigma": (3,),
}
_REQUIRED = {
    "patches": ("white", "mean", "covariance"),
    "macenko": ("white", "stain_matrix"),
    "vahadane": ("white", "stain_matrix"),
    "reinhard": ("mu", "sigma"),
}
METHODS = tuple(_REQUIRED)


@dataclass(frozen=True, eq=False)
class StainReference:
    """The stain that :func:`multist.pp.normalize_histology` moves a slide to.

    Attributes
    ----------
    method
        ``"patches"``, ``"macenko"``, ``"vahadane"`` or ``"reinhard"``.
    white
        (3,) colour of the glass, 0-255; not for ``"reinhard"``.
    mean, covariance
        (3,) and (3, 3) of the tissue's optical densities (natural logarithm) in R, G, B; for ``"patches"``.
    stain_matrix, max_concentrations
        (3, 3) columns haematoxylin, eosin and their complement, and (2,) 99th percentiles, as squidpy fits them.
    mu, sigma
        (3,) means and standard deviations in Ruderman's space, as squidpy fits them for ``"reinhard"``.
    patch_xy, patch_width, patch_section
        (k, 2) centres and (k,) widths, in intrinsic pixels of the image, and (k,) sections of the patches the reference
        was taken from; None in a reference from elsewhere.
    """

    method: str
    white: np.ndarray | None = None
    mean: np.ndarray | None = None
    covariance: np.ndarray | None = None
    stain_matrix: np.ndarray | None = None
    max_concentrations: np.ndarray | None = None
    mu: np.ndarray | None = None
    sigma: np.ndarray | None = None
    patch_xy: np.ndarray | None = None
    patch_width: np.ndarray | None = None
    patch_section: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.method not in _REQUIRED:
            raise ValueError(f"stain reference has method {self.method!r}; known: {', '.join(map(repr, METHODS))}")
        for name, shape in _SHAPES.items():
            value = getattr(self, name)
            if value is None:
                if name in _REQUIRED[self.method]:
                    raise ValueError(f"stain reference of method {self.method!r} lacks {name!r}")
                continue
            array = np.asarray(value, dtype=np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(
                    f"{name!r} of a stain reference must be finite and of shape {shape}, not {array.shape}"
                )
            object.__setattr__(self, name, array)

    def to_dict(self) -> dict[str, Any]:
        """Strings and arrays only, as ``uns`` keeps them in h5ad and zarr; what is None is left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StainReference:
        """The record of what :meth:`to_dict` made, also after a round trip through a file.

        Raises
        ------
        ValueError
            If a field is missing, unknown or has the wrong shape.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(names))
        if unknown or "method" not in values:
            what = f"has unknown fields {unknown}" if unknown else "lacks 'method'"
            raise ValueError(f"a stain reference {what}; its fields are {', '.join(names)}")
        return cls(**{**values, "method": str(values["method"])})

    def from_elsewhere(self) -> StainReference:
        """The same stain without the places it was taken from, which mean nothing on another slide."""
        return replace(self, patch_xy=None, patch_width=None, patch_section=None)
