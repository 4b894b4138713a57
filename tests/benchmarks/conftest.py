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


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def run_benchmark() -> Callable[..., Done]:
    """Run a benchmark as its command would, from a folder: ``run_benchmark(name, folder, *arguments)``."""

    def run(name: str, folder: Path, *arguments: str) -> Done:
        held = {each: sys.modules.pop(each) for each in NAMES if each in sys.modules}
        sys.path.insert(0, str(BENCHMARKS))
        out, err = StringIO(), StringIO()
        try:
            with put_back(), chdir(folder), warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
                code = importlib.import_module(name).main(list(map(str, arguments)))
        except SystemExit as left:
            code = left.code
        finally:
            sys.path.remove(str(BENCHMARKS))
            for each in NAMES:
                sys.modules.pop(each, None)
            sys.modules.update(held)
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
