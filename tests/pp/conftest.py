"""Counts, lattices and slides that are made, a grid of spots to draw on, and files of what was drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from spatialdata import SpatialData
from spatialdata.models import ShapesModel, TableModel


def counts(n_obs: int = 300, n_vars: int = 400) -> ad.AnnData:
    """Two groups of spots that differ in forty genes."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(1.0, 2.0, n_vars) * np.ones((n_obs, 1))
    mean[n_obs // 2 :, :40] *= 6
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(mean).astype(np.float32)))
    adata.obs["group"] = pd.Categorical(["a"] * (n_obs // 2) + ["b"] * (n_obs - n_obs // 2))
    adata.var_names = [f"g{i}" for i in range(n_vars)]
    return adata


def aligned(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Components with the signs of others."""
    return found * np.sign((found * expected).sum(axis=0))


def hexagons(rows: int = 20, columns: int = 25, pitch: float = 100.0) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns].astype(float)
    return np.column_stack([((x + (y % 2) / 2) * pitch).ravel(), (y * pitch * np.sqrt(3) / 2).ravel()])


def squares(rows: int = 20, columns: int = 25, pitch: float = 100.0) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns].astype(float)
    return np.column_stack([x.ravel(), y.ravel()]) * pitch


def table(xy: np.ndarray, **obs: Any) -> ad.AnnData:
    """Spots at these places, with columns of obs; names become categories, numbers stay numbers."""
    frame = pd.DataFrame(obs, index=[f"c{i}" for i in range(len(xy))])
    frame = frame.astype({key: "category" for key in frame if not pd.api.types.is_numeric_dtype(frame[key])})
    return ad.AnnData(np.zeros((len(xy), 2), dtype=np.float32), obs=frame, obsm={"spatial": np.asarray(xy)})


def slide(image: Any, xy: np.ndarray, diameter: float) -> SpatialData:
    """An image with circles on it, and their table."""
    obs = pd.DataFrame({"region": pd.Categorical(["spots"] * len(xy)), "instance": np.arange(len(xy))})
    spots = ad.AnnData(np.ones((len(xy), 1), np.float32), obs=obs.set_index(obs.index.astype(str)))
    spots = TableModel.parse(spots, region="spots", region_key="region", instance_key="instance")
    circles = ShapesModel.parse(xy, geometry=0, radius=diameter / 2)
    return SpatialData(images={"he": image}, shapes={"spots": circles}, tables={"table": spots})


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(counts=counts, aligned=aligned, hexagons=hexagons, squares=squares, table=table, slide=slide)


@pytest.fixture
def spot_grid() -> ad.AnnData:
    """A grid of spots in pixels of 0.5 um, its image a quarter as large, its barcodes as Space Ranger writes them."""
    xy = np.stack(np.meshgrid(np.arange(10), np.arange(10)), axis=-1).reshape(-1, 2) * 10.0
    obs = pd.DataFrame(index=[f"ACGT{i:03d}-1" for i in range(100)])
    adata = ad.AnnData(np.ones((100, 2), dtype=np.float32), obs=obs, obsm={"spatial": xy})
    factors = {"tissue_hires_scalef": 0.25, "spot_diameter_fullres": 6.0, "microns_per_pixel": 0.5}
    images = {"hires": np.full((25, 25, 3), 255, dtype=np.uint8)}
    adata.uns["spatial"] = {"s1": {"images": images, "scalefactors": factors}}
    return adata


@pytest.fixture
def write_file(tmp_path) -> Callable[..., Path]:
    def to_file(content: Any, name: str = "drawn.geojson") -> Path:
        path = tmp_path / name
        if not isinstance(content, bytes):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        path.write_bytes(content)
        return path

    return to_file


@pytest.fixture(scope="session")
def feature() -> Callable[..., dict[str, Any]]:
    """Make a drawing as QuPath writes it."""

    def make(kind: str, coordinates: Any, name: str | None = None, **properties: Any) -> dict[str, Any]:
        if name is not None:
            properties["classification"] = {"name": name, "color": [200, 0, 0]}
        geometry = {"type": kind, "coordinates": coordinates}
        properties = {"objectType": "annotation", **properties}
        return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}

    return make


@pytest.fixture(scope="session")
def collection() -> Callable[..., dict[str, Any]]:
    """Make the content of a file of drawings."""
    return lambda *features: {"type": "FeatureCollection", "features": list(features)}
