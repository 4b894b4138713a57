"""What the plots share: panels over a section's image, and one way to show, save and return."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from multist.access import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.collections import EllipseCollection
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

    from multist.access.record import SectionImage, SpatialRecord

_SCALE_BARS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Window(NamedTuple):
    """A rectangle in intrinsic pixels, y pointing down."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def aspect(self) -> float:
        """Width per height."""
        return (self.right - self.left) / (self.bottom - self.top)


def resolve_drawn(
    data: AnnData | SpatialData, *, image_key: str | None, table_key: str | None, library_key: str | None
) -> SpatialRecord:
    """The record of what a plot shows.

    Spots off the image are drawn where they are, with a warning; where most are off an image that is not named, it is left out.

    Parameters
    ----------
    data, table_key, library_key
        As the plots take them.
    image_key
        Name of an image, ``"auto"`` for the only one, as it was scanned, or None for none.
    """
    named = image_key not in (None, "auto")
    return resolve(
        data,
        table_key=table_key,
        image_key=image_key if named else None,
        library_key=library_key,
        image=False if image_key is None else "auto",
        prefer_normalized=False,
        strays=True,
    )


def spot_diameters(record: SpatialRecord, rows: np.ndarray) -> np.ndarray:
    """Diameters of ``rows``; where unknown, the spacing: the median distance to the fourth nearest other spot.

    On hexagonal and square lattices this is their spacing; among scattered cells it is close to that of a lattice
    as dense, which the distance to the nearest is not.

    Parameters
    ----------
    record
        The resolved input.
    rows
        Rows of one section.

    Returns
    -------
    (len(rows),) float64, in the units of ``record.xy``, all positive.
    """
    from scipy.spatial import cKDTree

    diameter = record.diameter[rows].astype(float)
    unknown = ~(diameter > 0)
    if unknown.any():
        xy = np.unique(record.xy[rows], axis=0)
        spacing = np.median(cKDTree(xy).query(xy, k=min(5, len(xy)))[0][:, -1]) if len(xy) > 1 else 1.0
        diameter[unknown] = spacing
    return diameter


def section_window(record: SpatialRecord, section: int, *, crop: bool) -> Window:
    """What a panel shows: the spots and a margin around them, or the whole image."""
    image = record.images[section]
    if image is not None and not crop:
        return Window(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    rows = np.flatnonzero(record.section == section)
    radius = spot_diameters(record, rows)[:, None] / 2
    low, high = (record.xy[rows] - radius).min(axis=0), (record.xy[rows] + radius).max(axis=0)
    margin = 0.03 * (high - low).max()
    (left, top), (right, bottom) = (low - margin).tolist(), (high + margin).tolist()
    if image is not None:
        # an empty strip beside the photograph looks like a mistake, so the margin ends with the image
        left, top = max(left, min(0.0, low[0])), max(top, min(0.0, low[1]))
        right, bottom = min(right, max(image.shape[1], high[0])), min(bottom, max(image.shape[0], high[1]))
    return Window(left, top, right, bottom)


def read_window(
    image: SectionImage, window: Window, max_pixels: int = 1400
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Pixels of a window at the resolution of a screen, read from the coarsest level that is fine enough.

    Parameters
    ----------
    image
        The section's pyramid.
    window
        What to read, in intrinsic pixels; what lies beyond the image is left out.
    max_pixels
        Longest side of the result.

    Returns
    -------
    (height, width, 3) uint8, and its extent (left, right, bottom, top) in intrinsic pixels as ``imshow`` takes it.
    """
    wanted = max(1.0, max(window.right - window.left, window.bottom - window.top) / max_pixels)
    level = max(i for i, step in enumerate(image.downsample) if step <= wanted or i == 0)
    array, step = image.levels[level], image.downsample[level]
    block = max(1, int(wanted / step))
    top, left = (max(0, int(np.floor(start / step))) for start in (window.top, window.left))
    bottom = min(array.shape[0], int(np.ceil(window.bottom / step)))
    right = min(array.shape[1], int(np.ceil(window.right / step)))
    # whole blocks only; the few pixels cut off lie in the margin
    bottom, right = max(bottom - (bottom - top) % block, top + 1), max(right - (right - left) % block, left + 1)
    pixels = np.asarray(array[top:bottom, left:right])
    if block > 1 and min(pixels.shape[:2]) >= block:
        height, width = pixels.shape[0] // block, pixels.shape[1] // block
        pixels = pixels[: height * block, : width * block].reshape(height, block, width, block, 3)
        pixels = pixels.mean(axis=(1, 3), dtype=np.float32).round().astype(np.uint8)
    return pixels, (left * step, right * step, bottom * step, top * step)


def draw_section(ax: Axes, record: SpatialRecord, section: int, window: Window) -> None:
    """Prepare a panel: the image if there is one, y down, equal scales, no ticks, and a scale bar where it is known."""
    image = record.images[section]
    if image is not None and window.left < image.shape[1] and window.top < image.shape[0] and min(window[2:]) > 0:
        pixels, extent = read_window(image, window)
        ax.imshow(pixels, extent=extent, interpolation="antialiased", zorder=0)
    ax.set(xlim=(window.left, window.right), ylim=(window.bottom, window.top), xticks=[], yticks=[])
    ax.set_aspect("equal", anchor="N")
    ax.spines[:].set_visible(False)
    microns = record.microns_per_pixel[section]
    if microns is not None:
        _scale_bar(ax, window, microns)


def _scale_bar(ax: Axes, window: Window, microns_per_pixel: float) -> None:
    from matplotlib import patheffects

    width = (window.right - window.left) * microns_per_pixel
    length = max((bar for bar in _SCALE_BARS if bar <= 0.3 * width), default=None)
    if length is None:
        return
    end = 0.03 + length / width
    halo = [patheffects.withStroke(linewidth=3.5, foreground="white")]
    line: dict[str, Any] = {"transform": ax.transAxes, "color": "black", "zorder": 5, "path_effects": halo}
    ax.plot([0.03, end], [0.03, 0.03], linewidth=2.5, solid_capstyle="butt", **line)
    label = f"{length} µm" if length < 1000 else f"{length // 1000} mm"
    ax.text((0.03 + end) / 2, 0.045, label, ha="center", va="bottom", fontsize="small", **line)


def draw_spots(ax: Axes, xy: np.ndarray, diameter: np.ndarray, rgba: np.ndarray) -> EllipseCollection:
    """Circles of a diameter in data units, so that they keep their true scale however the figure is sized.

    Parameters
    ----------
    ax
        The panel.
    xy, diameter
        (n, 2) centres and (n,) diameters in the units of the axes.
    rgba
        (n, 4) colours.

    Returns
    -------
    The collection that was added.
    """
    from matplotlib.collections import EllipseCollection

    circles = EllipseCollection(
        diameter,
        diameter,
        np.zeros(len(xy)),
        units="xy",
        offsets=xy,
        offset_transform=ax.transData,
        facecolors=rgba,
        edgecolors="none",
        zorder=2,
        # beyond this a vector file of circles is slow to open
        rasterized=len(xy) > 20_000,
    )
    ax.add_collection(circles)
    return circles


def check_axes(ax: Axes | None, count: int) -> None:
    """Raise ValueError if the user brought one axes for several panels."""
    if ax is not None and count != 1:
        raise ValueError(
            f"ax takes one panel, but {count} are to be drawn; leave ax out, or draw one column of one section"
        )


def panels(
    cells: Sequence[tuple[int, int]], aspect: float, legend_inches: tuple[float, float], ax: Axes | None
) -> tuple[Figure, list[Axes]]:
    """Panels large enough for a slide, or the one the user brought.

    Parameters
    ----------
    cells
        Row and column of each panel.
    aspect
        Width per height of a panel.
    legend_inches
        Width and height kept free for legends, in a row and in a column of panels.
    ax
        The user's own axes.

    Returns
    -------
    The figure and its panels in the order of ``cells``.
    """
    import matplotlib.pyplot as plt

    if ax is not None:
        return cast("Figure", ax.get_figure(root=True)), [ax]
    rows, columns = (max(cell[side] for cell in cells) + 1 for side in (0, 1))
    height = 4.2 if rows == 1 else 3.4
    width = height * min(max(aspect, 0.4), 2.5)
    size = (columns * width + legend_inches[0], rows * (height + 0.35) + legend_inches[1])
    figure = plt.figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    return figure, [figure.add_subplot(grid[cell]) for cell in cells]


def finish(
    figure: Figure, axes: list[Axes], *, ax: Axes | None, show: bool | None, save: str | Path | None
) -> Axes | list[Axes] | None:
    """Save, show and return as all plots here do.

    Parameters
    ----------
    figure, axes
        What was drawn.
    ax
        The user's own axes, which are neither shown nor closed.
    show
        Show the figure; by default if it is neither saved nor drawn into ``ax``.
    save
        File to save to; its suffix sets the format.

    Returns
    -------
    None if the figure was shown or saved and closed, else the axes: one, or a list of several.
    """
    import matplotlib.pyplot as plt

    if save is not None:
        path = Path(save).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200, bbox_inches="tight", facecolor="white")
    if show is None:
        show = save is None and ax is None
        if not show and ax is None:
            plt.close(figure)
            return None
    if show:
        plt.show()
        return None
    return axes[0] if len(axes) == 1 else axes
