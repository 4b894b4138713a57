"""The rules of the house: who may import whom, how large a file may grow, what a docstring must say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "multist"
FILES = sorted(PACKAGE.rglob("*.py"))
FACES = ("datasets", "metrics", "pl", "pp", "tl")
FLOORS = dict.fromkeys(FACES, 3) | {"model": 2, "access": 2, "cluster": 1, "encoders": 1}
# a face may call another's public functions, in this direction only, so that there is no circle
FACES_USED = {"tl": {"pp", "metrics"}, "pl": {"pp"}}
_SCVERSE = {"anndata", "spatialdata", "squidpy", "scanpy"}
FORBIDDEN = {"access": {"torch"}, "model": _SCVERSE, "cluster": _SCVERSE, "encoders": _SCVERSE}
HEAVY = (
    *("torch", "dgl", "scanpy", "squidpy", "spatialdata", "skimage", "sklearn", "matplotlib", "anndata"),
    *("geopandas", "shapely"),
)


def relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def room_of(module: str) -> str:
    """The room of ``multist.<room>.<...>``; empty for the modules at the top, which are the ground floor."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, also inside functions and for type checking."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            yield from ((node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant))


def broken_rule(room: str, file: Path, name: str) -> str | None:
    """Why ``file`` may not import ``name``, or None if it may."""
    top, *rest = name.split(".")
    if rest[:1] == ["_report"] and relative(file).split("/")[0] not in ("_report", "__init__.py"):
        return "the report is above all rooms"
    if relative(file).startswith("_report/") and rest and rest[0] in FACES and rest[1:2] and rest[1].startswith("_"):
        return f"the report imports a private module of {rest[0]}/"
    if top == "dgl" and relative(file) != "model/graph.py":
        return "only model/graph.py imports dgl"
    if top in FORBIDDEN.get(room, ()):
        return f"{room}/ never imports {top}"
    other = room_of(name)
    if top != "multist" or not room or not other or other == room:
        return None
    if other in FACES and room in FACES:
        if any(part.startswith("_") for part in rest[1:]):
            return f"{room}/ imports a private module of {other}/"
        return None if other in FACES_USED.get(room, ()) else f"{room}/ does not use {other}/"
    return None if FLOORS[other] < FLOORS[room] else f"{room}/ is not above {other}/"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_rooms_import_downwards_only(file: Path):
    room = room_of(f"multist.{relative(file).replace('/', '.')}")
    reasons = ((line, name, broken_rule(room, file, name)) for line, name in imports(file))
    broken = [f"{relative(file)}:{line} imports {name}: {reason}" for line, name, reason in reasons if reason]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("access/spots.py", "torch.nn"),
        ("access/spots.py", "multist.model.network"),
        ("model/network.py", "multist.access.resolve"),
        ("model/network.py", "anndata.AnnData"),
        ("model/network.py", "dgl"),
        ("cluster/mixture.py", "multist.encoders.texture"),
        ("encoders/texture.py", "squidpy"),
        ("pp/_x.py", "multist.tl.multist_domains"),
        ("tl/_x.py", "multist.pp._embed_histology.embed_histology"),
        ("pl/_x.py", "dgl.ops"),
        ("tl/_x.py", "multist._report.report"),
        ("_report/parts.py", "multist.pl._base.read_window"),
    ],
)
def test_the_rules_forbid_what_they_should(path: str, name: str):
    assert broken_rule(path.split("/")[0], PACKAGE / path, name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("model/graph.py", "dgl"),
        ("tl/_x.py", "multist.model.training"),
        ("tl/_x.py", "multist.pp.embed_histology"),
        ("pl/_x.py", "multist.pl._base"),
        ("access/spots.py", "multist._keys"),
    ],
)
def test_the_rules_allow_what_they_should(path: str, name: str):
    assert broken_rule(path.split("/")[0], PACKAGE / path, name) is None


@pytest.mark.parametrize("file", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda f: f.name)
def test_files_are_short(file: Path):
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines < 300, f"{file.relative_to(ROOT)} has {lines} lines; split it"


def public_functions() -> Iterator[tuple[str, Path]]:
    """Full name and file of everything that the faces' namespaces offer."""
    for face in FACES:
        tree = ast.parse((PACKAGE / face / "__init__.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "attach":
                for name, module in ast.literal_eval(node.args[1]).items():
                    yield f"{face}.{name}", PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")


@pytest.mark.parametrize(
    ("name", "file"), list(public_functions()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_public_functions_say_what_they_take_and_give(name: str, file: Path):
    assert file.is_file(), f"multist.{name} is offered but {relative(file)} does not exist"
    offered_here = file.parent.name == name.split(".")[0]
    assert not offered_here or file.stem.startswith("_"), (
        f"{relative(file)} would take its function's place when imported"
    )
    tree = ast.parse(file.read_text(encoding="utf-8"))
    (node,) = (n for n in tree.body if getattr(n, "name", "") == name.split(".")[1])
    assert isinstance(node, (ast.FunctionDef, ast.ClassDef))
    docstring = ast.get_docstring(node) or ""
    sections = {
        line
        for line, rule in zip(docstring.splitlines(), docstring.splitlines()[1:], strict=False)
        if rule[:3] == "---"
    }
    if isinstance(node, ast.FunctionDef):
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        described = docstring.partition("Parameters\n")[2]
        missing = [a for a in arguments if not re.search(rf"\b{a}\b", described)]
        assert not missing, f"multist.{name} does not describe {', '.join(missing)}"
        assert sections & {"Returns", "Writes", "Yields"}, f"multist.{name} does not say what it returns or writes"
    else:
        assert sections & {"Parameters", "Attributes"}, f"multist.{name} does not describe its fields"


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("module", ["multist", *(f"multist.{face}" for face in FACES)])
def test_importing_pulls_in_nothing_heavy(module: str):
    loaded = run_python(f"import sys, {module}; print(*(m for m in {HEAVY} if m in sys.modules))").split()
    assert not loaded


def test_importing_takes_a_moment():
    code = "from time import perf_counter as t; a = t(); import multist; print(t() - a)"
    # the best of several, since other work on the machine only ever adds time
    assert min(float(run_python(code)) for _ in range(5)) <= 0.3
