"""What is drawn above a map: a person's strokes, and spots that are pointed at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multist._missing import as_name, as_names, is_missing_text, renamed
from multist._spacing import spacing
from multist.access import listed
from multist.pl import _colors
from multist.pl._base import draw_circles, points_per_unit
from multist.pl._canvas import halo, ink
from multist.pl._places import beside_rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from multist.pl._layer import Layer
    from multist.pl._look import Look
    from multist.pl._slides import Slides

_CENTRE, _RING = 0.85, 1.4
"""Diameters of the filled centre and of the ring, in those of the spot."""
_LEAST_STROKE, _LEAST_RING = 4.5, 6.5
"""Points of a filled centre and of a ring at least, unless they would reach the next spots' centres."""


def stroke_colors(values: pd.Series, slides: Slides, key: str, beside: Sequence[Layer], look: Look) -> dict[str, str]:
    """Colour of each class that a person gave: that of the same name in the first drawn layer with one, or its own."""
    class_colors = _colors.category_colors(slides.tables, key, values, look.palette)
    drawn = {name: color for layer in reversed(beside) for name, color in layer.colors.items()}
    return {name: drawn.get(name, color) for name, color in class_colors.items()}


def stroke_values(slides: Slides, key: str, unlabeled_category: str | None) -> pd.Series:
    """Classes that a person gave, missing where there is none.

    Parameters
    ----------
    slides
        The sections.
    key
        Column of ``obs``.
    unlabeled_category
        Value that means "not named"; None takes the one that domains were found with, if these strokes guided any.

    Raises
    ------
    KeyError
        If there is no such column, or nothing in it is named ``unlabeled_category``.
    ValueError
        If it holds numbers that are no names.
    """
    values = _colors.obs_names(slides.obs, key, "labels_key")
    values = renamed(values, [as_name(name).strip() for name in values.cat.categories])
    told = [unlabeled_category] if unlabeled_category is not None else _unlabeled_of(slides, key)
    unnamed = {as_name(name).strip() for name in told}
    if unlabeled_category is not None and not unnamed & {*values.cat.categories, *filter(is_missing_text, unnamed)}:
        raise KeyError(
            f"unlabeled_category {unlabeled_category!r} is no value of obs[{key!r}]; "
            f"found: {listed(values.cat.categories)}"
        )
    return values.cat.remove_categories(
        [name for name in values.cat.categories if not name or is_missing_text(name) or name in unnamed]
    )


def _unlabeled_of(slides: Slides, key: str) -> Iterator[str]:
    """What meant "not named" where domains were found by these strokes."""
    for entry in (entry for table in slides.tables for entry in table.uns.values() if isinstance(entry, Mapping)):
        params = entry.get("params")
        if isinstance(params, Mapping) and params.get("labels_key") == key and "unlabeled_category" in params:
            yield params["unlabeled_category"]


def draw_strokes(
    ax: Axes,
    slides: Slides,
    section: int,
    values: pd.Series,
    colors: dict[str, str],
    size: float,
    *,
    over_numbers: bool = False,
) -> None:
    """Fill the centre of every spot that carries a label in its class's colour, with a dark edge.

    Over numbers it is white, since colours would be read as numbers. Where spots are small, strokes cover them.
    """
    from matplotlib.colors import to_rgba_array

    rows = slides.rows(section)
    codes = values.cat.codes.to_numpy()[rows]
    marked = codes >= 0
    if not marked.any():
        return
    least = _least(ax, slides.xy[rows], _LEAST_STROKE)
    diameter = np.maximum(_CENTRE * size * slides.diameters(section)[marked], least)
    rgba = to_rgba_array(["white"] if over_numbers else list(colors.values()))[codes[marked] * (not over_numbers)]
    circles = draw_circles(ax, slides.xy[rows[marked]], diameter, rgba)
    width = float(np.clip(0.18 * np.median(diameter) * points_per_unit(ax), 0.5, 1.0))
    circles.set(edgecolors="black", linewidths=width, zorder=4)


def _least(ax: Axes, xy: np.ndarray, points: float) -> float:
    """So many points in units of a panel, or the distance between the spots if that is less."""
    apart = spacing(xy)
    return float(np.fmin(points / points_per_unit(ax), apart)) if np.isfinite(apart) else 0.0


def stroke_entries(colors: dict[str, str], beside: Layer) -> dict[str, dict[str, Any]]:
    """What a legend says of the strokes."""
    if not colors:
        return {}
    edge = {"markersize": 4.5, "markeredgecolor": "black", "markeredgewidth": 0.8}
    if beside.is_numeric or set(colors) <= set(beside.entries()):
        return {"labelled by hand": {"color": "white", **edge}}
    return {f"by hand: {name}": {"color": color, **edge} for name, color in colors.items()}


def ring_entry(rings: str | Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """What a legend says of the rings: the name of their column if they have one."""
    ring = {"markersize": 7.0, "markerfacecolor": "none", "markeredgecolor": ink(), "markeredgewidth": 1.2}
    return {rings if isinstance(rings, str) else "pointed at": ring}


def ringed_rows(slides: Slides, rings: str | Sequence[str] | None) -> np.ndarray:
    """Rows that are pointed at, in the order in which they are numbered.

    Parameters
    ----------
    slides
        The sections.
    rings
        A column of ``obs`` with True where a spot is meant, or names of spots; None for none.

    Raises
    ------
    KeyError
        If the column or a spot is not there.
    ValueError
        If the column does not hold True and False.
    """
    if isinstance(rings, str):
        if rings not in slides.obs:
            found = listed(slides.obs)
            raise KeyError(f"rings {rings!r} not found in obs; found: {found}. Spots by name are given as a list")
        meant = as_names(slides.obs[rings])
        if not set(meant.cat.categories) <= {"True", "False"}:
            held = slides.obs[rings].dtype
            raise ValueError(f"rings names the column {rings!r}, which holds {held}, not True and False")
        return np.flatnonzero(meant == "True")
    names = [] if rings is None else list(map(str, rings))
    places = pd.Series(np.arange(len(slides.obs)), index=slides.obs.index.astype(str))
    missing = [name for name in names if name not in places.index]
    if missing:
        raise KeyError(
            f"rings {', '.join(map(repr, missing))} not found in obs_names, which has "
            f"{', '.join(map(repr, places.index[:3]))}, ..."
        )
    return np.concatenate([np.atleast_1d(places[name]) for name in names]) if names else np.array([], dtype=int)


def draw_rings(ax: Axes, slides: Slides, section: int, ringed: np.ndarray, size: float) -> None:
    """Rings around the pointed-at spots of a section, with their numbers."""
    here = np.flatnonzero(slides.section[ringed] == section)
    if not len(here):
        return
    rows = ringed[here]
    least = _least(ax, slides.xy[slides.rows(section)], _LEAST_RING)
    diameter = max(_RING * size * float(np.median(slides.diameters(section))), least)
    rim = halo(2.6)
    circles = draw_circles(ax, slides.xy[rows], np.full(len(rows), diameter), np.zeros((len(rows), 4)))
    circles.set(edgecolors="black", linewidths=1.2, zorder=5, path_effects=rim)
    numbers = [str(number) for number in here + 1]
    offsets, moved = beside_rings(ax, slides.xy[rows], diameter, numbers)
    line = {"arrowstyle": "-", "shrinkA": 0, "shrinkB": points_per_unit(ax) * diameter / 2, "path_effects": rim}
    for number, xy, offset, away in zip(numbers, slides.xy[rows].tolist(), offsets.tolist(), moved, strict=True):
        text = ax.annotate(
            number,
            xy,
            offset,
            color="black",
            textcoords="offset points",
            ha="center",
            va="center",
            zorder=6,
            fontweight="bold",
            annotation_clip=True,
            arrowprops=line if away else None,
        )
        text.set_path_effects(rim)
