"""Benchmarks are run within the tests' process, whose settings, modules and folder they must not change."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import multist as mt

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = [path.stem for path in BENCHMARKS.glob("*.py")]


@contextmanager
def put_back() -> Iterator[None]:
    before = {**vars(mt.settings), "verbosity": mt.settings.verbosity}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(mt.settings, name, value)


@pytest.fixture(autouse=True)
def settings_put_back() -> Iterator[None]:
    with put_back():
        yield


@contextmanager
def importable() -> Iterator[None]:
    """Benchmarks are imported anew, and no other test sees them."""
    held = {each: sys.modules.pop(each) for each in NAMES if each in sys.modules}
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield
    finally:
        sys.path.remove(str(BENCHMARKS))
        for each in NAMES:
            sys.modules.pop(each, None)
        sys.modules.update(held)


@pytest.fixture
def load() -> Iterator[Callable[[str], ModuleType]]:
    """Import a benchmark or a part of one by name."""
    with importable():
        yield importlib.import_module


@pytest.fixture(scope="session")
def small_section(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a labelled section, and two whose truth is not known; not to be written to."""
    folder = tmp_path_factory.mktemp("sections")
    tissue = mt.datasets.layered_tissue(n_spots=250, n_genes=100, image_size=400, format="anndata")
    for name in ("layered_tissue/small", "unknown", "dlpfc/unlabelled"):
        (folder / name).parent.mkdir(exist_ok=True)
        tissue.write_h5ad(folder / f"{name}.h5ad")
    return folder


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def run_benchmark() -> Callable[..., Done]:
    """Run a benchmark as its command would, from a folder: ``run_benchmark(name, folder, *arguments)``."""

    def run(name: str, folder: Path, *arguments: str) -> Done:
        out, err = StringIO(), StringIO()
        with (
            importable(),
            put_back(),
            chdir(folder),
            warnings.catch_warnings(),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                code = importlib.import_module(name).main(list(map(str, arguments)))
            except SystemExit as left:
                code = left.code
        said = err.getvalue() + (code if isinstance(code, str) else "")
        return Done(1 if isinstance(code, str) else code or 0, out.getvalue(), said)

    return run


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch, run_benchmark: Callable[..., Done]) -> None:
    """What benchmarks run in processes of their own runs in this one, which has imported what is slow."""
    start = subprocess.run
    monkeypatch.setenv("TQDM_DISABLE", "1")

    def run(command: list[str], **options: Any) -> Any:
        if command[0] != sys.executable or Path(command[1]).parent != BENCHMARKS:
            return start(command, **options)
        try:
            return run_benchmark(Path(command[1]).stem, Path.cwd(), *command[2:])
        except Exception as error:
            if options.get("check"):
                raise
            return Done(1, "", f"{type(error).__name__}: {error}")

    monkeypatch.setattr(subprocess, "run", run)
