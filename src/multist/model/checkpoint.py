"""Arrays and plain values in a folder: safetensors and JSON, nothing that could run code when it is read."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from multist._files import UNFINISHED, whole_file

FORMAT = 2
"""Version of the layout; a folder of another one is refused."""

RECORD = "multist.json"
_KIND = "model"
_ARRAYS = re.compile(r"arrays-[0-9a-f]{16}\.safetensors")
_ABANDONED = 3600
"""Seconds after which a file that the record does not name is what a killed process left, and nobody's work."""


def save_folder(folder: str | Path, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write a folder, or replace what this function wrote there before; at no moment is it half written.

    Of several processes that write to one folder at a time, the last one's model is there, whole.

    Parameters
    ----------
    folder
        Made where there is none.
    record
        What JSON can hold.
    arrays
        Name to array, of numbers or bool.

    Raises
    ------
    FileExistsError
        If the folder holds anything else.
    """
    from safetensors.numpy import save

    folder = Path(folder).expanduser()
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # ascontiguousarray would give single numbers a dimension
    content = save({name: np.asarray(value, order="C") for name, value in arrays.items()})
    # a name of its own, so that no other process takes this file for one that it may remove
    file = folder / f"arrays-{secrets.token_hex(8)}.safetensors"
    digest = hashlib.sha256(content).hexdigest()
    head = {"format": FORMAT, "kind": _KIND, "multist": version("multist"), "arrays": file.name, "sha256": digest}
    text = json.dumps(head | {"names": sorted(arrays), "record": record}, indent=1)
    before = _arrays_of(folder)
    try:
        with whole_file(file) as unfinished:
            unfinished.write_bytes(content)
        with whole_file(folder / RECORD) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except BaseException:
        if _arrays_of(folder) != file:
            file.unlink(missing_ok=True)
        raise
    _remove_old(folder, before)


def check_writable(folder: Path) -> None:
    """Raise a FileExistsError if the folder holds what :func:`save_folder` did not write."""
    if folder.exists():
        if not folder.is_dir():
            raise FileExistsError(f"{str(folder)!r} is a file; give a folder")
        _refuse_foreign(folder, FileExistsError)


def load_folder(folder: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record and the arrays of a folder that :func:`save_folder` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or it lacks a file.
    ValueError
        If the folder holds anything else, is of another version, or is truncated or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r}")
    _refuse_foreign(folder, ValueError)
    if not (folder / RECORD).is_file():
        raise FileNotFoundError(f"{str(folder)!r} holds no {RECORD}, so multist did not write it")
    head, content = _head_and_content(folder)
    file = folder / head["arrays"]
    if hashlib.sha256(content).hexdigest() != head.get("sha256"):
        raise ValueError(f"{str(file)!r} is truncated or damaged: {len(content)} bytes with another checksum")
    try:
        arrays = load(content)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a kind of number that numpy has not
        raise ValueError(f"{str(file)!r} is no safetensors file of numbers: {error}") from error
    if differing := set(arrays) ^ set(head["names"]):
        raise ValueError(f"{str(file)!r} does not hold what {RECORD} says: {', '.join(sorted(differing)[:3])}")
    return head["record"], arrays


def rooms_of(arrays: Mapping[str, np.ndarray]) -> defaultdict[str, dict[str, np.ndarray]]:
    """Arrays by what stands before the first dot of their names, and by the rest; what has no arrays is empty."""
    rooms: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for name, value in arrays.items():
        room, _, rest = name.partition(".")
        rooms[room][rest] = value
    return rooms


def _head_and_content(folder: Path) -> tuple[dict[str, Any], bytes]:
    """What the JSON file says, and what is in the file that it names."""
    head = _head(folder)
    while True:
        try:
            return head, (folder / head["arrays"]).read_bytes()
        except FileNotFoundError:
            missing, head = head["arrays"], _head(folder)
            if head["arrays"] == missing:  # else the model was replaced meanwhile
                raise FileNotFoundError(
                    f"{str(folder)!r} lacks {missing}, which {RECORD} names: was it copied whole?"
                ) from None


def _head(folder: Path) -> dict[str, Any]:
    """What the JSON file says, checked."""
    where = str(folder / RECORD)
    try:
        head = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{where!r} is nested too deeply to be a record") from None
    except ValueError as error:
        raise ValueError(f"{where!r} is truncated or no JSON: {error}") from error
    if not isinstance(head, dict) or not isinstance(head.get("format"), int):
        raise ValueError(f"{where!r} does not say in which format it is, so multist did not write it")
    if head["format"] != FORMAT:
        cure = "upgrade it" if head["format"] > FORMAT else "fit the model again"
        raise ValueError(
            f"{str(folder)!r} was written by multist {head.get('multist')} in format {head['format']}; "
            f"multist {version('multist')} reads format {FORMAT}: {cure}"
        )
    if not _ARRAYS.fullmatch(str(head.get("arrays"))) or not isinstance(head.get("record"), dict):
        raise ValueError(f"{where!r} lacks the name of its arrays or its record, so multist did not write it")
    names = head.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{where!r} lacks the names of the model's arrays, so multist did not write it")
    if head.get("kind") != _KIND:
        raise ValueError(f"{str(folder)!r} holds a {head.get('kind')}, not a {_KIND}")
    return head


def _refuse_foreign(folder: Path, error: type[Exception]) -> None:
    paths = sorted(folder.iterdir())
    if links := [path.name for path in paths if path.is_symlink()]:
        raise error(f"{links[0]!r} in {str(folder)!r} is a link, which multist did not make and does not follow")
    names = [path.name for path in paths]
    foreign = [n for n in names if n != RECORD and not _ARRAYS.fullmatch(n) and not UNFINISHED.fullmatch(n)]
    if foreign:
        named = ", ".join(map(repr, foreign[:3]))
        raise error(f"{str(folder)!r} holds {named}, which multist did not write; give a folder of its own")


def _arrays_of(folder: Path) -> Path | None:
    """The file that the record of a folder names, if there is a record that does."""
    try:
        return folder / _head(folder)["arrays"]
    except (FileNotFoundError, ValueError):
        return None


def _remove_old(folder: Path, before: Path | None) -> None:
    """Remove the arrays of the model that was replaced, and what killed processes left."""
    named, now = _arrays_of(folder), time.time()
    for path in folder.iterdir():
        abandoned = path == before or (path.name != RECORD and now - _written(path, now) > _ABANDONED)
        if abandoned and path != named:
            path.unlink(missing_ok=True)


def _written(path: Path, now: float) -> float:
    """When a file was written; now if it has gone meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return now
