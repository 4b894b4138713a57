"""With what a result was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from multist._keys import MULTIST
from multist._report.page import Cell, Part, Table
from multist._report.result import Result

_VERSIONS = "versions"
_MAX_LISTED = 8
_HEADS = {
    "params": "tl.multist_domains",
    "histology": "pp.embed_histology",
    "border_sharpness_params": "tl.border_sharpness",
}
"""Which function wrote an entry; of others its name says it."""


def decisions(result: Result) -> Part | str:
    """What functions decided by themselves."""
    held = result.entry.get("decisions", {})
    named = held if isinstance(held, Mapping) else {"": held}
    rows = [[Cell(str(name)), Cell(str(line))] for name, lines in named.items() for line in np.atleast_1d(lines)]
    if not rows:
        return "none are recorded in the result"
    return Part("Decisions", "What was decided along the way.", tables=[("", Table(["by", "decision"], rows))])


def parameters(result: Result) -> Part | str:
    """What each function was asked for."""
    tables = []
    for name, params in _entries(result):
        rows = [[Cell(path), Cell(text)] for path, text in _flat(params) if not path.startswith(_VERSIONS)]
        if rows:
            tables.append((_HEADS.get(name, name), Table(["parameter", "value"], rows)))
    if not tables:
        return "none are recorded in the result"
    return Part("Parameters", "What each step was asked for.", tables=tables)


def versions(result: Result) -> Part | str:
    """Which versions made which part."""
    found: dict[str, str] = {}
    for source in (result.entry, *(params for _, params in _entries(result))):
        of = source.get(_VERSIONS)
        if isinstance(of, Mapping):
            found |= {str(name): str(number) for name, number in of.items()}
    if not found:
        return "none are recorded in the result"
    rows = [[Cell(name), Cell(number)] for name, number in sorted(found.items())]
    return Part("Versions", "", tables=[("", Table(["package", "version"], rows))])


def _entries(result: Result) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Parameters in ``uns``, by what they belong to."""
    shared = result.record.table.uns.get(MULTIST, {})
    if result.key != MULTIST and isinstance(shared, Mapping) and isinstance(shared.get("histology"), Mapping):
        yield "histology", shared["histology"]
    for name, value in result.entry.items():
        if not isinstance(value, Mapping):
            continue
        if name == "histology" or name.endswith("params"):
            yield name, value
        elif isinstance(value.get("params"), Mapping):
            yield f"tl.{name}", value["params"] | ({_VERSIONS: value[_VERSIONS]} if _VERSIONS in value else {})


def _flat(params: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Path and text of each value."""
    for name, value in sorted(params.items()):  # files do not keep their order
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray | list | tuple):
        items = np.asarray(value).ravel()
        if len(items) > _MAX_LISTED:
            return f"{len(items):,} values, from {_text(items[0])} to {_text(items[-1])}"
        return ", ".join(_text(item) for item in items)
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return str(value)
