"""Find a model: a folder, or a name on the Hugging Face hub, which answers at once or is said not to."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multist._settings import logger

PATIENCE = 4.0
"""Seconds in which the hub has to answer; the libraries' own tries go on for half a minute."""
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_WEIGHTS = (".safetensors", ".bin")
"""Endings of weights, in the order in which they are preferred."""


@dataclass(frozen=True)
class Located:
    """A model on this machine.

    Attributes
    ----------
    folder
        Where its configuration and weights are.
    revision
        Commit on the hub; empty for a folder.
    licence
        As its page states it; empty where it is not known.
    """

    folder: Path
    revision: str = ""
    licence: str = ""


def locate(name: str, encoder: str) -> Located:
    """The folder of a model, which is downloaded to the hub's own cache if it is not there.

    Parameters
    ----------
    name
        A folder with a ``config.json``, or ``"owner/name"`` or ``"owner/name@revision"`` on the hub.
    encoder
        What the user asked for, for errors.

    Raises
    ------
    ValueError
        If it is neither.
    OSError
        If the hub has no such model, gives no access to it, or does not answer within four seconds while the model is
        not in its cache.
    """
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return Located(folder)
    if folder.is_dir():
        raise ValueError(f"encoder {encoder!r}: folder {name!r} holds no config.json, so it is no saved model")
    if not _NAME.fullmatch(name):
        raise ValueError(f"encoder {encoder!r}: {name!r} is neither a folder nor a name on the hub, 'owner/name'")
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    executor = ThreadPoolExecutor(1)
    asked = executor.submit(_ask, repository, revision or None)
    executor.shutdown(wait=False)
    try:
        failure = asked.exception(PATIENCE)
    except TimeoutError as error:
        failure = error
    if failure is None:
        sha, licence, files = asked.result()
        return Located(Path(snapshot_download(repository, revision=sha, allow_patterns=files)), sha, licence)
    kept = _kept(repository, revision)
    if kept is None:
        raise OSError(_advice(failure, repository, encoder)) from failure
    logger.warning("the hub does not give %r (%s): the copy in its cache is taken", repository, _reason(failure))
    return Located(kept, kept.name)


def _ask(repository: str, revision: str | None) -> tuple[str, str, list[str]]:
    """Revision and licence of a model on the hub, and the files that are needed."""
    from huggingface_hub import HfApi

    api = HfApi()
    info: Any = api.model_info(repository, revision=revision, timeout=PATIENCE)
    if info.gated:
        api.auth_check(repository)
    licence = getattr(info.card_data, "license", None) or ""
    top = [file.rfilename for file in info.siblings if "/" not in file.rfilename]
    by_ending = ([name for name in top if name.endswith(end)] for end in _WEIGHTS)
    weights: list[str] = next(filter(None, by_ending), [])
    licence = licence if isinstance(licence, str) else ", ".join(licence)
    return str(info.sha), licence, [*(name for name in top if name.endswith(".json")), *weights]


def _kept(repository: str, revision: str) -> Path | None:
    """The folder of a model in the cache of the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _reason(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {str(failure).strip()}".partition("\n")[0].removesuffix(": ")


def _advice(failure: BaseException, repository: str, encoder: str) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(failure, GatedRepoError):
        do = (
            f"{repository!r} is given only to those who accept its terms: ask for access on its page on the hub, then "
            "log in by 'hf auth login' or set HF_TOKEN"
        )
    elif isinstance(failure, RevisionNotFoundError):
        do = f"the hub has {repository!r}, but not this revision of it"
    elif isinstance(failure, RepositoryNotFoundError):
        do = (
            f"the hub has no {repository!r} that you may see: check the name; if it is private, log in by 'hf auth "
            "login' or set HF_TOKEN"
        )
    else:
        do = (
            f"the hub cannot be reached ({_reason(failure)}) and {repository!r} is not in its cache: connect, or "
            "download the model on another machine by 'hf download' and give its folder"
        )
    return f"encoder {encoder!r}: {do}; encoder='texture' needs no download"
