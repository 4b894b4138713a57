"""The vocabulary that every plot shares, described once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast, get_args

from multist._described import SHARED, with_parameters
from multist._numbers import is_number, is_positive

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

Plot = TypeVar("Plot", bound=Callable[..., Any])
LegendLoc = Literal["right margin", "bottom margin", "on data", "none"]

FONT: Any = {
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "figure.titlesize": 10.0,
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}
"""Print in points, at the width of a page, which stays print in vector files; dollar signs in names are no formulas."""
DPI, DPI_PNG = 300, 200
"""Dots per inch of what is saved: as many as journals want, and in PNG, which is for screens, less than a megabyte."""


class FigureOptions(TypedDict, total=False):
    """What every plot understands."""

    ax: Axes | Sequence[Axes] | None
    figsize: tuple[float, float] | None
    title: str | Sequence[str] | None
    show: bool | None
    save: str | Path | bool | None
    dpi: float | None
    return_fig: bool


class MapOptions(FigureOptions, total=False):
    """What every plot with tissue in it understands."""

    palette: str | Sequence[str] | Mapping[str, str] | None
    cmap: str | Colormap | None
    vmin: float | str | None
    vmax: float | str | None
    groups: str | Sequence[str] | None
    legend_loc: LegendLoc | None
    size: float
    alpha: float | None
    img_alpha: float | None
    bw: bool | None
    microns_per_pixel: float | None


@dataclass(frozen=True)
class Look:
    """The options of one call, checked; see :data:`DESCRIBED` for what they mean."""

    ax: Axes | Sequence[Axes] | None = None
    figsize: tuple[float, float] | None = None
    title: str | Sequence[str] | None = None
    show: bool | None = None
    save: str | Path | bool | None = None
    dpi: float | None = None
    return_fig: bool = False
    palette: str | Sequence[str] | Mapping[str, str] | None = None
    cmap: str | Colormap | None = None
    vmin: float | str | None = None
    vmax: float | str | None = None
    groups: str | Sequence[str] | None = None
    legend_loc: LegendLoc | None = None
    size: float = 1.0
    alpha: float | None = None
    img_alpha: float | None = None
    bw: bool | None = None
    microns_per_pixel: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.ax is not None and self.figsize is not None:
            raise ValueError("figsize is the size of a new figure; it has no meaning beside ax")
        sides = list(self.figsize) if isinstance(self.figsize, Iterable) else [self.figsize]
        if self.figsize is not None and not (len(sides) == 2 and all(map(is_positive, sides))):
            raise ValueError(f"figsize is a width and a height in inches, both positive; got {self.figsize}")
        if self.dpi is not None and not is_positive(self.dpi):
            raise ValueError(f"dpi is a positive number of dots per inch, got {self.dpi}")
        if not is_positive(self.size):
            raise ValueError(f"size is a positive number of spot diameters, got {self.size}")
        for name in ("alpha", "img_alpha"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 <= value <= 1):
                raise ValueError(f"{name} lies between 0 and 1, got {value}")
        if self.legend_loc not in (None, *get_args(LegendLoc)):
            places = ", ".join(map(repr, get_args(LegendLoc)))
            raise ValueError(f"legend_loc is one of {places}, or None for none; got {self.legend_loc!r}")
        if self.microns_per_pixel is not None and not is_positive(self.microns_per_pixel):
            raise ValueError(f"microns_per_pixel is positive, got {self.microns_per_pixel}")

    @classmethod
    def of(cls, options: FigureOptions | MapOptions) -> Look:
        """The options that were given, and the defaults of the others."""
        return cls(**cast("dict[str, Any]", options))

    @property
    def chosen(self) -> tuple[str, ...] | None:
        """The groups, as names; None for all."""
        groups = self.groups
        if groups is None:
            return None
        several = isinstance(groups, Iterable) and not isinstance(groups, str)
        return tuple(map(str, groups if several else [groups]))

    @property
    def dots(self) -> float:
        """Dots per inch that photographs need; 0 where those of a screen will do."""
        return self.dpi or (DPI if self.save else 0)

    def opacity(self, usual: float) -> float:
        """The opacity of the spots."""
        return usual if self.alpha is None else self.alpha


DESCRIBED = {
    "ax": "Axes to draw into: one, or as many as there are panels. They are neither shown nor closed, and are "
    "returned.",
    "figsize": "Width and height of the figure in inches. By default it is as wide as it needs to be, and at most a "
    "page (7.2).",
    "title": "Title of each panel; a single one for several panels goes above them all.",
    "show": "Show the figure; by default if it is neither saved, returned nor drawn into ``ax``. With False, the axes "
    "are returned and pyplot keeps the figure; left out beside ``save``, the figure is closed, as a loop needs it.",
    "save": "File to save the figure to; its suffix sets the format. True saves it in scanpy's ``figdir`` "
    "under the name of the function, in scanpy's format.",
    "dpi": "Dots per inch of what is saved, and of the photographs in a figure that is returned. By default "
    "files have 300, PNG 200, and photographs on a screen up to 1000 pixels.",
    "return_fig": "Return the figure.",
    "palette": "Colours of categories: a dict from category to colour, a list in the order of the categories, or a "
    "name of matplotlib's colour maps. By default those in ``uns``, or new ones.",
    "cmap": "Colour map of numbers.",
    "vmin": 'Number at the lower end of the colour map, or a percentile of the numbers such as ``"p1"``.',
    "vmax": 'Number at its upper end, or a percentile such as ``"p99"``.',
    "groups": "Categories to show in colour; all others are drawn as if they had no label.",
    "legend_loc": 'Where legends and colour bars go: ``"right margin"``, ``"bottom margin"``, ``"on data"`` (names of '
    'categories at their spots; numbers keep their bar at the right), ``"none"``; None is what suits the plot.',
    "size": "Diameter of the drawn spots in true diameters. Where these are unknown, the distance between "
    "neighbours is 1.",
    "alpha": "Opacity of the spots, 0 to 1.",
    "img_alpha": "Opacity of the image, 0 to 1. By default it is faded under numbers, which have to be read.",
    "bw": "Draw the image in grey. By default it is grey under numbers, for the sake of their colours.",
    "microns_per_pixel": "Size of a pixel, for the scale bar; by default what the data says. Where it does not say, "
    "there is none.",
}
"""What each option means, as it is told in the docstring of every plot."""
ARGUMENTS = {
    "cluster_key": "Column of ``obs`` with the domains; None takes those of the result.",
    "crop": "Show the spots and a margin around them rather than the whole image.",
    "image_key": 'Image to draw; ``"auto"`` takes the only one, as it was scanned rather than normalised, and None '
    "draws none.",
}
"""What arguments mean that several plots share."""


def drawn(kind: type[FigureOptions | MapOptions]) -> Callable[[Plot], Plot]:
    """Give a plot its options: their names in its signature, their description in its docstring, its fonts.

    Parameters
    ----------
    kind
        The options that the plot takes as ``**look``.

    Returns
    -------
    A decorator. What it makes refuses other options, and closes the figures of a call that fails.
    """
    annotations = {name: getattr(each, "__forward_arg__", each) for name, each in kind.__annotations__.items()}
    names = list(annotations)
    defaults = {field.name: field.default for field in fields(Look)}

    def decorate(plot: Plot) -> Plot:
        signature = inspect.signature(plot)
        named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        only = inspect.Parameter.KEYWORD_ONLY
        extra = [inspect.Parameter(n, only, default=defaults[n], annotation=annotations[n]) for n in names]

        @functools.wraps(plot)
        def call(*args: Any, **kwargs: Any) -> Any:
            import matplotlib as mpl
            import matplotlib.pyplot as plt

            accepted = {p.name for p in named} | set(names)
            unknown = [name for name in kwargs if name not in accepted]
            if unknown:
                options = ", ".join(sorted(accepted - {"data"}))
                raise TypeError(f"pl.{plot.__name__} has no option {', '.join(map(repr, unknown))}; it has: {options}")
            # a notebook's backend, which is loaded now if it was not, switches drawing on for good, not for this call
            plt.draw_if_interactive()
            before = set(plt.get_fignums())
            try:
                with mpl.rc_context(FONT):
                    return plot(*args, **kwargs)
            except BaseException:
                for number in set(plt.get_fignums()) - before:
                    plt.close(number)
                raise

        shown = signature.replace(parameters=[*named, *extra])
        call.__signature__ = shown  # type: ignore[attr-defined]
        call.__doc__ = with_parameters(plot.__doc__, shown, SHARED | ARGUMENTS | DESCRIBED)
        return cast("Plot", call)

    return decorate
