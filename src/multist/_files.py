"""Files that are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = re.compile(r"\.multist-[0-9a-f]{16}(\.\w+)?")
"""Names of files that are being written, or were when their process was killed."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A file to be written, which takes the place of ``path`` when the body is through.

    Nobody ever sees half of it: where the body fails, the disk is full or the process is killed, ``path`` is as it was.
    Several processes may write to one path; it then holds what one of them wrote, whole.

    Parameters
    ----------
    path
        What to write; folders on the way to it are made. A file that is replaced hands on its permissions; a link
        stays, and where it points to is replaced; a device is written to directly.

    Yields
    ------
    A path beside it that ends alike, for the body to write.

    Raises
    ------
    IsADirectoryError
        If ``path`` is a folder.
    """
    target = Path(path).resolve()
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".multist-{secrets.token_hex(8)}{target.suffix}")
    try:
        yield unfinished
        with unfinished.open("rb+") as handle:
            os.fsync(handle.fileno())  # else a power cut could leave the name without the content
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
