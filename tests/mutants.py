"""Do the tests see a fault? Changes one thing in a file, by cosmic-ray's operators, and runs the tests that mirror it.

``nox -s mutants -- 40 0`` samples 40 changes by seed 0, as many in each part of the package, and prints which of them
no test sees. Nothing here is changed: it works on a copy, in processes forked from one that has imported what is slow.
"""

from __future__ import annotations

import ast
import os
import random
import shutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
PARTS = {
    "access": ["access/*.py"],
    "cluster": ["cluster/*.py"],
    "features": ["model/features/*.py"],
    "losses": ["model/network/published.py", "model/network/attention.py", "model/fitted*.py"],
}
FILES = 2
"""Of tests that are run for a change, at most."""
SLOW_TO_IMPORT = ("torch", "scanpy", "squidpy", "spatialdata")
LIMIT = 300
"""Seconds after which a change has made the tests hang, which is seen too."""


class Mutant(NamedTuple):
    """One change of one file."""

    part: str
    file: Path
    operator: str
    line: int
    code: str


class _Bare(ast.NodeTransformer):
    """Drops what is not run: annotations and docstrings."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return ast.Assign([node.target], node.value, lineno=0) if node.value else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)


def what_runs(code: str) -> str | None:
    """None of what is no Python."""
    try:
        return ast.dump(_Bare().visit(ast.parse(code)))
    except SyntaxError:
        return None


def mutants_of(part: str, file: Path, wanted: int, rng: random.Random) -> list[Mutant]:
    """Some changes of a file that make a difference to what is run."""
    code = file.read_text(encoding="utf-8")
    nodes, original = list(ast_nodes(get_ast(code))), what_runs(code)
    places = []
    for name in operator_names():
        operator_class = get_operator(name)
        if not operator_class.arguments():
            found = (start for node in nodes for start, _ in operator_class().mutation_positions(node))
            places += [(name, occurrence, start[0]) for occurrence, start in enumerate(found)]
    rng.shuffle(places)
    made: list[Mutant] = []
    for name, occurrence, line in places:
        if len(made) == wanted:
            break
        changed = mutate_code(code, get_operator(name)(), occurrence)
        if changed and what_runs(changed) not in (None, original):
            made.append(Mutant(part, file, name.removeprefix("core/"), line, changed))
    return made


def sample(count: int, seed: int) -> list[Mutant]:
    """As many in each part; in a part a file is the likelier the longer it is."""
    rng, chosen = random.Random(seed), []
    for part, patterns in PARTS.items():
        files = sorted({file for pattern in patterns for file in (ROOT / "src" / "multist").glob(pattern)})
        files = [file for file in files if file.stem != "__init__"]
        lengths = [len(file.read_text(encoding="utf-8")) for file in files]
        drawn = rng.choices(files, lengths, k=count // len(PARTS))
        for file in sorted(set(drawn)):
            chosen += mutants_of(part, file, drawn.count(file), rng)
    return chosen


def tests_of(file: Path) -> list[str]:
    """The tests of the same name, and those of the room that use most of its public names."""
    below = file.relative_to(ROOT / "src" / "multist")
    room = ROOT / "tests" / below.parent
    mirror = room / f"test_{below.stem}.py"
    tree = ast.parse(file.read_text(encoding="utf-8"))
    public = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    uses = {test: sum(map(test.read_text(encoding="utf-8").count, public)) for test in room.glob("test_*.py")}
    most = sorted(uses, key=lambda test: (-uses[test], test))[:FILES]
    found = [mirror] * mirror.exists() + [test for test in most if uses[test] and test != mirror]
    return [str(test.relative_to(ROOT)) for test in found[:FILES]] or [str(room.relative_to(ROOT))]


def survives(mutant: Mutant | None, tests: list[str], copy: Path) -> bool:
    """Whether the tests pass on a copy of the project with the change."""
    shutil.copytree(ROOT / "src", copy / "src", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        (copy / mutant.file.relative_to(ROOT)).write_text(mutant.code, encoding="utf-8")
    child = os.fork()
    if child == 0:
        os.chdir(copy)
        sys.path.insert(0, str(copy / "src"))
        sys.dont_write_bytecode = True
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os._exit(int(pytest.main(["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests])))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        time.sleep(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def main(count: int, seed: int) -> None:
    for name in SLOW_TO_IMPORT:
        import_module(name)
    chosen, passing, killed = sample(count, seed), {}, {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("tests", "docs", "benchmarks", "tutorials"):
            shutil.copytree(ROOT / name, copy / name)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, copy / name)
        for mutant in chosen:
            tests = tests_of(mutant.file)
            key = " ".join(tests)
            if key not in passing:
                passing[key] = survives(None, tests, copy)
            if not passing[key]:
                print("NOT TRIED", mutant.file.relative_to(ROOT), f"as {key} fails without any change", flush=True)
                continue
            lives = survives(mutant, tests, copy)
            killed[mutant.part].append(not lives)
            place = f"{mutant.file.relative_to(ROOT)}:{mutant.line}"
            print("SURVIVED" if lives else "killed  ", place, mutant.operator, flush=True)
    for part, each in killed.items():
        print(f"{part}: {sum(each)} of {len(each)} killed")
    everything = [one for each in killed.values() for one in each]
    print(f"all: {sum(everything)} of {len(everything)} killed")


if __name__ == "__main__":
    main(*(int(each) for each in [*sys.argv[1:], "40", "0"][:2]))
