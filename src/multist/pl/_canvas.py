"""Figures as wide as a page at most: their panels, and one way to title, show, save and return them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from multist._files import whole_file
from multist._settings import logger
from multist.pl._look import DPI, DPI_PNG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from multist.pl._look import Look

PAGE = 7.2
"""Inches between the margins of a page."""
LABEL = 0.15
"""Inches of height that a label of an axis needs."""
MAX_WIDTH, MAX_HEIGHT = 3.1, 4.0
"""Inches of a panel, whatever room there is."""
_MIN_SIDE = 0.3
"""Inches of a panel in which something can be seen."""
_BETWEEN, _TITLE = 0.12, 0.3


@dataclass(frozen=True)
class Canvas:
    """A figure and its panels.

    Attributes
    ----------
    figure, axes
        What is drawn on.
    look
        The options of the call.
    """

    figure: Figure
    axes: list[Axes]
    look: Look

    def set_titles(self, titles: Sequence[str], loc: Literal["left", "center"] = "center") -> None:
        """Title the first panels: as the user wants it, else as given."""
        wanted = self.look.title
        if isinstance(wanted, str) and len(titles) == 1:
            titles = [wanted]
        elif isinstance(wanted, str):
            self.figure.suptitle(wanted)
        elif wanted is not None:
            if len(wanted) != len(titles):
                raise ValueError(f"title lists {len(wanted)} titles for {len(titles)} panels")
            titles = list(wanted)
        for ax, title in zip(self.axes, titles, strict=False):
            ax.set_title(title, loc=loc)

    def lay_out(self) -> bool:
        """Give panels about their final size; False if there is no room for them."""
        return self.look.ax is not None or _lay_out(self.figure)

    def finish(self, name: str, *, listed: bool = False) -> Figure | Axes | list[Axes] | None:
        """Save, show and return as all plots here do.

        Parameters
        ----------
        name
            Of the plot, for the file that ``save=True`` writes.
        listed
            Return a list also of one axes, where their number depends on the data.

        Returns
        -------
        The figure if it is asked for; the axes, one or a list of several, if they are the user's own or ``show=False``;
        None if the figure was shown, or saved and closed.
        """
        import matplotlib.pyplot as plt
        from matplotlib.colors import to_rgba

        look, show = self.look, self.look.show
        # what is drawn beside panels moves with their size, so one layout leaves some of it over its neighbours
        has_room = self.lay_out()
        if look.ax is None:
            self._warn_of_small_panels(has_room=has_room)
        if look.save is not None and look.save is not False:
            path = _scanpys_path(name) if look.save is True else Path(look.save).expanduser()
            if not path.suffix:
                path = path.with_suffix(f".{plt.rcParams['savefig.format']}")
            png = path.suffix.lower() == ".png"
            dpi = look.dpi or (DPI_PNG if png else DPI)
            # that of the style, by which the print is light or dark
            *rgb, opacity = to_rgba(self.figure.get_facecolor())
            face = tuple(rgb) if opacity else "white"
            with whole_file(path) as file, _collapse("ignore"):
                self.figure.savefig(file, bbox_inches="tight", pad_inches=0.02, facecolor=face, dpi=dpi)
        if show is None:
            show = not look.save and look.ax is None and not look.return_fig
            if not show and look.ax is None and not look.return_fig:
                plt.close(self.figure)
                return None
        if show:
            plt.show()
        if look.return_fig:
            return self.figure
        if show:
            return None
        return self.axes[0] if len(self.axes) == 1 and not listed else self.axes

    def _warn_of_small_panels(self, *, has_room: bool) -> None:
        sides = [min(ax.bbox.width, ax.bbox.height) / self.figure.dpi for ax in self.axes]
        if not has_room or min(sides, default=_MIN_SIDE) < _MIN_SIDE:
            logger.warning(
                "what is written leaves hardly any room for a panel: a larger figsize, shorter names, "
                "legend_loc='bottom margin' or fewer groups= leave it more"
            )


def user_canvas(look: Look, count: int) -> Canvas | None:
    """The axes that the user brought, which have to be as many as there are panels; None for a new figure."""
    if look.ax is None:
        return None
    # a grid of axes, as plt.subplots gives it, is taken row by row
    axes: list[Any] = list(np.ravel(np.asarray(look.ax, dtype=object)))
    if len(axes) != count:
        raise ValueError(
            f"ax has {len(axes)} axes, but {count} are to be drawn; give a list of {count}, leave ax out, or draw less"
        )
    return Canvas(axes[0].get_figure(root=True), axes, look)


def laid_out(figure: Figure, axes: list[Axes], look: Look) -> Canvas:
    """A new figure whose panels have about their final size, by which the sizes of print and lines are chosen."""
    _lay_out(figure)
    return Canvas(figure, axes, look)


def _lay_out(figure: Figure) -> bool:
    """Give panels their places; False if there is no room for them."""
    engine = figure.get_layout_engine()
    if engine is None:
        return True
    try:
        with _collapse("error"):
            engine.execute(figure)
    except UserWarning:
        return False
    return True


@contextmanager
def _collapse(action: Literal["error", "ignore"]) -> Iterator[None]:
    """What to do with matplotlib's words for panels without room, which are warned of in ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings(action, "constrained_layout not applied", UserWarning)
        yield


def panels(
    cells: Sequence[tuple[int, int]],
    aspect: float,
    look: Look,
    *,
    beside: float = 0.0,
    below: float = 0.0,
    first: float = 1.0,
    least: float = 0.0,
) -> Canvas:
    """Panels of one size on a grid, or the user's own.

    Parameters
    ----------
    cells
        Row and column of each panel.
    aspect
        Width per height of a panel.
    look
        The options of the call.
    beside, below
        Inches that the legends of all columns need at the right of panels, and those of all rows below them.
    first
        How much wider than the others the first column is.
    least
        Inches of height that a panel needs for its labels.
    """
    import matplotlib.pyplot as plt

    given = user_canvas(look, len(cells))
    if given is not None:
        return given
    rows, columns = (max(cell[side] for cell in cells) + 1 for side in (0, 1))
    width = min(MAX_WIDTH, first * panel_width(columns - 1 + first, beside))
    height = min(width / aspect, MAX_HEIGHT)
    width, height = min(width, height * aspect), max(height, least)
    size = (
        (1 + (columns - 1) / first) * width + columns * _BETWEEN + beside,
        rows * (height + _TITLE) + below + 0.25 * isinstance(look.title, str),
    )
    figure = plt.figure(figsize=look.figsize or size, layout="constrained")
    grid = figure.add_gridspec(rows, columns, width_ratios=[first, *[1.0] * (columns - 1)])
    return laid_out(figure, [figure.add_subplot(grid[cell]) for cell in cells], look)


def panel_width(columns: float, beside: float) -> float:
    """Inches of each of so many panels, when legends beside them take their part of the page."""
    return min(MAX_WIDTH, max(0.8, (PAGE - beside) / columns - _BETWEEN))


def inches_of(ax: Axes) -> tuple[float, float]:
    """Width and height that a panel has before its surroundings are laid out."""
    extent = ax.get_window_extent()
    return extent.width / ax.figure.dpi, extent.height / ax.figure.dpi


def name_rows(ax: Axes, names: list[str]) -> None:
    """Name the rows of a panel from the top down, without a frame around them."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def ink() -> str:
    """Colour of what is black in a light style."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def halo(width: float, color: str = "white") -> list[Any]:
    """A rim of so many points, in which a line or print can be seen on any ground."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground=color)]


def _scanpys_path(name: str) -> Path:
    """Where scanpy saves a figure of this name."""
    import scanpy as sc

    return Path(sc.settings.figdir) / f"{name}.{sc.settings.file_format_figs}"
