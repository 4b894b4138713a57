"""Which of the images in a TIFF file is the slide, and which are its levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multist._settings import logger

_REDUCED, _MASK, _MACRO = 1, 4, 8  # bits of NewSubfileType; Aperio marks its overview of the whole glass by 1 and 8
_COLOUR = (2, 6)  # RGB, and YCbCr, which some codecs make RGB
# formats without pyramids, where tifffile goes by the shapes of pages
_GUESSED = ("generic", "uniform", "shaped", "imagej")
_NAMED = re.compile(r"(?<![a-z])(label|macro|overview|thumbnail|map|preview)(?![a-z])", re.IGNORECASE)
_DESCRIBED = re.compile(r"^\s*(label|macro|overview|thumbnail|map|preview)\b", re.IGNORECASE | re.MULTILINE)


def largest_image(series: Sequence[Any]) -> int:
    """Position of the image with the most pixels in a plane."""
    return max(range(len(series)), key=lambda i: _side(series[i], "Y") * _side(series[i], "X"))


def level_places(path: Path, series: Sequence[Any], main: int) -> list[tuple[int, int]]:
    """Image and level of each level of the slide, finest first.

    A level is what the file declares to be one: a SubIFD, a page that the maker of the scanner puts there, or a page
    that is marked as a reduced copy. A label, an overview of the glass or a mask is none, nor is a page with other
    colours or of another shape.
    """
    finest = series[main]
    places, sizes = [(main, 0)], {(_side(finest, "Y"), _side(finest, "X"))}
    others = [(main, k) for k in range(1, len(finest.levels))]
    others += [(i, k) for i, one in enumerate(series) if i != main for k in range(len(one.levels))]
    for number, k in others:
        level = series[number].levels[k]
        size = _side(level, "Y"), _side(level, "X")
        declared = _is_reduced(level) or _is_subifd(level, finest) or (number == main and finest.kind not in _GUESSED)
        if declared and size not in sizes and _is_smaller_copy(level, finest) and not _is_something_else(level):
            places.append((number, k))
            sizes.add(size)
        else:
            logger.info(
                "%s: an image of %d x %d pixels is no level of the slide, by what the file says of it",
                path.name,
                *size[::-1],
            )
    return sorted(places, key=lambda place: -_side(series[place[0]].levels[place[1]], "Y"))


def _side(one: Any, axis: str) -> int:
    return int(dict(zip(one.axes, one.shape, strict=True)).get(axis, 1))


def _is_reduced(one: Any) -> bool:
    return bool(one.keyframe.subfiletype & _REDUCED)


def _is_subifd(one: Any, finest: Any) -> bool:
    """Whether a page hangs below the one of the finest level."""
    return bool(one.keyframe.is_subifd and one.keyframe.treeindex[:-1] == finest.keyframe.treeindex)


def _is_something_else(one: Any) -> bool:
    """Whether a page is, by its mark, name or description, a mask, a label or an overview of the glass."""
    page = one.keyframe
    return bool(
        page.subfiletype & (_MASK | _MACRO)
        or _NAMED.search(one.name or "")
        or _DESCRIBED.search(page.description or "")
    )


def _is_smaller_copy(other: Any, finest: Any) -> bool:
    """Whether a page has the form of a level: the same kind of pixels, and the same shape to a pixel."""
    for attribute in ("samplesperpixel", "bitspersample", "planarconfig", "extrasamples"):
        if getattr(other.keyframe, attribute) != getattr(finest.keyframe, attribute):
            return False
    if (other.keyframe.photometric in _COLOUR) != (finest.keyframe.photometric in _COLOUR):
        return False
    if other.axes != finest.axes or other.dtype != finest.dtype:
        return False
    sides = [_side(other, axis) for axis in "YX"]
    factors = [_side(finest, axis) / side for axis, side in zip("YX", sides, strict=True)]
    return min(factors) > 1 and abs(factors[0] - factors[1]) <= max(factors) / min(sides)
