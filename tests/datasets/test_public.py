"""Public sections from a host on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse

from multist import datasets
from multist._settings import settings
from multist.access import resolve
from multist.datasets import _dlpfc, _remote, _tenx, _visium_section

N_COLUMNS, N_ROWS, PITCH, SCALE = 8, 10, 100.0, 0.2


class Host(ThreadingHTTPServer):
    """Files by path, and what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path)
        self.send_response(404 if content is None else 200)
        content = content or b""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path in self.server.cut else content)

    def log_message(self, *args: Any) -> None:
        pass


def counts(barcodes: list[str], path: Path) -> bytes:
    matrix = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (len(barcodes), 12)).astype(np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, "S20")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array([12, len(barcodes)], np.int32)
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{i}" for i in range(12)], "S20")
        features["name"] = np.array(["TWICE", "TWICE", *(f"G{i}" for i in range(10))], "S20")
        features["feature_type"] = np.array(["Gene Expression"] * 12, "S20")
        features["genome"] = np.array(["GRCh38"] * 12, "S20")
    return path.read_bytes()


def places() -> pd.DataFrame:
    """A lattice of Visium's form, of which the first spot is not under tissue."""
    row, half = np.divmod(np.arange(N_COLUMNS * N_ROWS), N_COLUMNS)
    column = 2 * half + row % 2
    x, y = 150 + column * PITCH / 2, 150 + row * PITCH * np.sqrt(3) / 2
    names = [f"ACGT{i:04d}-1" for i in range(len(row))]
    return pd.DataFrame({"b": names, "t": 1, "r": row, "c": column, "y": y.round(), "x": x.round()})


def picture() -> bytes:
    """Hires: a gradient by which a place is known."""
    image = np.zeros((240, 240, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(240)[None], np.arange(240)[:, None]
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


SCALES = json.dumps({"spot_diameter_fullres": 55.0, "tissue_hires_scalef": SCALE}).encode()


def archive(spots: pd.DataFrame, *, header: bool, extra: dict[str, bytes] | None = None) -> bytes:
    name = "tissue_positions.csv" if header else "tissue_positions_list.csv"
    columns = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
    files = {
        f"spatial/{name}": spots.to_csv(index=False, header=columns if header else False).encode(),
        "spatial/scalefactors_json.json": SCALES,
        "spatial/tissue_hires_image.png": picture(),
    } | (extra or {})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    server = Host()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # a short wait to shut down
    monkeypatch.setattr(settings, "cache_dir", str(tmp_path / "cache"))  # as people set it
    monkeypatch.setattr(_tenx, "HOST", server.address)
    monkeypatch.setattr(_dlpfc, "BUCKET", server.address)
    monkeypatch.setattr(_dlpfc, "REPOSITORY", f"{server.address}/repository")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    spots = places()
    matrix = counts(spots["b"].tolist()[:0:-1], tmp_path / "matrix.h5")  # in another order, and without the first
    for sample, version in (("V1_Breast_Cancer_Block_A_Section_1", "1.1.0"), ("Visium_Mouse_Olfactory_Bulb", "2.0.0")):
        start = f"/{version}/{sample}/{sample}"
        server.files[f"{start}_filtered_feature_bc_matrix.h5"] = matrix
        server.files[f"{start}_spatial.tar.gz"] = archive(spots, header=version == "2.0.0")
    server.files["/h5/151673_filtered_feature_bc_matrix.h5"] = matrix
    server.files["/images/151673_tissue_hires_image.png"] = picture()
    listed = spots.to_csv(index=False, header=False).encode()
    server.files["/repository/151673/tissue_positions_list.txt"] = listed
    server.files["/repository/151673/scalefactors_json.json"] = SCALES
    layers = [f"{name}\t151507\tL6" for name in spots["b"]]
    layers += [f"{name}\t151673\tL{1 + i % 2}" for i, name in enumerate(spots["b"][2:])]
    server.files["/repository/barcode_level_layer_map.tsv"] = "\n".join(layers).encode()
    yield server
    server.shutdown()
    server.server_close()


def kept() -> list[str]:
    return sorted(path.name for path in Path(settings.cache_dir).rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["breast_cancer", "olfactory_bulb"])
def test_a_section_is_what_space_ranger_wrote(host, name, tmp_path):
    sdata = getattr(datasets, name)()
    table, spots = sdata.tables["table"], places().set_index("b")
    assert table.shape == (N_COLUMNS * N_ROWS - 1, 12) and table.var_names.is_unique
    np.testing.assert_array_equal(table.obsm["spatial"], spots.loc[table.obs_names, ["x", "y"]])
    record = resolve(sdata, image=True)
    np.testing.assert_allclose(record.xy, table.obsm["spatial"] * SCALE)
    assert record.diameter[0] == pytest.approx(55 * SCALE)
    assert record.microns_per_pixel[0] == pytest.approx(100 / (PITCH * SCALE), rel=0.02), "by Visium's lattice"
    pixel = np.asarray(record.images[0].levels[0][int(record.xy[0, 1]), int(record.xy[0, 0])])
    np.testing.assert_allclose(pixel[:2], record.xy[0], atol=1)
    assert table.uns["source"]["licence"] == "CC BY 4.0" and len(table.uns["source"]["sha256"][0]) == 64
    sdata.write(tmp_path / "again.zarr")


@pytest.mark.slow
def test_the_cortex_has_its_layers(host, monkeypatch):
    matrix = host.files["/h5/151673_filtered_feature_bc_matrix.h5"]
    monkeypatch.setitem(_dlpfc.COUNTS, "151673", hashlib.sha256(matrix).hexdigest())
    sdata = datasets.dlpfc(151673)
    layer = sdata.tables["table"].obs["layer"]
    assert list(layer.cat.categories) == ["Layer1", "Layer2"] and layer.isna().sum() == 1
    assert layer["ACGT0002-1"] == "Layer1" and layer["ACGT0003-1"] == "Layer2" and pd.isna(layer["ACGT0001-1"])
    assert sdata.tables["table"].uns["source"]["donor"] == "Br8100"
    with pytest.raises(ValueError, match="is not one of the twelve: 151507, "):
        datasets.dlpfc("151600")


def test_nothing_is_fetched_twice(host):
    first = datasets.breast_cancer()
    host.asked.clear()
    host.files.clear()
    second = datasets.breast_cancer()
    assert not host.asked and (first.tables["table"].X != second.tables["table"].X).nnz == 0


def test_a_published_hash_is_kept_to(host):
    with pytest.raises(ValueError, match="is not the file that is known: the published sha256"):
        datasets.dlpfc("151673")
    assert not kept()


@pytest.mark.slow
def test_what_came_first_is_trusted_and_nothing_else_afterwards(host):
    datasets.breast_cancer()
    (path,) = Path(settings.cache_dir).rglob("*_spatial.tar.gz")
    path.write_bytes(path.read_bytes() + b"changed on disk")
    before = kept()
    datasets.breast_cancer()
    assert kept() == before, "it was fetched again"
    path.unlink()
    (name,) = (name for name in host.files if name.endswith("1_spatial.tar.gz"))
    host.files[name] = archive(places(), header=True)
    with pytest.raises(ValueError, match=r"has changed since it was first fetched; .* delete .*\.sha256"):
        datasets.breast_cancer()
    path.with_name(f"{path.name}.sha256").unlink()
    datasets.breast_cancer()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, OSError, "cannot be fetched .*404.*put the file at"),
        (b"<html>log in to the network</html>", ValueError, "is no .h5 file: b'<html>"),
        (b"", ValueError, "is empty"),
    ],
)
def test_what_is_not_the_file_leaves_nothing_behind(host, content, error, message):
    (name,) = (name for name in host.files if name.startswith("/1.1.0") and name.endswith(".h5"))
    if content is None:
        del host.files[name]
    else:
        host.files[name] = content
    with pytest.raises(error, match=message):
        datasets.breast_cancer()
    assert not kept()


def test_a_download_that_breaks_off_leaves_nothing_behind(host):
    (name,) = (name for name in host.files if name.startswith("/1.1.0") and name.endswith(".h5"))
    host.cut.add(name)
    with pytest.raises(OSError, match="cannot be fetched"):
        datasets.breast_cancer()
    assert not kept()
    host.cut.clear()
    datasets.breast_cancer()


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_is_too_large_is_given_up(host, announced, monkeypatch):
    monkeypatch.setattr(_remote, "_MIB", 16)
    if not announced:
        monkeypatch.setattr(Handler, "send_header", lambda *_: None)
    with pytest.raises(ValueError, match=r"more than the 256 .*that it may have"):
        datasets.breast_cancer()
    assert not kept()


def test_a_host_that_is_not_there_is_named(host, monkeypatch):
    monkeypatch.setattr(_tenx, "HOST", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="http://127.0.0.1:9.* cannot be fetched .*; connect, or put the file at"):
        datasets.olfactory_bulb()


def test_paths_in_an_archive_lead_nowhere(host, tmp_path):
    (name,) = (name for name in host.files if name.endswith("1_spatial.tar.gz"))
    extra = {"../../escaped.txt": b"x", f"{tmp_path}/absolute.txt": b"x", "../../tissue_lowres_image.png": b"x"}
    host.files[name] = archive(places(), header=False, extra=extra)
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    datasets.breast_cancer()
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
    assert not any("escaped" in name or "absolute" in name for name in kept())


def test_a_file_in_an_archive_that_is_too_large_is_not_read(host, monkeypatch):
    monkeypatch.setattr(_visium_section, "_MAX_FILE_BYTES", 100)
    with pytest.raises(ValueError, match="more than a section needs"):
        datasets.breast_cancer()


@pytest.mark.parametrize("damage", ["cut", "lacking"])
def test_an_archive_that_is_not_whole_is_named(tmp_path, damage):
    content = archive(places(), header=True)
    if damage == "lacking":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz"):
            pass
        content = buffer.getvalue()
    (tmp_path / "a.tar.gz").write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    with pytest.raises(ValueError, match="no archive that can be read|lacks scalefactors_json.json"):
        _visium_section.read_archive(_remote.Fetched(tmp_path / "a.tar.gz", "", ""))


def test_spots_without_a_place_are_named(host):
    (name,) = (name for name in host.files if name.endswith("1_spatial.tar.gz"))
    host.files[name] = archive(places()[:-1], header=False)
    with pytest.raises(ValueError, match="1 spot of the counts has no place, such as 'ACGT0079-1'"):
        datasets.breast_cancer()
