"""A hub on this machine, which answers, refuses or is silent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from multist.histology import hub

constants = pytest.importorskip("huggingface_hub.constants", reason="comes with the extras of encoders")

SHA = "0123456789abcdef0123456789abcdef01234567"
PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/api/models/owner/gated": (401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}, b"{}"),
    "/api/models/owner/none": (404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"}, b"{}"),
}


class Handler(BaseHTTPRequestHandler):
    silence = threading.Event()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("silent"):
            self.silence.wait(30)
        status, headers, body = PAGES.get(path, (404, {"X-Error-Code": "EntryNotFound"}, b"{}"))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # a short wait to shut down
    address = f"http://127.0.0.1:{server.server_port}"
    for name in ("ENDPOINT", "_HF_DEFAULT_ENDPOINT"):
        monkeypatch.setattr(constants, name, address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # which older ones do not know
    Handler.silence.clear()
    yield
    Handler.silence.set()
    server.shutdown()
    server.server_close()


def kept(cache: Path, repository: str) -> Path:
    """What the hub's cache looks like once a model is there."""
    root = cache / "hub" / f"models--{repository.replace('/', '--')}"
    folder = root / "snapshots" / SHA
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(SHA)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("owner/gated", "ask for access on its page on the hub, then log in by 'hf auth login' or set HF_TOKEN"),
        ("owner/none", "the hub has no 'owner/none'.*check the name"),
    ],
)
def test_what_cannot_be_fetched_says_what_to_do(name, advice):
    with pytest.raises(OSError, match=advice):
        hub.locate(name, f"timm:{name}")


def test_a_silent_hub_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with pytest.raises(OSError, match="cannot be reached.*'hf download'.*encoder='texture' needs no download"):
        hub.locate("owner/silent", "timm:owner/silent")


def test_the_patience_is_less_than_the_promised_five_seconds():
    assert hub.PATIENCE <= 4.5


@pytest.mark.parametrize("revision", ["", "@main", f"@{SHA}"])
def test_a_model_in_the_cache_is_found_though_the_hub_is_silent(monkeypatch, tmp_path, caplog, revision):
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    folder = kept(tmp_path, "owner/silent")
    with caplog.at_level("WARNING", logger="multist"):
        located = hub.locate(f"owner/silent{revision}", "timm:owner/silent")
    assert located.folder == folder and located.revision == SHA and "the copy in its cache is taken" in caplog.text


def test_revision_and_licence_are_the_hubs_and_only_what_is_needed_is_fetched(monkeypatch, tmp_path):
    files = [
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "README.md",
        "onnx/model.onnx",
        "onnx/config.json",
    ]
    info = {
        "id": "owner/open",
        "sha": SHA,
        "gated": False,
        "cardData": {"license": "cc-by-nc-4.0"},
        "siblings": [{"rfilename": name} for name in files],
    }
    monkeypatch.setitem(PAGES, "/api/models/owner/open", (200, {}, json.dumps(info).encode()))
    monkeypatch.setitem(PAGES, f"/api/models/owner/open/revision/{SHA}", (200, {}, json.dumps(info).encode()))
    tree = [{"type": "file", "path": name, "size": len(name), "oid": name} for name in files]
    monkeypatch.setitem(PAGES, f"/api/models/owner/open/tree/{SHA}", (200, {}, json.dumps(tree).encode()))
    for name in files:
        headers = {"X-Repo-Commit": SHA, "ETag": f'"{name}"'}
        monkeypatch.setitem(PAGES, f"/owner/open/resolve/{SHA}/{name}", (200, headers, name.encode()))
    located = hub.locate("owner/open", "timm:owner/open")
    assert (located.revision, located.licence) == (SHA, "cc-by-nc-4.0")
    assert {path.name for path in located.folder.rglob("*") if path.is_file()} == {"config.json", "model.safetensors"}


@pytest.mark.parametrize("name", ["model", "a/b/c", "owner/na me", "../nowhere/x"])
def test_what_is_no_name_is_refused_without_asking(name):
    with pytest.raises(ValueError, match="neither a folder nor a name on the hub"):
        hub.locate(name, f"timm:{name}")
