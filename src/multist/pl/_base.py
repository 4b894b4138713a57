"""What the plots share: a section's window and image, its scale bar, and its spots in their true shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from multist.pl._canvas import inches_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection, EllipseCollection

    from multist.access.record import SectionImage
    from multist.pl._look import Look
    from multist.pl._slides import Slides

_FADED = 0.45
"""Opacity of the image under numbers."""
LUMA = (0.299, 0.587, 0.114)
"""Brightness of red, green and blue."""
_MAX_VECTORS = 10_000
"""Beyond so many shapes a vector file is slow to open."""
_SCREEN = 1000
"""Pixels of a photograph's longest side that a screen shows."""
_BAR_POINTS, _BAR_SHARE = np.array([44.0, 22.0]), 0.22
"""Width and height in points that a scale bar takes up at least, and the share of a panel's width if that is more."""
_MIN_SHAPE = 0.8
"""Points: shapes that are smaller look like dots whatever they are."""


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


def section_window(slides: Slides, section: int, *, crop: bool) -> Window:
    """What a panel shows: the spots and a margin around them, or the whole image."""
    image = slides.images[section]
    if image is not None and not crop:
        return Window(0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    rows = slides.rows(section)
    radius = slides.diameters(section)[:, None] / 2
    low, high = (slides.xy[rows] - radius).min(axis=0), (slides.xy[rows] + radius).max(axis=0)
    margin = 0.03 * (high - low).max()
    (left, top), (right, bottom) = (low - margin).tolist(), (high + margin).tolist()
    if image is not None:
        # an empty strip beside the photograph looks like a mistake, so the margin ends with the image
        left, top = max(left, min(0.0, low[0])), max(top, min(0.0, low[1]))
        right, bottom = min(right, max(image.shape[1], high[0])), min(bottom, max(image.shape[0], high[1]))
    return Window(left, top, right, bottom)


def read_window(
    image: SectionImage, window: Window, max_pixels: int = _SCREEN
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Pixels of a window at the resolution that is needed, read from the coarsest level that is fine enough.

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


def draw_section(
    ax: Axes, slides: Slides, section: int, window: Window, look: Look, *, under_numbers: bool = False
) -> None:
    """Prepare a panel: the image if there is one, y down, equal scales, no ticks, a scale bar where the scale is known.

    Parameters
    ----------
    ax
        The panel.
    slides, section, window
        What to show.
    look
        The options of the call.
    under_numbers
        Whether numbers are to be read above the image, which is then grey and faded unless ``look`` says otherwise.
    """
    ax.set(xlim=(window.left, window.right), ylim=(window.bottom, window.top), xticks=[], yticks=[])
    ax.set_aspect("equal", anchor="N")
    ax.spines[:].set_visible(False)
    microns = look.microns_per_pixel or slides.microns_per_pixel[section]
    if microns is not None:
        rows = slides.rows(section)
        _scale_bar(ax, microns, slides.xy[rows], slides.diameters(section))
        window = window._replace(bottom=ax.get_ylim()[0])
    image = slides.images[section]
    if image is not None and window.left < image.shape[1] and window.top < image.shape[0] and min(window[2:]) > 0:
        pixels, extent = read_window(image, window, max(_SCREEN, int(np.ceil(look.dots * max(inches_of(ax))))))
        if under_numbers if look.bw is None else look.bw:
            pixels = np.repeat((pixels @ LUMA).round().astype(np.uint8)[..., None], 3, axis=2)
        usual = _FADED if under_numbers else 1.0
        opacity = usual if look.img_alpha is None else look.img_alpha
        ax.imshow(pixels, extent=extent, interpolation="antialiased", alpha=opacity, zorder=0)


def _scale_bar(ax: Axes, microns_per_pixel: float, xy: np.ndarray, diameter: np.ndarray) -> None:
    """A scale bar in a corner without spots.

    Where there are spots in each, it is below them, and the panel ends lower; a close-up, which has spots beyond its
    end, stays as it is.
    """
    from matplotlib_scalebar.scalebar import ScaleBar

    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    size = np.maximum(_BAR_POINTS / points_per_unit(ax), (_BAR_SHARE * abs(right - left), 0))
    reach = size + diameter[:, None] / 2
    covered = {
        f"{side} {end}": int((np.abs(xy - (x, y)) < reach).all(axis=1).sum())
        for side, y in (("lower", bottom), ("upper", top))
        for end, x in (("left", left), ("right", right))
    }
    place: dict[str, Any] = {"location": min(covered, key=covered.__getitem__)}
    lowest = float((xy[:, 1] + diameter / 2).max())
    if covered[place["location"]] and lowest <= bottom:
        place = {"location": "upper left", "bbox_to_anchor": (left, lowest), "bbox_transform": ax.transData}
        ax.set_ylim(max(bottom, lowest + float(size[1])), top)
    bar = ScaleBar(
        microns_per_pixel,
        "um",
        box_alpha=0.7,
        pad=0.25,
        border_pad=0.35,
        sep=2,
        width_fraction=0.012,
        font_properties={"size": 7},
        # text is drawn as it is, and the library's micro sign is TeX
        scale_formatter=lambda value, unit: f"{value:g} {'µm' if 'mu' in unit else unit}",
        **place,
    )
    bar.set_zorder(7)
    ax.add_artist(bar)


def draw_spots(ax: Axes, slides: Slides, section: int, rgba: np.ndarray, size: float) -> Collection:
    """All spots of a section in their true shape and size: circles, bins, or the polygons of cells.

    Parameters
    ----------
    ax
        The panel, its limits set.
    slides, section
        Whose spots.
    rgba
        (n, 4) colours of the section's rows.
    size
        Factor to their true size.

    Returns
    -------
    The collection that was added.
    """
    from matplotlib.collections import PolyCollection

    rows = slides.rows(section)
    xy, diameter = slides.xy[rows], size * slides.diameters(section)
    corners = slides.polygons(section) if np.median(diameter) * points_per_unit(ax) > _MIN_SHAPE else None
    if corners is None:
        return draw_circles(ax, xy, diameter, rgba)
    if size != 1:
        corners = [place + size * (each - place) for place, each in zip(xy, corners, strict=True)]
    # without antialiasing there are no seams between bins that touch
    touching = all(len(each) == 4 for each in corners)
    shapes = PolyCollection(
        corners,
        facecolors=rgba,
        edgecolors="none",
        zorder=2,
        antialiaseds=not touching,
        rasterized=touching or len(rows) > _MAX_VECTORS,
    )
    ax.add_collection(shapes, autolim=False)
    return shapes


def points_per_unit(ax: Axes) -> float:
    """Points of print in a unit of a panel that is drawn with equal scales; the tighter side sets them."""
    extent = ax.get_window_extent()
    sides = (np.ptp(limits) for limits in (ax.get_xlim(), ax.get_ylim()))
    return float(72 / ax.figure.dpi * min(np.divide((extent.width, extent.height), tuple(sides))))


def draw_circles(ax: Axes, xy: np.ndarray, diameter: np.ndarray, rgba: np.ndarray) -> EllipseCollection:
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
        rasterized=len(xy) > _MAX_VECTORS,
    )
    ax.add_collection(circles, autolim=False)
    return circles
