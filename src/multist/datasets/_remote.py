"""Public files, fetched once, checked, and kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from multist._files import whole_file
from multist._progress import progress_bar
from multist._settings import logger, settings

SIGNATURES = {".h5": b"\x89HDF\r\n\x1a\n", ".gz": b"\x1f\x8b", ".png": b"\x89PNG\r\n\x1a\n"}
"""How files of a kind begin, so that the page of a portal or a proxy is not taken for data."""
_MIB = 2**20
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Fetched:
    """A file in the cache, and what is in it."""

    path: Path
    url: str
    sha256: str


def fetch(url: str, dataset: str, *, sha256: str | None = None, largest: int = 256) -> Fetched:
    """The file in ``settings.cache_dir``, downloaded if it is not there.

    A download that breaks off, is too large or is not what it should be leaves nothing behind. A file that was changed
    on disk is downloaded again.

    Parameters
    ----------
    url
        Where it is.
    dataset
        Name of the folder in the cache.
    sha256
        What is known to be in it, where that is published; None where it is not. Then what came first is trusted: its
        hash is recorded beside the file, and from then on nothing else is taken.
    largest
        MiB that it may have.

    Raises
    ------
    OSError
        The host cannot be reached or has no such file.
    ValueError
        What it gave is too large, of another kind, or another file than is known.
    """
    import pooch
    import requests

    folder = Path(settings.cache_dir).expanduser() / "datasets" / dataset
    name = PurePosixPath(url).name
    path, seen = folder / name, folder / f"{name}.sha256"
    known = sha256 or (seen.read_text(encoding="ascii").strip() if seen.is_file() else None)
    try:
        pooch.retrieve(url, known, fname=name, path=folder, downloader=_Downloader(name, largest))
    except requests.RequestException as error:
        raise OSError(
            f"{url} cannot be fetched ({error}); connect, or put the file at {path} if you have it from elsewhere"
        ) from error
    except ValueError as error:
        if "does not match the known hash" not in str(error):
            raise
        why = (
            "the published sha256 of it is another"
            if sha256
            else f"it has changed since it was first fetched; if you trust the new one, delete {seen}"
        )
        raise ValueError(f"{url} is not the file that is known: {why}") from error
    found = known or pooch.file_hash(str(path))
    if known is None:
        with whole_file(seen) as note:
            note.write_text(found + "\n", encoding="ascii")
        logger.info("%s is trusted as it came; its sha256 is kept in %s", url, seen)
    return Fetched(path, url, found)


class _Downloader:
    """Writes what a host gives into the file that pooch opens, as far as it may be."""

    def __init__(self, name: str, largest: int) -> None:
        self.name, self.largest = name, largest

    def __call__(self, url: str, output_file: str | IO[bytes], pooch: Any, *, check_only: bool = False) -> None:
        import requests

        suffix = Path(self.name).suffix
        limit, signature = self.largest * _MIB, SIGNATURES.get(suffix, b"")
        with requests.get(url, stream=True, timeout=_TIMEOUT) as answer, Path(str(output_file)).open("wb") as out:
            answer.raise_for_status()
            announced = int(answer.headers.get("content-length", 0))
            if announced > limit:
                raise ValueError(f"{url} has {announced / _MIB:.0f} MiB, more than the {self.largest} that it may have")
            written = 0
            with progress_bar(announced, self.name, "bytes") as bar:
                for chunk in answer.iter_content(_MIB):
                    if written == 0 and not chunk.startswith(signature):
                        raise ValueError(f"what {url} gives is no {suffix} file: {chunk[:40]!r}")
                    written += len(chunk)
                    if written > limit:
                        raise ValueError(f"{url} gives more than the {self.largest} MiB that it may have")
                    out.write(chunk)
                    bar.update(len(chunk))
            if written == 0:
                raise ValueError(f"what {url} gives is empty")
