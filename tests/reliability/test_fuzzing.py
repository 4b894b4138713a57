"""Whatever a file of a stranger holds, it is read, or refused in words: nothing fails deep within.

A few examples in the tests, the same each time; ``nox -s fuzz`` tries as many as ten minutes take.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.colors import is_color_like
from PIL import Image

import multist as mt
from multist._report.page import Cell, Page, Part, Picture, Table, Tissue, write_page
from multist.access import stored_colors
from multist.datasets._remote import Fetched
from multist.datasets._visium_section import read_archive
from multist.model.checkpoint import RECORD
from multist.model.config import MultiSTConfig

EXAMPLES = int(os.environ.get("MULTIST_FUZZ", "25"))
DOCUMENTED = (ValueError, KeyError, OSError)
"""What may be raised for a file; ImportError too, for one that needs a package which is not there."""

pytestmark = pytest.mark.slow

tried = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def told(call: Callable[[], Any]) -> Any:
    """What the call returns, or None after an error that is documented and says something."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except (*DOCUMENTED, ImportError) as error:
        words = str(error)
        assert " " in words, f"{type(error).__name__} says only {words!r}"
        return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
odd_values = (
    json_values
    | st.sampled_from([-1, 0, 2**31, 2**63, 1e308, float("nan"), float("inf"), "", "../x"])
    | st.builds(list)  # a new one each time, since tests write into what they draw
    | st.builds(dict)
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything within JSON, that itself left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, each in list(inner)[:12] for way in [(*at, key), *places(each, (*at, key))]]


@st.composite
def spoilt(draw: st.DrawFn, value: Any, most: int = 2) -> Any:
    """JSON with one value or two replaced or removed."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        ways = places(value)
        if not ways:
            break
        *to, last = draw(st.sampled_from(ways))
        held = value
        for key in to:
            held = held[key]
        if draw(st.booleans()):
            held[last] = draw(odd_values)
        else:
            del held[last]
    return value


@st.composite
def cut_and_flipped(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of which some are others, more often among the first, perhaps cut short or with a piece repeated."""
    spoilt = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        last = min(len(spoilt), draw(st.sampled_from([16, 400, len(spoilt)]))) - 1
        spoilt[draw(st.integers(0, max(last, 0)))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 3)) == 0:
        del spoilt[draw(st.integers(1, len(spoilt) - 1)) :]
    if draw(st.integers(0, 7)) == 0:
        start = draw(st.integers(0, len(spoilt) - 1))
        spoilt[start:start] = spoilt[start : start + 40]
    return bytes(spoilt)


@pytest.fixture(scope="module")
def here() -> Path:
    """A folder for the files of a test, which hypothesis enters many times."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def model(here, new_tissue) -> Path:
    """The folder of a model that knows domains from strokes, with an image and networks."""
    table = new_tissue()
    fitted = mt.MultiST(MultiSTConfig(epochs=1), device="cpu").fit(table, labels_key="annotation")
    fitted.save(here / "model")
    return here / "model"


def with_record(model: Path, record: Any, content: bytes | None = None) -> Path:
    """A copy of a model with another record, and other arrays whose checksum the record states."""
    folder = model.with_name("spoilt")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model, folder)
    if content is not None:
        (file,) = folder.glob("arrays-*")
        file.write_bytes(content)
        record = record | {"sha256": hashlib.sha256(content).hexdigest()}
    (folder / RECORD).write_text(record if isinstance(record, str) else json.dumps(record), encoding="utf-8")
    return folder


@tried
@given(data=st.data())
def test_the_record_of_a_model(data, model, new_tissue):
    record = json.loads((model / RECORD).read_text())
    spoilt_record = data.draw(spoilt(record))
    told(lambda: mt.MultiST.load(with_record(model, spoilt_record), device="cpu"))


@tried
@given(data=st.data())
def test_the_bytes_of_a_models_record(data, model):
    content = data.draw(cut_and_flipped((model / RECORD).read_bytes()))
    folder = with_record(model, "")
    (folder / RECORD).write_bytes(content)
    told(lambda: mt.MultiST.load(folder, device="cpu"))


@tried
@given(data=st.data())
def test_the_bytes_of_a_models_arrays(data, model):
    (file,) = model.glob("arrays-*")
    content = data.draw(cut_and_flipped(file.read_bytes()))
    record = json.loads((model / RECORD).read_text())
    told(lambda: mt.MultiST.load(with_record(model, record, content), device="cpu"))


@tried
@given(data=st.data())
def test_the_shapes_and_kinds_of_a_models_arrays(data, model, new_tissue):
    from safetensors.numpy import load, save

    (file,) = model.glob("arrays-*")
    arrays = load(file.read_bytes())
    name = data.draw(st.sampled_from(sorted(arrays)))
    change = data.draw(st.sampled_from(["longer", "flat", "empty", "whole numbers", "nan", "gone", "deeper"]))
    old = arrays.pop(name)
    others = {
        "longer": lambda: np.concatenate([np.atleast_1d(old), np.atleast_1d(old)]),
        "flat": lambda: old.ravel(),
        "empty": lambda: np.zeros((0,) * max(old.ndim, 1), old.dtype),
        "whole numbers": lambda: np.asarray(np.nan_to_num(old), np.int64),
        "nan": lambda: np.full_like(old, np.nan, dtype=np.float64),
        "deeper": lambda: old[None],
    }
    if change != "gone":
        arrays[name] = others[change]()
    record = json.loads((model / RECORD).read_text()) | {"names": sorted(arrays)}
    folder = with_record(model, record, save(arrays))
    # what loads has to be told there if it does not fit
    told(lambda: mt.MultiST.load(folder, device="cpu").predict(new_tissue(), copy=True))


NESTED = ['{"format":' + "[" * 100_000, "[" * 100_000, '{"record":' * 50_000]


@pytest.mark.parametrize("text", NESTED, ids=["in an entry", "a list", "dicts"])
def test_a_record_that_is_nested_deeply_is_refused(model, text):
    with pytest.raises(ValueError, match="nested too deeply"):
        mt.MultiST.load(with_record(model, text))


def square(left: float) -> dict[str, Any]:
    corners = [[left, 50], [left + 60, 50], [left + 60, 200], [left, 200], [left, 50]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": {"classification": {"name": "a", "color": [1, 2, 3]}, "name": "b"},
    }


DRAWN = {
    "type": "FeatureCollection",
    "features": [square(60.0), square(150.0)]
    + [
        {"type": "Feature", "geometry": {"type": kind, "coordinates": at}, "properties": {"name": "p"}}
        for kind, at in (("Point", [100, 100]), ("LineString", [[60, 60], [150, 90]]), ("MultiPoint", [[70, 70]]))
    ],
}
CSVS = [
    "Barcode,group\nspot1,a\nspot2,b\nspot3,a\n",
    "cell_id,group,color\nspot1,a,#ff0000\nspot5,b,blue\n",
    "#Selection name: one\n#Area: 3\nX,Y\n50,50\n200,50\n200,200\n",
    "Selection,X,Y,class,color\ns,50,50,k,#123456\ns,200,50,k,#123456\ns,90,200,k,#123456\n",
]


def read_drawn(here: Path, content: bytes, table: Any) -> None:
    file = here / "drawn"
    file.write_bytes(content)
    told(lambda: mt.pp.read_labels(table, file, scale=1.0 if b"X,Y" in content else None))
    if "annotation" in table.obs:
        assert isinstance(table.obs["annotation"].dtype, pd.CategoricalDtype)


@tried
@given(data=st.data())
def test_geojson(data, here, table_without_strokes):
    text = json.dumps(data.draw(spoilt(DRAWN, 3)))
    read_drawn(here, text.encode(), table_without_strokes.copy())


@tried
@given(data=st.data())
def test_the_bytes_of_geojson_and_csv(data, here, table_without_strokes):
    text = data.draw(st.sampled_from([json.dumps(DRAWN), *CSVS]))
    read_drawn(here, data.draw(cut_and_flipped(text.encode())), table_without_strokes.copy())


lines = st.text(st.sampled_from('abXY,;"\n\t #:019.-\x00é\r'), max_size=60)


@tried
@given(data=st.data())
def test_csv(data, here, table_without_strokes):
    head = data.draw(st.sampled_from([*(csv.partition("\n")[0] for csv in CSVS), "", "X,Y,X", "Barcode,Barcode"]))
    read_drawn(here, f"{head}\n{data.draw(lines)}".encode(), table_without_strokes.copy())


@pytest.fixture(scope="module")
def table_without_strokes(new_tissue):
    table = new_tissue()
    del table.obs["annotation"]
    return table


def slides() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    made = {}
    options = {
        "plain.tif": {},
        "tiled.tif": {"tile": (16, 16), "compression": "zlib", "resolution": (4000, 4000), "resolutionunit": 3},
        "big.tif": {"bigtiff": True, "rowsperstrip": 8, "description": "Aperio |MPP = 0.5|AppMag = 20"},
        "slide.ome.tif": {
            "tile": (16, 16),
            "metadata": {"axes": "YXS", "PhysicalSizeX": 0.5},
        },
    }
    for name, written in options.items():
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, photometric="rgb", ome=name.endswith("ome.tif"), **written)
        made[name] = buffer.getvalue()
    for kind in ("png", "jpeg"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        made[f"image.{kind}"] = buffer.getvalue()
    return made


SLIDES = slides()


@tried
@given(data=st.data())
def test_slides(data, here):
    name = data.draw(st.sampled_from(sorted(SLIDES)))
    (here / name).write_bytes(data.draw(cut_and_flipped(SLIDES[name])))

    told(lambda: look_at(here / name))


@pytest.mark.parametrize("entry", [0, 1], ids=["width", "height"])
def test_a_slide_whose_directory_has_no_side_is_refused(here, entry):
    tifffile.imwrite(here / "plain.tif", np.zeros((64, 48, 3), np.uint8), photometric="rgb", metadata=None)
    content = bytearray((here / "plain.tif").read_bytes())
    start = 10 + 12 * entry  # of the entry, by the first two bytes of which it is known
    assert int.from_bytes(content[start : start + 2], "little") in (256, 257)
    content[start : start + 2] = bytes(2)
    (here / "plain.tif").write_bytes(content)
    with pytest.raises(ValueError, match="plain.tif is"):
        mt.pp.read_slide(here / "plain.tif")


def ome_zarr(folder: Path, zarr_format: int) -> dict[str, Any]:
    """A small image in a folder; returns its attributes."""
    import zarr

    shutil.rmtree(folder, ignore_errors=True)
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx")]
    steps = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}], "name": "a"}
    version = {2: "0.4", 3: "0.5"}[zarr_format]
    attrs = {"multiscales": [image | ({"version": version} if zarr_format == 2 else {})]}
    attrs = attrs if zarr_format == 2 else {"ome": attrs | {"version": version}}
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format, attributes=attrs)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8)
    group.create_array("0", data=pixels, chunks=(3, 16, 16))
    return attrs


def look_at(path: Path) -> None:
    """Open a slide, and read its pixels if they are few."""
    finest = mt.pp.read_slide(path)
    array = finest if hasattr(finest, "data") else finest["scale0"]["image"]
    if array.size < 1e7:
        np.asarray(array.data)


@tried
@given(data=st.data())
def test_the_attributes_of_an_ome_zarr(data, here):
    attrs = ome_zarr(here / "image.zarr", 2)
    (here / "image.zarr" / ".zattrs").write_text(json.dumps(data.draw(spoilt(attrs))))
    told(lambda: mt.pp.read_slide(here / "image.zarr"))


ODD_ARRAYS = {
    "shape": st.lists(st.sampled_from([-1, 0, 1, 3, 32, 2**22, 2**40, 2**62, 1.5, "32", None]), max_size=5),
    "chunks": st.lists(st.sampled_from([-1, 0, 1, 3, 16, 2**40, 2**62, None]), max_size=5),
    "dtype": st.sampled_from(
        ["|O", "<U4", "|S3", "|b1", "<f2", "<f8", ">u2", "<c8", "<M8[s]", "|V2", "u", [["a", "<i4"]]]
    ),
    "compressor": st.sampled_from(
        [None, *({"id": name} for name in ("pickle", "zlib", "gzip", "lz4", "json2", "../x", "os.system", ""))]
    ),
    "filters": st.sampled_from([None, *([{"id": name}] for name in ("pickle", "vlen-utf8", "delta", "msgpack2"))]),
    "data_type": st.sampled_from(
        ["object", "string", "float16", "complex64", "bool", "r16", "variable_length_bytes", "numpy.datetime64", 8]
    ),
    "codecs": st.sampled_from(
        [
            [],
            [{"name": "bytes"}],
            [{"name": "pickle"}],
            [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": -5}}],
        ]
    ),
    "fill_value": st.sampled_from(["NaN", "A" * 40, -1, 1e308, {"a": 1}, None]),
    "dimension_separator": st.sampled_from(["/", "..", "", 3]),
    "node_type": st.sampled_from(["group", "pickle", None]),
    "zarr_format": st.sampled_from([1, 2, 3, 4, "2"]),
    "chunk_key_encoding": st.sampled_from(
        [{"name": "v2"}, {"name": "../.."}, {"name": "default", "configuration": {"separator": ".."}}]
    ),
}
"""What a stranger may declare of an array, in either version of the format."""


@tried
@given(data=st.data(), zarr_format=st.sampled_from([2, 3]))
def test_the_metadata_of_the_arrays_of_an_ome_zarr(data, here, zarr_format):
    folder = here / "image.zarr"
    ome_zarr(folder, zarr_format)
    file = folder / "0" / {2: ".zarray", 3: "zarr.json"}[zarr_format]
    record = json.loads(file.read_text())
    known = sorted(set(ODD_ARRAYS) & set(record)) + ["chunk_grid"] * (zarr_format == 3)
    if data.draw(st.booleans()):
        for key in data.draw(st.sets(st.sampled_from(known), min_size=1, max_size=2)):
            odd = data.draw(ODD_ARRAYS[key if key != "chunk_grid" else "chunks"])
            record[key] = odd if key != "chunk_grid" else {"name": "regular", "configuration": {"chunk_shape": odd}}
    else:
        record = data.draw(spoilt(record))
    file.write_text(json.dumps(record))
    told(lambda: look_at(folder))


@tried
@given(data=st.data(), zarr_format=st.sampled_from([2, 3]))
def test_the_bytes_of_an_ome_zarr(data, here, zarr_format):
    folder = here / "image.zarr"
    ome_zarr(folder, zarr_format)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    file.write_bytes(data.draw(cut_and_flipped(file.read_bytes())))
    told(lambda: look_at(folder))


@pytest.mark.parametrize(
    ("name", "zarr_format"),
    [
        ("../secret.zarr/0", 2),
        ("../secret.zarr/0", 3),
        ("0/../../secret.zarr/0", 2),
        ("/{here}/secret.zarr/0", 2),
        ("link", 2),
        ("link/0", 2),
        ("./../secret.zarr/0", 2),
    ],
)
def test_a_level_leads_out_of_its_folder_by_no_name(here, name, zarr_format):
    for folder in ("image.zarr", "secret.zarr"):
        attrs = ome_zarr(here / folder, zarr_format)
    (here / "image.zarr" / "link").symlink_to(here / "secret.zarr" / ("0" if name == "link" else ""))
    image = attrs["multiscales" if zarr_format == 2 else "ome"]
    (image if zarr_format == 2 else image["multiscales"])[0]["datasets"][0]["path"] = name.format(here=here)
    if zarr_format == 2:
        (here / "image.zarr" / ".zattrs").write_text(json.dumps(attrs))
    else:
        record = json.loads((here / "image.zarr" / "zarr.json").read_text()) | {"attributes": attrs}
        (here / "image.zarr" / "zarr.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="lies outside of the folder"):
        mt.pp.read_slide(here / "image.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_damaged_piece_names_its_folder(here, zarr_format):
    ome_zarr(here / "image.zarr", zarr_format)
    piece = next(file for file in (here / "image.zarr" / "0").rglob("*") if file.is_file() and file.name[0] in "01c")
    piece.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="image.zarr cannot be decoded; it may be cut short or damaged"):
        look_at(here / "image.zarr")


@tried
@given(data=st.data())
def test_archives_of_sections(data, here):
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("spatial/tissue_positions.csv", "scalefactors_json.json", "../../tissue_hires_image.png"):
            info = tarfile.TarInfo(name)
            info.size = 200
            tar.addfile(info, io.BytesIO(b"1" * 200))
    (here / "archive.tar.gz").write_bytes(data.draw(cut_and_flipped(buffer.getvalue())))
    told(lambda: read_archive(Fetched(here / "archive.tar.gz", "", "")))


class Tags(HTMLParser):
    """Names of the tags of a page, and all words that it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}


def page(name: str, here: Path) -> Tags:
    table = Table([name, "b"], [[Cell(name, "#ffffff"), Cell("1")]])
    part = Part(name, name, [Picture("data:,", 10, name)], [(name, table)])
    shown = Page(name, name, Tissue(Picture("data:,", 10, name)), [part], [(name, name)], name)
    return Tags(write_page(shown, here / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plain(here) -> Tags:
    return page("plain", here)


marked = st.text(st.sampled_from("<>\"'&;=/ {}%#`\\!-scriptonload"), min_size=1, max_size=40)


@tried
@given(name=marked | st.sampled_from(['"><script>alert(1)</script>', "' onload='x", "{{ 7 * 7 }}", "</style><b>"]))
def test_names_add_no_tag_and_no_attribute_to_a_page(name, here, plain):
    spoilt_page = page(name, here)
    assert spoilt_page.names == plain.names and spoilt_page.attributes == plain.attributes


@tried
@given(stored=odd_values | st.lists(st.binary(max_size=8) | st.text(max_size=8), max_size=4))
def test_colours_that_somebody_stored(stored, table_without_strokes):
    table = table_without_strokes.copy()
    table.uns["truth_colors"] = stored
    found = told(lambda: stored_colors(table, "truth"))
    assert found is None or all(is_color_like(color) for color in found.values())


@tried
@given(data=st.data())
def test_what_a_store_says_of_a_section(data, new_tissue):
    table = new_tissue()
    factors = {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 12.0}
    entry = {"scalefactors": factors, "metadata": {"chemistry_description": "x"}}
    spoilt_entry = data.draw(spoilt({"tissue": entry}))
    held = spoilt_entry.get("tissue")
    if isinstance(held, dict):
        held["images"] = table.uns["spatial"]["tissue"]["images"]
    table.uns["spatial"] = spoilt_entry
    told(lambda: mt.pp.embed_histology(table))
