"""What a page is made of, and how it is written."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multist._files import whole_file

if TYPE_CHECKING:
    import pandas as pd

_DPI = 180
_SHOWN_DPI = 124
"""By which inches become pixels of the page, so that print is as large in all figures and a page's width fills it."""
_QUALITY = 88


@dataclass(frozen=True)
class Cell:
    """Of a table.

    Attributes
    ----------
    text
        What is written.
    color
        Of the swatch before it, ``#rrggbb``; none if empty.
    share
        Length of the bar behind it, 0 to 1.
    number
        Whether it stands at the right.
    """

    text: str
    color: str = ""
    share: float = 0.0
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Heads of the columns and rows of cells."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Picture:
    """A figure: an address that holds it, its width in pixels of the page, and what it shows, in words."""

    source: str
    width: int
    shows: str


@dataclass(frozen=True)
class Part:
    """A section of the page.

    Attributes
    ----------
    title, text
        What it is, and what to know to read it.
    figures
        As :func:`picture` gives them.
    tables
        Below the figures, each with a caption, which may be empty.
    """

    title: str
    text: str
    figures: Sequence[Picture] = ()
    tables: Sequence[tuple[str, Table]] = ()


@dataclass(frozen=True)
class Tissue:
    """The picture at the top: domains, and the image beneath them where there is one."""

    domains: Picture
    image: Picture | None = None


@dataclass
class Page:
    """All that the template shows."""

    title: str
    summary: str
    tissue: Tissue
    parts: list[Part] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    made_by: str = ""


def picture(figure: Any, shows: str, *, transparent: bool = False) -> Picture:
    """A figure without its margins; the figure is closed."""
    import matplotlib.pyplot as plt
    from PIL import Image

    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"quality": _QUALITY, "method": 4}}
    figure.savefig(
        buffer, format="webp", dpi=_DPI, transparent=transparent, bbox_inches="tight", pad_inches=0.02, **options
    )
    plt.close(figure)
    width = Image.open(buffer).width * _SHOWN_DPI / _DPI
    held = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/webp;base64,{held}", round(width), shows)


def table_of(frame: pd.DataFrame, colors: dict[str, str], domains: Sequence[str]) -> Table:
    """A DataFrame without its empty columns; the names in the columns ``domains`` get the colours of the domains."""
    frame, rows = frame.dropna(axis=1, how="all"), []
    for record in frame.to_dict("records"):
        rows.append(
            [_cell(value, colors.get(str(value), "") if name in domains else "") for name, value in record.items()]
        )
    return Table([str(name).replace("_", " ") for name in frame.columns], rows)


def _cell(value: Any, color: str) -> Cell:
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no")
    if isinstance(value, float | np.floating):
        return Cell("" if np.isnan(value) else f"{value:.3g}", number=True)
    if isinstance(value, int | np.integer):
        return Cell(f"{value:,}", number=True)
    return Cell(str(value), color)


def write_page(page: Page, path: str | Path) -> Path:
    """Write a page, whole or not at all."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("multist._report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.get_template("report.html").render(page=page)
    path = Path(path).expanduser()
    with whole_file(path) as file:
        file.write_text(html, encoding="utf-8")
    return path
