"""Colours of categories, the same in every plot."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator

# The colours of Okabe and Ito (Color Universal Design, 2008), without black and with their pink moved back because it
# is that of eosin; then each the farthest in CIELAB from all before it, from glass and from eosin, under normal,
# deuteranope and protanope vision (matrices of Machado et al. 2009, doi:10.1109/TVCG.2009.113).
_COLORS = (
    "#E69F00 #0072B2 #009E73 #D55E00 #56B4E9 #F0E442 #780069 #C3E196 #4B3C0F #CC79A7 #2D5AD2 #69F0F0 #D22D4B #781E3C "
    "#D2965A #00F0C3 #4B96FF #007878 #A5E15A #FF8796 #874B00 #4B693C #5A2D96 #3CB4C3 #696996 #B41E69 #5A961E #A569D2 "
    "#78E1FF #69C3A5 #E1873C #960F1E"
).split()

MISSING_COLOR = "#BFBFBF"
"""Colour of observations without a category."""


def domain_colors(n: int) -> list[str]:
    """The first ``n`` colours, as ``"#RRGGBB"``; made for up to 32 categories, beyond that still all different.

    Parameters
    ----------
    n
        Number of categories.

    Returns
    -------
    ``n`` different colours; those for a smaller ``n`` are the start of those for a larger one.
    """
    colors = list(_COLORS[:n])
    step = 0
    while len(colors) < n:
        # golden-ratio steps around the colour circle never meet; lightness takes turns so that neighbours differ in it
        hue, lightness = (step * 0.61803398875) % 1.0, (0.35, 0.5, 0.65)[step % 3]
        color = "#{:02X}{:02X}{:02X}".format(*(round(255 * c) for c in colorsys.hls_to_rgb(hue, lightness, 0.55)))
        if color not in colors:
            colors.append(color)
        step += 1
    return colors


def spare_colors(n: int, taken: Iterable[str]) -> Iterator[str]:
    """``n`` colours of :func:`domain_colors` at least that are not ``taken``, whatever case these are written in."""
    used = {color.lower() for color in taken}
    return (color for color in domain_colors(n + len(used)) if color.lower() not in used)
