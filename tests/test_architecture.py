"""The rules of the house: who may import whom, what importing costs, what a docstring must say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from multist._described import SHARED
from multist.pl._look import ARGUMENTS, DESCRIBED

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "multist"
FILES = sorted(PACKAGE.rglob("*.py"))
FACES = ("datasets", "metrics", "pl", "pp", "tl")
FLOORS = {"_report": 4} | dict.fromkeys(FACES, 3) | {"model": 2, "access": 2, "cluster": 1, "histology": 1}
GROUND_FLOOR = 0
# a face may call another's public functions, in this direction only, so that there is no circle
FACES_USED = {"tl": {"pp", "metrics"}, "pl": {"pp"}}
_SCVERSE = {"anndata", "spatialdata", "squidpy", "scanpy"}
FORBIDDEN = {
    "access": {"torch"},
    "model": _SCVERSE,
    "model/features": {"torch", "multist.model.network"},
    "cluster": _SCVERSE | {"torch"},
    "histology": _SCVERSE,
}


def relative(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def module_of(file: Path) -> str:
    """``multist.pp._read_slide`` of its file."""
    return ".".join(("multist", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room of ``multist.<room>.<...>``; empty for the modules at the top, which are the ground floor."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


@cache
def imports(file: Path) -> list[tuple[int, str]]:
    """Line and full name of everything a file imports, also inside functions and for type checking."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            found += [(node.lineno, a.value) for a in node.args if isinstance(a, ast.Constant)]
    return found


def topic_of(module: str) -> str:
    """The topic of ``multist.tl.<topic>.<...>``; empty for what the topics share, whose files begin with ``_``."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["multist", "tl"] and len(parts) > 3 and not parts[2].startswith("_") else ""


def broken_rule(room: str, file: Path, name: str) -> str | None:
    """Why ``file`` may not import ``name``, or None if it may."""
    top, *rest = name.split(".")
    if room == "_report" and rest and rest[0] in FACES and rest[1:2] and rest[1].startswith("_"):
        return f"the report imports a private module of {rest[0]}/"
    if top == "dgl" and not re.fullmatch(r"model/network/graph\.py", relative(file)):
        return "only the graph of the model imports dgl"
    for folder, forbidden in FORBIDDEN.items():
        if relative(file).startswith(f"{folder}/"):
            for each in forbidden:
                if f"{name}.".startswith(f"{each}."):
                    return f"{folder}/ never imports {each}"
    topic, other_topic = topic_of(module_of(file)), topic_of(name)
    if topic and other_topic and topic != other_topic:
        return f"tl/{topic}/ imports another topic, tl/{other_topic}/"
    other = room_of(name)
    if top != "multist" or not other or other == room:
        return None
    if other in FACES and room in FACES:
        if any(part.startswith("_") for part in rest[1:]):
            return f"{room}/ imports a private module of {other}/"
        return None if other in FACES_USED.get(room, ()) else f"{room}/ does not use {other}/"
    return None if FLOORS[other] < FLOORS.get(room, GROUND_FLOOR) else f"{room}/ is not above {other}/"


@pytest.mark.slow
def test_rooms_import_downwards_only():
    broken = [
        f"{relative(file)}:{line} imports {name}: {reason}"
        for file in FILES
        for line, name in imports(file)
        if (reason := broken_rule(room_of(module_of(file)), file, name))
    ]
    assert not broken, "\n".join(broken)


def test_the_rules_forbid_what_they_should():
    for path, name in (
        ("access/spots.py", "torch.nn"),
        ("access/spots.py", "multist.model.network"),
        ("model/network.py", "multist.access.resolve"),
        ("model/network.py", "anndata.AnnData"),
        ("model/network.py", "dgl"),
        ("cluster/mixture.py", "multist.histology.texture"),
        ("cluster/mixture.py", "torch.Tensor"),
        ("histology/texture.py", "squidpy"),
        ("pp/_x.py", "multist.tl.multist_domains"),
        ("tl/_x.py", "multist.pp._embed_histology.embed_histology"),
        ("pl/_x.py", "dgl.ops"),
        ("tl/domains/_x.py", "multist.tl.borders._contacts.find_contacts"),
        ("tl/trajectory/_x.py", "multist.tl.domains.Part"),
        ("model/features/factors.py", "torch.Tensor"),
        ("model/features/factors.py", "multist.model.network.graph"),
        ("tl/_x.py", "multist._report.report"),
        ("_spacing.py", "multist.access.record"),
        ("_settings.py", "multist._report.report"),
        ("_report/parts.py", "multist.pl._base.read_window"),
    ):
        assert broken_rule(path.split("/")[0], PACKAGE / path, name), f"{path} may import {name}"


def test_the_rules_allow_what_they_should():
    for path, name in (
        ("tl/_x.py", "multist.model.training"),
        ("tl/_x.py", "multist.pp.embed_histology"),
        ("pl/_x.py", "multist.pl._base"),
        ("access/spots.py", "multist._keys"),
        ("tl/domains/_x.py", "multist.tl.domains._parts.find_parts"),
        ("tl/domains/_x.py", "multist.tl._graph.ensure_graph"),
        ("model/network/graph.py", "dgl"),
        ("model/network/training.py", "multist.model.features.factors"),
        ("model/fitted.py", "torchmetrics"),
    ):
        assert broken_rule(path.split("/")[0], PACKAGE / path, name) is None, f"{path} may not import {name}"


def import_graph() -> dict[str, set[str]]:
    """Which modules of the package each of them imports."""
    modules = {module_of(file): file for file in FILES}
    graph: dict[str, set[str]] = {}
    for module, file in modules.items():
        names = [name for _, name in imports(file)]
        # a name may be a module or be defined in one
        graph[module] = {n if n in modules else n.rpartition(".")[0] for n in names} & set(modules) - {module}
    return graph


def first_circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a ring; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.slow
def test_no_files_import_each_other_in_a_circle():
    graph = import_graph()
    assert sum(map(len, graph.values())) > 100, "the imports were not found"
    assert not first_circle(graph)


def test_a_circle_is_found():
    assert set(first_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


def public_names() -> Iterator[tuple[str, Path]]:
    """Full name and file of everything that the faces' stubs offer."""
    for face in FACES:
        stub = ast.parse((PACKAGE / face / "__init__.pyi").read_text(encoding="utf-8"))
        for node in stub.body:
            assert isinstance(node, ast.ImportFrom) and node.module, f"{face}/__init__.pyi holds more than imports"
            for alias in node.names:
                assert alias.asname == alias.name, (
                    f"{face}/__init__.pyi does not offer {alias.name}; add `as {alias.name}`"
                )
                yield f"{face}.{alias.name}", PACKAGE.joinpath(face, *node.module.split(".")).with_suffix(".py")


def definition(file: Path, name: str) -> ast.FunctionDef | ast.ClassDef:
    """What ``name`` is, in the file or in the one it is imported from."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module and name in (alias.name for alias in node.names):
            return definition(PACKAGE.joinpath(*node.module.split(".")[1:]).with_suffix(".py"), name)
    raise AssertionError(f"{relative(file)} defines no {name}")


@pytest.mark.parametrize(
    ("name", "file"), list(public_names()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_public_functions_say_what_they_take_and_give(name: str, file: Path):
    assert file.is_file(), f"multist.{name} is offered but {relative(file)} does not exist"
    assert file.stem.startswith("_"), f"{relative(file)} would take its function's place when imported"
    node = definition(file, name.split(".")[1])
    docstring = ast.get_docstring(node) or ""
    sections = {
        line
        for line, rule in zip(docstring.splitlines(), docstring.splitlines()[1:], strict=False)
        if rule[:3] == "---"
    }
    if isinstance(node, ast.FunctionDef):
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        described = docstring.partition("Parameters\n")[2]
        # what a decorator tells; that it does is tested where everything is installed
        told = (SHARED | ARGUMENTS | DESCRIBED if name.startswith("pl.") else SHARED) if node.decorator_list else {}
        missing = [a for a in arguments if a not in told and not re.search(rf"\b{a}\b", described)]
        assert not missing, f"multist.{name} does not describe {', '.join(missing)}"
        assert sections & {"Returns", "Writes", "Yields"}, f"multist.{name} does not say what it returns or writes"
    else:
        assert sections & {"Parameters", "Attributes"}, f"multist.{name} does not describe its fields"


@pytest.mark.slow
def test_importing_loads_nothing_of_others():
    modules = ", ".join(("multist", *(f"multist.{face}" for face in FACES)))
    code = f"import sys; before = set(sys.modules); import {modules}; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    packages = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert packages == {"multist", "lazy_loader"} and set(modules.split(", ")) <= set(loaded)
