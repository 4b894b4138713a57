"""What comes from strangers runs no code, leaves its folder by no path, and asks nothing of the network."""

from __future__ import annotations

import ast
import json
import os
import socket
from pathlib import Path

import pytest

import multist as mt
from multist.model.checkpoint import RECORD, load_folder, save_folder
from multist.model.config import MultiSTConfig

PACKAGE = Path(mt.__file__).parent
FORBIDDEN_CALLS = {"read_pickle", "to_pickle", "unsafe_load"}
FORBIDDEN_BUILTINS = {"eval", "exec", "compile", "__import__"}  # a network, or a pattern, has such methods too
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
FORBIDDEN_PAIRS = {("torch", "load"), ("joblib", "load"), ("np", "load"), ("numpy", "load")}
"""Of these that read pickles, unless told otherwise, none is used at all."""
FORBIDDEN_OPTIONS = {("allow_pickle", True), ("weights_only", False)}


def dangers(code: str) -> set[str]:
    """What in some Python can run what a file holds."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in FORBIDDEN_CALLS or (isinstance(called, ast.Name) and name in FORBIDDEN_BUILTINS):
                found.add(name)
            of = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
            if (of, name) in FORBIDDEN_PAIRS or (of == "builtins" and name in FORBIDDEN_BUILTINS):
                found.add(f"{of}.{name}")
            for option in node.keywords:
                given = option.value.value if isinstance(option.value, ast.Constant) else None
                if (option.arg, given) in FORBIDDEN_OPTIONS:
                    found.add(f"{option.arg}={given}")
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.partition(".")[0]} & FORBIDDEN_MODULES
    return found


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "import builtins; builtins.eval('1')",
        "compile('1', '', 'eval')",
        "from pickle import loads",
        "pd.read_pickle('a')",
        "torch.load('a')",
        "joblib.load('a')",
        "read('a', allow_pickle=True)",
        "read('a', weights_only=False)",
    ],
)
def test_what_can_run_a_file_is_seen(code):
    assert dangers(code)
    assert not dangers("import re, json; re.compile('a'); json.load(open('a')); read('a', weights_only=True)")


@pytest.mark.slow
def test_nothing_that_is_read_can_run():
    found = {file.relative_to(PACKAGE): dangers(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}
    assert len(found) > 100
    assert not {str(file): bad for file, bad in found.items() if bad}


def test_the_network_is_blocked_and_this_machine_is_not():
    with pytest.raises(OSError, match="tests have no network"):
        socket.create_connection(("example.org", 443), timeout=5)
    with socket.socket() as far, pytest.raises(OSError, match="tests have no network"):
        far.connect(("192.0.2.1", 80))
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.fixture
def folder(tmp_path) -> Path:
    import numpy as np

    save_folder(tmp_path / "model", {"a": 1}, {"x": np.arange(3.0)})
    return tmp_path / "model"


ESCAPES = ["../secret.safetensors", "/etc/passwd", "arrays-0123456789abcdef.safetensors/../../secret", "", None, 3]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_model_reads_no_file_out_of_its_folder(folder, name):
    content = next(folder.glob("arrays-*")).read_bytes()
    (folder.parent / "secret.safetensors").write_bytes(content)
    head = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(head | {"arrays": name}))
    with pytest.raises(ValueError, match="lacks the name of its arrays"):
        load_folder(folder)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
@pytest.mark.parametrize("which", ["arrays", "record"])
def test_a_model_follows_no_link_out_of_its_folder(folder, which):
    held = next(folder.glob("arrays-*")) if which == "arrays" else folder / RECORD
    outside = folder.parent / "elsewhere"
    held.rename(outside)
    held.symlink_to(outside)
    with pytest.raises(ValueError, match="is a link"):
        load_folder(folder)
    before = outside.read_bytes()
    import numpy as np

    with pytest.raises(FileExistsError, match="is a link"):
        save_folder(folder, {"a": 2}, {"x": np.zeros(2)})
    assert outside.read_bytes() == before


def test_saving_over_a_model_touches_nothing_else(folder, table):
    beside = folder.parent / "mine.txt"
    beside.write_text("mine")
    model = mt.MultiST(MultiSTConfig(epochs=0), device="cpu").fit(table, use_image=False)
    model.save(folder)
    assert beside.read_text() == "mine" and set(folder.parent.iterdir()) == {folder, beside}
