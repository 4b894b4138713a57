"""What is interrupted and killed, in a process of its own that tests start; writes JSON of what was seen.

Moments are counted in calls, not in seconds, so that they are the same on any machine.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TextIO

sys.path.insert(0, str(Path(__file__).parent))

import dask
import numpy as np
import psutil
import requests
from conftest import MultiSTConfig, groups, look, make_spatialdata, make_tissue, mt

from multist._files import UNFINISHED
from multist._report.page import Page, Picture, Tissue, write_page
from multist.cluster import guided, mixture
from multist.datasets import _remote
from multist.histology.kept import KeptVectors
from multist.model.checkpoint import RECORD
from multist.model.features import image_gain
from multist.tl.borders import _border_sharpness

mixture._ENOUGH_HITS = image_gain._MOST_DEALS = guided._N_DEALS = 1  # as ``shorten_training`` does
_border_sharpness._MIN_DRAWS = 2
mt.settings.progress, mt.settings.verbosity = False, "error"
NOBODY = 65534
QUICK = MultiSTConfig(epochs=1)


class Count:
    """Counts calls, from the first of a function on where one is named, and acts at one of them."""

    def __init__(self, begin: str = "", moment: int = -1, act: Callable[[], Any] = lambda: None) -> None:
        self.begin, self.moment, self.act, self.seen = begin, moment, act, 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if "threadpoolctl" in frame.f_code.co_filename:
            return  # C calls some of it, where Python drops what is raised
        if event in ("call", "c_call") and (self.seen or self.begin in ("", frame.f_code.co_name)):
            self.seen += 1
            if self.seen == self.moment:
                self.act()

    def run(self, call: Callable[[], Any]) -> Count:
        sys.setprofile(self)
        try:
            call()
        finally:
            sys.setprofile(None)
        return self


def digest(held: Any) -> str:
    return hashlib.sha256(repr(look(held)).encode()).hexdigest()


def by_name(held: Any) -> Any:
    """Mappings in the order of their keys, since zarr lists those of a store as they come."""
    return {key: by_name(held[key]) for key in sorted(held)} if isinstance(held, Mapping) else held


CALLS = {
    "embed_expression": lambda t: mt.pp.embed_expression(t),
    "multist_domains": lambda t: mt.tl.multist_domains(t, 3, config=QUICK, use_image=False, device="cpu"),
}


def ctrl_c(_: Path) -> list[dict[str, Any]]:
    """Interrupt each call at random moments, and at some while results are written."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    rng, seen = np.random.default_rng(0), []
    for name, call in CALLS.items():
        done = make_tissue()
        call(done)
        states = {digest(groups(make_tissue())): "as before", digest(groups(done)): "complete"}
        for begin, many in (("", 5), ("_commit", 5)):
            count = Count(begin).run(partial(call, make_tissue())).seen
            for moment in rng.integers(1, count, many):
                table, raised, note = make_tissue(), False, ""
                ctrl_c_then = Count(begin, int(moment), lambda: os.kill(os.getpid(), signal.SIGINT))
                try:
                    ctrl_c_then.run(partial(call, table))
                except KeyboardInterrupt as error:
                    raised, note = True, " ".join(getattr(error, "__notes__", []))
                state = states.get(digest(groups(table)), "half")
                seen.append({"call": name, "from": begin, "state": state, "raised": raised, "note": note})
    return seen


class Write(NamedTuple):
    """Something that is written, in two versions: how to write one, and what is there, None where nothing is.

    Moments are counted from the first call of the function ``begin``.
    """

    write: Callable[[Path, int], Any]
    read: Callable[[Path], Any]
    begin: str = "whole_file"


class Answer:
    """What a host gives, in pieces."""

    def __init__(self, content: bytes) -> None:
        self.headers, self.content = {"content-length": str(len(content))}, content

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, _: int) -> Iterator[bytes]:
        size = len(self.content) // 3
        yield from (self.content[start : start + size] for start in range(0, len(self.content), size))


def content(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def download(path: Path, version: int) -> None:
    mt.settings.cache_dir = path
    held = str(version).encode() * 3 * 2**16
    requests.get = lambda *args, **kwargs: Answer(held)
    _remote.fetch("http://host/file", "set", sha256=hashlib.sha256(held).hexdigest())


def keep(path: Path, version: int) -> None:
    mt.settings.cache_dir = path
    vectors = KeptVectors({"of": "patches"})
    patches = np.random.default_rng(version).integers(0, 255, (64, 4, 4, 3), np.uint8)
    vectors.keep(vectors.encode(patches, lambda given: np.full((len(given), 64), version, np.float32)))


def kept(path: Path) -> float | None:
    mt.settings.cache_dir = path
    held = KeptVectors({"of": "patches"})
    return float(held._vectors.mean()) if held._place else None


def seed_of_model(folder: Path) -> int | None:
    return mt.MultiST.load(folder, device="cpu").random_state if (folder / RECORD).exists() else None


def writes() -> dict[str, Write]:
    tables = [make_tissue(), make_tissue()]
    for table, names in zip(tables, (list("abc"), list("xyz")), strict=True):
        table.obs["multist_domain"] = table.obs["truth"].cat.rename_categories(names)
    models = [mt.MultiST(QUICK, device="cpu", random_state=i).fit(tables[i].copy(), use_image=False) for i in (0, 1)]
    pages = [Page(f"page {i}", "a line " * 10_000, Tissue(Picture("data:,", 1, "nothing"))) for i in (0, 1)]
    look = {"figsize": (1.5, 1.5), "dpi": 40, "legend_loc": "none", "image_key": None}
    return {
        "MultiST.save": Write(lambda path, i: models[i].save(path), seed_of_model),
        "a report": Write(lambda path, i: write_page(pages[i], path), content),
        "write_domains.csv": Write(lambda path, i: mt.tl.write_domains(tables[i], path), content),
        "a figure.png": Write(lambda path, i: mt.pl.domains(tables[i], save=path, **look), content),
        "kept vectors": Write(keep, kept),
        "a download": Write(download, lambda path: content(path / "datasets" / "set" / "file"), "iter_content"),
    }


def forked(work: Callable[[], Any]) -> tuple[int, TextIO]:
    """A child that works, and the end of a pipe that tells what it gave, or raised as ``"Type: words"``."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work() or ""
        except BaseException as error:  # noqa: BLE001 - the parent looks at it
            said = f"{'OSError' if isinstance(error, OSError) else type(error).__name__}: {error}"
        os.write(into, str(said).encode()[:4000])
        os._exit(0)
    os.close(into)
    return child, os.fdopen(out)


def in_child(work: Callable[[], Any]) -> str:
    """What a forked process raised; ``"killed"`` if it was, and empty if nothing happened."""

    def silently() -> None:
        work()

    child, pipe = forked(silently)
    with pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else said


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if UNFINISHED.fullmatch(path.name) or path.name.startswith("tmp")]


def full_disk(work: Callable[[], Any], most: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    work()


def as_nobody(work: Callable[[], Any]) -> None:
    if os.getuid() == 0:  # whom permissions do not bind
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    work()


def permit(folder: Path, *, writing: bool) -> None:
    for file in [folder, *folder.rglob("*")]:
        file.chmod(0o755 if writing else 0o555 if file.is_dir() else 0o444)


def tried(name: str, how: str, each: Write, path: Path, new: Any, work: Callable[[], Any]) -> list[dict[str, Any]]:
    """What is there after the new version was written in place of nothing, and of the old one."""
    seen = []
    for before in ("nothing", "old"):
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        if before == "old":
            each.write(path, 0)
        held = each.read(path)
        permit(path.parent, writing=how != "read-only")
        said = in_child(work)
        permit(path.parent, writing=True)
        now = each.read(path)
        state = "old" if now == held else "new" if now == new else "half"
        found = {"what": name, "how": how, "before": before, "said": said, "state": state, "left": left(path.parent)}
        each.write(path, 1)
        seen.append(found | {"again": each.read(path) == new})
    return seen


def every_write(folder: Path) -> list[dict[str, Any]]:
    seen = []
    for name, each in writes().items():
        home = folder / f"folder of {name}"
        home.mkdir()
        path, other = home / name, folder / f"other {name}"
        each.write(other, 0)
        count = Count(each.begin).run(lambda w=each.write, p=other: w(p, 1)).seen
        new = each.read(other)
        size = max(file.stat().st_size for file in [other, *other.rglob("*")] if file.is_file())

        new_one = partial(each.write, path, 1)
        for moment in np.unique(np.linspace(2, count, 4).astype(int)):
            killed = Count(each.begin, int(moment), lambda: os.kill(os.getpid(), signal.SIGKILL))
            seen += tried(name, "killed", each, path, new, partial(killed.run, new_one))
        seen += tried(name, "full disk", each, path, new, partial(full_disk, new_one, size // 2))
        seen += tried(name, "read-only", each, path, new, partial(as_nobody, new_one))
    return seen


def together(folder: Path) -> list[dict[str, Any]]:
    """Eight processes write to one place again and again, and this one reads meanwhile."""
    seen = []
    for name, each in writes().items():
        if name in ("a figure.png", "a download"):
            continue
        alone = []
        for version in (0, 1):
            each.write(folder / f"{version} {name}", version)
            alone.append(each.read(folder / f"{version} {name}"))
        path = folder / name

        def write_in_turn(number: int, write: Callable[[Path, int], Any] = each.write, path: Path = path) -> None:
            for turn in range(6):
                write(path, (number + turn) % 2)

        started = [forked(partial(write_in_turn, number)) for number in range(8)]
        children = [child for child, _ in started]
        found = []
        while children:
            done, _ = os.waitpid(children[-1], os.WNOHANG)
            if done:
                children.pop()
            found.append(each.read(path))
        said = ""
        for _, pipe in started:
            with pipe:
                said += pipe.read()
        whole = all(value is None or value in alone for value in found)
        seen.append(
            {"what": name, "said": said, "whole": whole, "last": each.read(path) in alone}
            | {"reads": len(found), "left": left(folder)}
        )
    return seen


def on_one_store(folder: Path) -> list[dict[str, Any]]:
    """Eight processes open one SpatialData on disk, read its pixels and its table, and find what one finds alone."""
    import spatialdata

    store = folder / "tissue.zarr"
    dask.config.set(scheduler="synchronous")  # threads do not outlive a fork
    make_spatialdata().write(store)

    def held() -> dict[str, str | None]:
        return {str(file.relative_to(store)): content(file) for file in sorted(store.rglob("*")) if file.is_file()}

    def found() -> str:
        sdata = spatialdata.read_zarr(store)
        mt.pp.embed_histology(sdata)
        mt.pp.embed_expression(sdata)
        return digest(by_name(groups(sdata.tables["table"])))

    before, alone = held(), found()
    seen = []
    for child, pipe in [forked(found) for _ in range(8)]:
        with pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        seen.append({"said": "" if said == alone else said})
    return [each | {"untouched": held() == before} for each in seen]


def one_after_another(folder: Path) -> list[dict[str, Any]]:
    """MiB of memory after each of many sections, in a process that has done nothing else before."""
    process, used = psutil.Process(), []
    for number in range(int(os.environ.get("MULTIST_SECTIONS", "10"))):
        table = make_tissue(number)
        mt.pp.normalize_histology(table)
        mt.tl.multist_domains(table, 3, config=MultiSTConfig(epochs=2), device="cpu")
        mt.tl.border_sharpness(table, n_null=4)
        mt.tl.write_domains(table, folder / "domains.csv")
        mt.pl.domains(table, save=folder / "domains.png", figsize=(2, 2))
        del table
        gc.collect()
        if number == 0:
            gc.freeze()  # what the first section imported is no garbage, and long to look through
        used.append({"used": process.memory_info().rss / 2**20})
    return used


if __name__ == "__main__":
    works = {
        "ctrl_c": ctrl_c,
        "writes": every_write,
        "together": together,
        "on_one_store": on_one_store,
        "one_after_another": one_after_another,
    }
    home, result, *names = sys.argv[1:]
    found = {}
    for name in names:
        (Path(home) / name).mkdir()
        found[name] = works[name](Path(home) / name)
    Path(result).write_text(json.dumps(found))
