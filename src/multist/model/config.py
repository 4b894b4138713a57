"""Every constant of the model, in one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from multist._numbers import is_number, is_whole


class _Number(NamedTuple):
    """Numbers from ``low``, or above it where ``beyond``, and below ``high``."""

    kind: type[int] | type[float]
    low: int
    high: float = inf
    beyond: bool = False

    def allows(self, value: Any) -> bool:
        if not (is_whole(value) if self.kind is int else is_number(value)):
            return False
        number = float(value)
        return (self.low < number if self.beyond else self.low <= number) and number < self.high

    def __str__(self) -> str:
        kind = "a whole number" if self.kind is int else "a number"
        low = f"above {self.low}" if self.beyond else f"from {self.low} upwards"
        return f"{kind} {low}" if self.high == inf else f"{kind} {low} and below {self.high}"


class _Instance(NamedTuple):
    """Objects of a class, and None if ``optional``."""

    kind: type
    optional: bool = False

    def allows(self, value: Any) -> bool:
        return isinstance(value, self.kind) or (self.optional and value is None)

    def __str__(self) -> str:
        return f"a {self.kind.__name__}" + " or None" * self.optional


_COUNT = _Number(int, 1)
_WEIGHT = _Number(float, 0)


def _validate(record: Any, constraints: Mapping[str, _Number | _Instance]) -> None:
    """Raise if a field of a frozen record is not allowed, and make numpy's numbers plain ones, which JSON takes."""
    for name, allowed in constraints.items():
        value = getattr(record, name)
        if not allowed.allows(value):
            error = ValueError if isinstance(value, Real) else TypeError
            raise error(f"{name} of {type(record).__name__} must be {allowed}; got {value!r}")
        if isinstance(allowed, _Number):
            object.__setattr__(record, name, allowed.kind(value))


@dataclass(frozen=True)
class PublishedLosses:
    """Weights of the published method's losses, and what else it needs.

    Attributes
    ----------
    expression, image, edges, alignment, prior, clustering, sections
        Masked reconstruction of the two modalities, edges against non-edges, agreement of the unimodal projections
        (InfoNCE), closeness to a Gaussian prior that a critic judges, DEC, and a critic that cannot tell the sections
        apart.
    n_factors
        Width of the code.
    mask_rate
        Share of the spots whose own features are hidden in an epoch.
    temperature
        Of the alignment.
    """

    expression: float = 10.0
    image: float = 1.0
    edges: float = 0.1
    alignment: float = 1.0
    prior: float = 1.0
    clustering: float = 1.0
    sections: float = 1.0
    n_factors: int = 32
    mask_rate: float = 0.3
    temperature: float = 0.1

    _constraints: ClassVar[dict[str, _Number | _Instance]] = {
        "expression": _WEIGHT,
        "image": _WEIGHT,
        "edges": _WEIGHT,
        "alignment": _WEIGHT,
        "prior": _WEIGHT,
        "clustering": _WEIGHT,
        "sections": _WEIGHT,
        "n_factors": _COUNT,
        "mask_rate": _Number(float, 0, high=1, beyond=True),
        "temperature": _Number(float, 0, beyond=True),
    }

    def __post_init__(self) -> None:
        _validate(self, self._constraints)


@dataclass(frozen=True)
class MultiSTConfig:
    """Constants of the model; the defaults are one configuration for all data.

    Attributes
    ----------
    n_expression, n_image
        Components of the expression and of the histology features that go in at most.
    n_heads, head_width
        Of the attention.
    epochs
        Steps of training at most; held-out tissue says how many are taken. Zero runs no network: the image enters by a
        linear rule, and every neighbour counts alike.
    learning_rate, weight_decay
        Of AdamW.
    center_sections
        Take away what sets whole sections apart, where they are more alike without it.
    losses
        Losses of the published method, which then runs in place of this one; None by default.

    Raises
    ------
    ValueError
        If a number is out of its range, or given where there is no number.
    TypeError
        If another value is of another kind than its field.

    Examples
    --------
    >>> mt.tl.multist_domains(adata, 7, config=mt.tl.MultiSTConfig(n_expression=20))
    """

    n_expression: int = 30
    n_image: int = 10
    n_heads: int = 4
    head_width: int = 8
    epochs: int = 60
    learning_rate: float = 0.01
    weight_decay: float = 0.1
    center_sections: bool = True
    losses: PublishedLosses | None = None

    _constraints: ClassVar[dict[str, _Number | _Instance]] = {
        "n_expression": _COUNT,
        "n_image": _COUNT,
        "n_heads": _COUNT,
        "head_width": _COUNT,
        "epochs": _Number(int, 0),
        "learning_rate": _WEIGHT,
        "weight_decay": _WEIGHT,
        "center_sections": _Instance(bool),
        "losses": _Instance(PublishedLosses, optional=True),
    }

    def __post_init__(self) -> None:
        _validate(self, self._constraints)

    @classmethod
    def published(cls) -> MultiSTConfig:
        """Return the published method's constants where they have a counterpart here, for comparison.

        A 32-dimensional code of 200 components, and all of the published losses (arXiv 2601.13331).
        """
        return cls(
            n_expression=200,
            n_image=20,
            center_sections=False,
            epochs=400,
            weight_decay=0.01,
            losses=PublishedLosses(),
        )

    def replace(self, **changes: Any) -> MultiSTConfig:
        """Copy with some constants changed."""
        return replace(self, **changes)


def as_config(config: MultiSTConfig | None) -> MultiSTConfig:
    """The given constants, or the defaults; a TypeError of anything else."""
    if not isinstance(config, MultiSTConfig | None):
        raise TypeError(f"config must be a MultiSTConfig or None; got {config!r}")
    return config or MultiSTConfig()
