"""Do the tests see a fault? Changes one thing in a file, by cosmic-ray's operators, and runs the tests closest to it.

``nox -s mutants -- 40 0`` samples 40 changes by seed 0, as many in each part of the package, and prints which of them
no test sees; it fails where they see less than 80 %. Nothing here is changed: it works on a copy, in processes forked
from one that has imported what is slow.

Not tried is what changes no result, by rule (:class:`_Bare`, ``WITHOUT_RESULT`` and ``A_LOT``):

- annotations, docstrings, and imports for type checkers;
- which arguments are given by name only, as cosmic-ray takes the star for a product;
- what is logged, as tests of messages look for words;
- ``is`` for ``==`` with None, True, False, a whole number or a text, which Python holds once, and the other way round;
- ``strict`` of ``zip``, which guards what is of one length;
- a decorator that only remembers what it gave (``cache``);
- a constant of a module whose name says that it is the size of a block, on which no result depends;
- a seed that is moved by one: the default of ``random_state``, and what ``default_rng`` is given;
- a whole constant of a module above ten that is moved by one: starts, rounds and sizes of samples matter in their
  order of magnitude.
"""

from __future__ import annotations

import ast
import difflib
import os
import random
import re
import shutil
import sys
import tempfile
import time
from functools import cache
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
FILES = 6
"""Of tests that are run for a change, at most, the closest first."""
WITHOUT_RESULT = re.compile(r"BLOCK|CHUNK|BYTES|ENTRIES|AT_ONCE")
"""In names of constants: how much is held in memory at a time."""
A_LOT = 10
"""Above it a constant may be moved by one."""
SLOW_TO_IMPORT = ("torch", "scanpy", "squidpy", "spatialdata")
LIMIT = 60
"""Seconds after which a change has made a test hang, which is seen too."""
ENOUGH = 0.8
"""Share of the changes that the tests have to see."""
BUDGET = 90
"""Seconds after which no further test is run for a change, which counts as not seen."""


class Mutant(NamedTuple):
    """One change of one file."""

    part: str
    file: Path
    operator: str
    line: int
    code: str


class _Bare(ast.NodeTransformer):
    """Drops what changes no result."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        constants = [
            each for each in node.body if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]).isupper()
        ]
        for each in constants:
            if isinstance(each.value, ast.Constant) and isinstance(each.value.value, int) and each.value.value > A_LOT:
                each.value = ast.Constant("many")
        sizes = [each for each in constants if WITHOUT_RESULT.search(ast.unparse(each.targets[0]))]
        node.body = [each for each in node.body if each not in sizes]
        return self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        keywords = [each or ast.Constant(...) for each in node.kw_defaults]
        node.args, node.defaults = [*node.posonlyargs, *node.args, *node.kwonlyargs], [*node.defaults, *keywords]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        for place, argument in enumerate(node.args[::-1][: len(node.defaults)], start=1):
            if argument.arg == "random_state":
                node.defaults[-place] = ast.Constant("a seed")
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return self.generic_visit(ast.Assign([node.target], node.value, lineno=0)) if node.value else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.decorator_list = [each for each in node.decorator_list if "cache" not in ast.unparse(each)]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        said = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith("logger.")
        return None if said or isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [each for each in node.keywords if each.arg != "strict"]
        if ast.unparse(node.func).endswith("default_rng") and all(isinstance(each, ast.Constant) for each in node.args):
            node.args = []
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        other = node.comparators[0]
        if isinstance(other, ast.Constant) and not isinstance(other.value, float):
            same = {ast.Eq: ast.Is, ast.NotEq: ast.IsNot}
            node.ops = [same.get(type(each), type(each))() for each in node.ops]
        return self.generic_visit(node)


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


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def file_of(module: str) -> Path | None:
    """The file of a module of the package."""
    path = ROOT / "src" / Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


@cache
def origin(module: str, name: str) -> Path | None:
    """The file that a name comes from, whichever room hands it on."""
    if file := file_of(f"{module}.{name}"):
        return file
    file = file_of(module)
    if file is None or file.name != "__init__.py":
        return file
    stub = file.with_suffix(".pyi")
    for node in parsed(stub if stub.exists() else file).body:
        if isinstance(node, ast.ImportFrom) and any((each.asname or each.name) == name for each in node.names):
            source = next(each.name for each in node.names if (each.asname or each.name) == name)
            below = f"{module}." if node.level else ""
            return origin((below + (node.module or "")).rstrip("."), source)
    return file


@cache
def used_by(file: Path) -> set[Path]:
    """Files of the package that another takes names from."""
    found, aliases = set(), {}
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("multist"):
            found |= {origin(node.module, each.name) for each in node.names}
        elif isinstance(node, ast.Import):
            aliases |= {each.asname or each.name: each.name for each in node.names if each.name.startswith("multist")}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            face, top = node.value.attr, node.value.value
            if isinstance(top, ast.Name) and top.id in aliases and file_of(f"{aliases[top.id]}.{face}"):
                found.add(origin(f"{aliases[top.id]}.{face}", node.attr))
    return found - {None, file}


@cache
def steps_to(file: Path) -> dict[Path, int]:
    """How many imports lie between a file and those of the package that lead to it."""
    everything, steps, edge = sorted((ROOT / "src").rglob("*.py")), {file: 0}, {file}
    while edge:
        edge = {other for other in everything if other not in steps and used_by(other) & edge}
        steps |= dict.fromkeys(edge, max(steps.values()) + 1)
    return steps


@cache
def tests_of(file: Path) -> list[str]:
    """The tests of the same name, then those that lead to the file by the fewest imports, of its room, by its names."""
    below, steps = file.relative_to(ROOT / "src" / "multist"), steps_to(file)
    room = ROOT / "tests" / below.parent
    public = [node.name for node in parsed(file).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]

    def order(test: Path) -> tuple[int, bool, int, Path]:
        named = sum(map(test.read_text(encoding="utf-8").count, public))
        far = min((steps[each] for each in used_by(test) if each in steps), default=len(steps))
        return (-1 if test == room / f"test_{below.stem}.py" else far), room not in test.parents, -named, test

    # tests of the documents and of the figures that are published run the package as a whole, and long
    left_out = {ROOT / "tests" / name for name in ("docs", "benchmarks")}
    tests = [test for test in (ROOT / "tests").rglob("test_*.py") if not left_out & set(test.parents)]
    return [str(test.relative_to(ROOT)) for test in sorted(tests, key=order)[:FILES]]


class _Notes:
    """Writes down which test runs, and which one fails."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: item.get_closest_marker("slow") is not None)  # the quick ones first

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.file.write_text(nodeid, encoding="utf-8")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.file.write_text(report.nodeid, encoding="utf-8")


def failing(mutant: Mutant | None, tests: list[str], copy: Path) -> str | None:
    """The first test that fails, or hangs, on a copy of the project with the change; None if none does in time."""
    if mutant is not None:
        place = copy / mutant.file.relative_to(ROOT)
        before = place.read_text(encoding="utf-8")
        place.write_text(mutant.code, encoding="utf-8")
        try:
            return failing(None, tests, copy)
        finally:
            place.write_text(before, encoding="utf-8")
    notes = copy / "now"
    notes.write_text("", encoding="utf-8")
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.chdir(copy)
        sys.path.insert(0, str(copy / "src"))
        sys.dont_write_bytecode = True
        # whatever the tests start is to find the copy, and nothing that was compiled from another change
        os.environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain"]
        os._exit(int(pytest.main([*options, *tests], plugins=[_Notes(notes)])))
    end = time.monotonic() + BUDGET
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        hangs = notes.stat().st_size > 0 and time.time() - notes.stat().st_mtime > LIMIT
        if hangs or time.monotonic() > end:
            os.killpg(child, 9)
            os.waitpid(child, 0)
            return notes.read_text(encoding="utf-8") if hangs else None
        time.sleep(0.1)
    passed = os.WIFEXITED(done[1]) and os.WEXITSTATUS(done[1]) == 0
    return None if passed else notes.read_text(encoding="utf-8") or tests[0]


def seen_by(mutant: Mutant, tests: list[str], copy: Path, sound: dict[str, bool]) -> str | None:
    """The first test that fails with the change and passes without it."""
    while True:
        fails = failing(mutant, [*tests, *(f"--deselect={each}" for each in sound if not sound[each])], copy)
        if fails is None:
            return None
        if fails not in sound:
            sound[fails] = failing(None, [fails], copy) is None
            if not sound[fails]:
                print("LEFT OUT", fails, "fails without any change", flush=True)
        if sound[fails]:
            return fails


def main(count: int, seed: int) -> int:
    """0 if the tests see enough of the changes, and else 1."""
    for name in SLOW_TO_IMPORT:
        import_module(name)
    sound: dict[str, bool] = {}
    killed: dict[str, list[bool]] = {part: [] for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("src", "tests", "docs", "benchmarks", "tutorials"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, copy / name)
        chosen = [(mutant, tests_of(mutant.file)) for mutant in sample(count, seed)]
        for mutant, tests in chosen:
            seen = seen_by(mutant, tests, copy, sound)
            killed[mutant.part].append(seen is not None)
            print(
                f"{'killed  ' if seen else 'SURVIVED'} {mutant.operator}",
                seen or "",
                *changed(mutant),
                sep="\n    ",
                flush=True,
            )
    for part, each in killed.items():
        print(f"{part}: {sum(each)} of {len(each)} killed")
    everything = [one for each in killed.values() for one in each]
    print(f"all: {sum(everything)} of {len(everything)} killed")
    return int(sum(everything) < ENOUGH * len(everything))


def changed(mutant: Mutant) -> list[str]:
    """Its lines, before and after."""
    before, place = mutant.file.read_text(encoding="utf-8").splitlines(), str(mutant.file.relative_to(ROOT))
    lines = difflib.unified_diff(before, mutant.code.splitlines(), place, place, n=0, lineterm="")
    return [line for line in lines if not line.startswith("---")]


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in [*sys.argv[1:], "40", "0"][:2])))
