"""A tissue that is made in milliseconds, and proof that nothing in an object has changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import multist as mt
from multist.model.config import MultiSTConfig

if TYPE_CHECKING:
    from spatialdata import SpatialData

SIDE, PITCH, GENES = 12, 20, 30
MARGIN = 2  # of glass around the tissue, in pitches


@pytest.fixture(scope="session")
def quick() -> MultiSTConfig:
    """Enough training to see that it runs."""
    return MultiSTConfig(epochs=2)


def make_tissue(random_state: int = 0) -> ad.AnnData:
    """144 spots on a square lattice, three bands that counts and colours tell, in Visium's form, unsymmetric."""
    rng = np.random.default_rng(random_state)
    row, column = (axis.ravel() for axis in np.mgrid[:SIDE, :SIDE])
    xy = PITCH * (np.column_stack([column, row]) + MARGIN + 0.5)
    band = np.digitize(row + 0.2 * column, [4, 9])
    depth = rng.uniform(0.7, 1.4, len(xy))
    rate = rng.uniform(0.5, 2, GENES) * np.exp(0.8 * rng.normal(size=(3, GENES)))[band] * depth[:, None]
    table = ad.AnnData(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)),
        obs=pd.DataFrame(
            {"truth": pd.Categorical(np.array(["deep", "middle", "outer"])[band]), "depth": depth},
            index=[f"spot{i}" for i in range(len(xy))],
        ),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(GENES)]),
        obsm={"spatial": xy},
    )
    y, x = np.mgrid[: (SIDE + 2 * MARGIN) * PITCH, : (SIDE + 2 * MARGIN) * PITCH] / PITCH - MARGIN
    colours = np.array([[190, 120, 170], [225, 180, 205], [150, 90, 160]])
    image = colours[np.digitize(y + 0.2 * x, [4, 9])] + rng.integers(-25, 25, (*x.shape, 1))
    image[(np.minimum(x, y) < 0) | (np.maximum(x, y) > SIDE)] = 240
    table.uns["spatial"] = {
        "tissue": {
            "images": {"hires": image.clip(0, 255).astype(np.uint8)},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 12.0},
        }
    }
    strokes = pd.Categorical([None] * len(xy), table.obs["truth"].cat.categories)
    table.obs["annotation"] = strokes
    for name in table.obs["truth"].cat.categories:
        rows = rng.choice(np.flatnonzero(table.obs["truth"] == name), 4, replace=False)
        table.obs.loc[table.obs_names[rows], "annotation"] = name
    return table


def make_mingled(random_state: int = 0) -> ad.AnnData:
    """The tissue with cells of three kinds anywhere, so that a spot's own image tells what no neighbour does."""
    table, rng = make_tissue(random_state), np.random.default_rng(random_state)
    kind = rng.integers(0, 3, table.n_obs)
    rate = np.exp(0.8 * np.random.default_rng(99).normal(size=(3, table.n_vars)))[kind]
    table.X = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    image = table.uns["spatial"]["tissue"]["images"]["hires"]
    colours = np.array([[190, 120, 170], [225, 180, 205], [150, 90, 160]])[kind]
    for (x, y), colour in zip((table.obsm["spatial"] - PITCH / 2).astype(int), colours, strict=True):
        image[y : y + PITCH, x : x + PITCH] = colour + rng.integers(-15, 15, (PITCH, PITCH, 1))
    return table


def make_spatialdata(random_state: int = 0) -> SpatialData:
    """The same tissue as circles, an image and a table that annotates them, and two rectangles that somebody drew."""
    import shapely
    from geopandas import GeoDataFrame
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel

    table = make_tissue(random_state)
    image, xy = table.uns.pop("spatial")["tissue"]["images"]["hires"], table.obsm.pop("spatial")
    table.obs["region"], table.obs["instance"] = pd.Categorical(["spots"] * len(xy)), np.arange(len(xy))
    (left, top), (right, bottom) = xy.min(axis=0) - 1, xy.max(axis=0) + 1
    boxes = [shapely.box(left, top, right, top + 50), shapely.box(left, bottom - 50, right, bottom)]
    return SpatialData(
        images={"he": Image2DModel.parse(image.transpose(2, 0, 1), dims=("c", "y", "x"), c_coords=list("rgb"))},
        shapes={
            "spots": ShapesModel.parse(xy, geometry=0, radius=6.0, index=table.obs["instance"].to_numpy()),
            "drawn": ShapesModel.parse(GeoDataFrame({"name": ["one", "two"]}, geometry=boxes)),
        },
        tables={"table": TableModel.parse(table, region="spots", region_key="region", instance_key="instance")},
    )


@pytest.fixture(scope="session")
def new_tissue() -> Callable[[], ad.AnnData]:
    """Makes the tissue."""
    return make_tissue


@pytest.fixture(scope="session")
def new_mingled() -> Callable[[int], ad.AnnData]:
    """Makes the tissue whose kinds of cells lie anywhere."""
    return make_mingled


@pytest.fixture(scope="session")
def new_spatialdata() -> Callable[[], SpatialData]:
    """Makes the tissue as a SpatialData."""
    return make_spatialdata


@pytest.fixture(scope="session")
def _finished() -> ad.AnnData:
    table = make_tissue()
    mt.pp.embed_histology(table)
    mt.tl.multist_domains(table, 3, config=MultiSTConfig(epochs=2), device="cpu")
    mt.tl.pseudotime(table, root=table.obs_names[0])
    return table


@pytest.fixture
def table() -> ad.AnnData:
    """The tissue, nothing computed yet."""
    return make_tissue()


@pytest.fixture
def finished(_finished) -> ad.AnnData:
    """The tissue with every stage done."""
    return _finished.copy()


Look = dict[str, Any]


def buffers(value: Any) -> Iterator[np.ndarray]:
    """The memory of an array, a sparse matrix, a column or whatever holds such."""
    if isinstance(value, np.ndarray):
        yield value
    elif sparse.issparse(value):
        yield from (
            getattr(value, name) for name in ("data", "indices", "indptr", "row", "col") if hasattr(value, name)
        )
    elif isinstance(value, pd.DataFrame):
        for _, column in value.items():  # two may have one name
            yield from buffers(column)
    elif isinstance(value, pd.Series | pd.Index):
        if isinstance(value.dtype, pd.CategoricalDtype):
            yield value.cat.codes.to_numpy()
        elif isinstance(value.dtype, np.dtype):
            yield value.to_numpy()
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from buffers(each)


def groups(table: ad.AnnData | SpatialData) -> Look:
    if not isinstance(table, ad.AnnData):
        elements = {kind: dict(getattr(table, kind)) for kind in ("images", "labels", "shapes", "points")}
        return elements | {"attrs": table.attrs} | {name: groups(each) for name, each in table.tables.items()}
    held = {name: dict(getattr(table, name)) for name in ("obsm", "obsp", "varm", "varp", "layers", "uns")}
    raw = {} if table.raw is None else {"raw": {"X": table.raw.X, "var": table.raw.var}}
    return {"X": table.X, "obs": table.obs, "var": table.var, **held, **raw}


def look(value: Any) -> Any:
    """All that can be seen of a value: kind, type, shape, order in memory, flags and bytes."""
    if isinstance(value, Mapping):
        return {"keys": list(value), **{str(key): look(each) for key, each in value.items()}}
    if isinstance(value, pd.DataFrame):
        return {"index": list(value.index), "columns": list(value), "values": [look(each) for _, each in value.items()]}
    if isinstance(value, pd.Series):
        kind = repr(value.dtype) + (repr(list(value.cat.categories)) if hasattr(value, "cat") else "")
        return kind, repr(value.to_numpy().tolist())
    if sparse.issparse(value):
        return type(value).__name__, value.shape, [look(each) for each in buffers(value)]
    if isinstance(value, np.ndarray):
        flags = (value.flags.c_contiguous, value.flags.f_contiguous, value.flags.writeable)
        return str(value.dtype), value.shape, flags, repr(value.tolist()) if value.dtype.hasobject else value.tobytes()
    if hasattr(value, "dims"):  # an image
        return value.dims, look(np.asarray(value.data)), repr(value.attrs)
    return type(value).__name__, repr(value)


def sealed_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The same columns in memory that is read-only; pandas gives no hold of that which a frame has."""
    columns: list[Any] = []
    for _, column in frame.items():
        is_named = isinstance(column.dtype, pd.CategoricalDtype)
        values = (column.cat.codes if is_named else column).to_numpy(copy=True)
        values.flags.writeable = False
        columns.append(pd.Categorical.from_codes(values, dtype=column.dtype) if is_named else values)
    made = pd.DataFrame(dict(enumerate(columns)), index=frame.index, copy=False)
    made.columns = frame.columns  # set_axis would copy
    return made


def seal(table: ad.AnnData) -> None:
    """Make all memory of a table read-only, so that a write is an error where it happens."""
    table.obs, table.var = sealed_frame(table.obs), sealed_frame(table.var)
    for array in buffers({name: held for name, held in groups(table).items() if name not in ("obs", "var")}):
        array.flags.writeable = False


@pytest.fixture(scope="session")
def sealed() -> Callable[[ad.AnnData], None]:
    """The function above."""
    return seal


@pytest.fixture(scope="session")
def looked_at() -> Callable[[ad.AnnData], Look]:
    """All that can be seen of a table."""
    return lambda table: {"view": table.is_view, **look(groups(table))}


@pytest.fixture(scope="session")
def untouched() -> Callable[[ad.AnnData | SpatialData], Any]:
    """``with untouched(table):`` fails if afterwards any value, key, order, type or flag differs.

    A view must still be one.
    """

    @contextmanager
    def compare(data: ad.AnnData | SpatialData) -> Iterator[None]:
        table = data if isinstance(data, ad.AnnData) else data.tables["table"]
        before, view, frame = look(groups(data)), table.is_view, table.obs
        yield
        assert data is table or data.tables["table"] is table, "another table"
        assert table.is_view == view, "a view became a copy"
        assert view or table.obs is frame, "obs is another frame"
        after = look(groups(data))
        for name in before:
            assert after[name] == before[name], f"{name} is not what it was"
        assert after.keys() == before.keys()

    return compare


Seen = list[dict[str, Any]]


@pytest.fixture(scope="session")
def in_a_process() -> Iterator[Callable[..., dict[str, Seen]]]:
    """Runs functions of ``interrupted.py`` one after another in a folder that every user can enter."""
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)

    def run(*what: str) -> dict[str, Seen]:
        result = home / f"{what[0]}.json"
        command = [sys.executable, str(Path(__file__).with_name("interrupted.py")), str(home), str(result), *what]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(result.read_text())

    yield run
    shutil.rmtree(home)
