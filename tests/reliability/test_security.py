"""What comes from strangers runs no code, leaves its folder by no path, and asks nothing of the network."""

from __future__ import annotations

import ast
import inspect
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import multist as mt
from multist.model.checkpoint import RECORD, load_folder, save_folder

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


def test_what_can_run_a_file_is_seen():
    for code in (
        "eval('1')",
        "import builtins; builtins.eval('1')",
        "compile('1', '', 'eval')",
        "from pickle import loads",
        "pd.read_pickle('a')",
        "torch.load('a')",
        "joblib.load('a')",
        "read('a', allow_pickle=True)",
        "read('a', weights_only=False)",
    ):
        assert dangers(code), code
    assert not dangers("import re, json; re.compile('a'); json.load(open('a')); read('a', weights_only=True)")


@pytest.mark.slow
def test_nothing_that_is_read_can_run():
    found = {file.relative_to(PACKAGE): dangers(file.read_text(encoding="utf-8")) for file in PACKAGE.rglob("*.py")}
    assert len(found) > 100
    assert not {str(file): bad for file, bad in found.items() if bad}


WAYS_OUT = {
    "connect": "socket.socket().connect(('192.0.2.1', 80))",
    "connect_ex": "socket.socket().connect_ex(('192.0.2.1', 80))",
    "IPv6": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "create_connection": "socket.create_connection(('example.org', 443), timeout=5)",
    "an address": "socket.create_connection(('192.0.2.1', 443), timeout=5)",
    "a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'a', ('192.0.2.1', 53))",
    "a datagram in pieces": "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'a'], [], 0, ('192.0.2.1', 53))",
    "a name": "socket.getaddrinfo('example.org', 443)",
    "a name of old": "socket.gethostbyname('example.org')",
    "a name backwards": "socket.gethostbyaddr('192.0.2.1')",
    "C's own socket": "__import__('_socket').socket().connect(('192.0.2.1', 80))",
    "urllib": "__import__('urllib.request').request.urlopen('http://192.0.2.1/', timeout=5)",
    "requests": "__import__('requests').get('http://192.0.2.1/', timeout=5)",
    "asyncio": "__import__('asyncio').run(__import__('asyncio').open_connection('192.0.2.1', 80))",
}


def refused(way: str) -> str:
    """What a way out says; nothing where it is open."""
    try:
        exec(way, {"socket": socket})
    except OSError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def said_to_a_module() -> dict[str, str]:
    """Module fixtures are set up before those of a test."""
    return {name: refused(way) for name, way in WAYS_OUT.items()}


@pytest.mark.filterwarnings("ignore:unclosed")
def test_the_network_is_blocked_from_the_start(said_to_a_module):
    assert {name: said for name, said in said_to_a_module.items() if "tests have no network" not in said} == {}


@pytest.mark.slow
def test_the_network_is_blocked_in_a_process_that_is_started_and_in_its_own():
    ways = {name: way for name, way in WAYS_OUT.items() if name != "requests"}  # which takes long to import
    tried = f"print(json.dumps([refused(way) for way in {list(ways.values())}]))"
    code = f"import json, socket\n{inspect.getsource(refused)}\n{tried}"
    nested = f"import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', {code!r}], text=True))"
    done = subprocess.run([sys.executable, "-c", nested], capture_output=True, text=True)
    said = dict(zip(ways, json.loads(done.stdout), strict=True))
    assert {name for name in said if "tests have no network" not in said[name]} == set(), done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_may_be_spoken_to(host):
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            assert client.getpeername() == server.getsockname()
        with socket.socket() as client:
            assert client.connect_ex((host, port)) == 0


@pytest.fixture
def folder(tmp_path) -> Path:
    save_folder(tmp_path / "model", {"a": 1}, {"x": np.arange(3.0)})
    return tmp_path / "model"


@pytest.mark.parametrize("name", ["../secret.safetensors", "arrays-0123456789abcdef.safetensors/../../secret", None])
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
    with pytest.raises(FileExistsError, match="is a link"):
        save_folder(folder, {"a": 2}, {"x": np.zeros(2)})
    assert outside.read_bytes() == before


def test_saving_over_a_model_touches_nothing_else(folder):
    beside = folder.parent / "mine.txt"
    beside.write_text("mine")
    save_folder(folder, {"a": 2}, {"x": np.zeros(2)})
    assert beside.read_text() == "mine" and set(folder.parent.iterdir()) == {folder, beside}
