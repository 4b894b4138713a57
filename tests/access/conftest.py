"""Tissues whose image says which spot is where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import anndata as ad
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import Point
from spatialdata import SpatialData
from spatialdata.models import Image2DModel, ShapesModel, TableModel
from spatialdata.transformations import Affine, BaseTransformation, Identity

HEIGHT, WIDTH, RADIUS = 600, 800, 30


def colour_of(spot: np.ndarray) -> np.ndarray:
    """(n, 3) colour of each spot: far apart, so that no rounding mixes them up, and never white."""
    spot = np.asarray(spot)
    return np.stack([20 + 30 * (spot % 7), 20 + 30 * (spot // 7 % 7), 20 + 30 * (spot // 49 % 7)], axis=-1)


def spot_of(patches: np.ndarray) -> np.ndarray:
    """The spot whose colour the middle of each patch has; -1 if it has none."""
    middle = patches.shape[1] // 2
    colour = patches[:, middle, middle].astype(int)
    code = np.rint((colour - 20) / 30).astype(int)
    spot = code @ [1, 7, 49]
    return np.where((np.abs(colour_of(spot) - colour) <= 2).all(axis=1), spot, -1)


@dataclass
class Painted:
    """An image with one disc per spot, and where the discs are, in pixels."""

    image: np.ndarray
    xy: np.ndarray


@pytest.fixture(scope="session")
def painted() -> Painted:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(60, WIDTH - 50, 76), np.arange(60, HEIGHT - 50, 76)), axis=-1).reshape(-1, 2)
    xy = grid + rng.uniform(-5, 5, grid.shape)
    image = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for spot, (cx, cy) in enumerate(xy):
        image[np.hypot(x - cx, y - cy) < RADIUS] = colour_of(np.array(spot))
    return Painted(image, xy)


def affine(matrix: Any, shift: Any = (0, 0)) -> Affine:
    """Affine transformation of x and y."""
    full = np.eye(3)
    full[:2, :2], full[:2, 2] = matrix, shift
    return Affine(full, input_axes=("x", "y"), output_axes=("x", "y"))


def circles(xy: np.ndarray, index: Any, transformations: dict[str, BaseTransformation], radius: float = RADIUS) -> Any:
    frame = gpd.GeoDataFrame({"radius": radius}, geometry=[Point(*p) for p in xy], index=pd.Index(index))
    return ShapesModel.parse(frame, transformations=transformations)


def table_of(instances: Any, region: Any = "spots") -> ad.AnnData:
    instances = np.asarray(instances)
    regions = pd.Categorical(np.broadcast_to(region, instances.shape))
    obs = pd.DataFrame({"region": regions, "instance": instances}, index=[f"row{i}" for i in range(len(instances))])
    table = ad.AnnData(np.ones((len(obs), 3), dtype=np.float32), obs=obs)
    return TableModel.parse(table, region=list(regions.categories), region_key="region", instance_key="instance")


@pytest.fixture
def make_sdata(painted: Painted) -> Callable[..., SpatialData]:
    """Spots and image joined in one coordinate system by two transformations; the table's rows are shuffled."""

    def make(
        to_world: BaseTransformation | None = None,
        spots_to_world: BaseTransformation | None = None,
        *,
        system: str = "global",
        scale_factors: list[int] | None = None,
        instances: Any = None,
        index: Any = None,
    ) -> SpatialData:
        to_world, spots_to_world = to_world or Identity(), spots_to_world or Identity()
        image_matrix = to_world.to_affine_matrix(("x", "y"), ("x", "y"))
        spots_matrix = spots_to_world.to_affine_matrix(("x", "y"), ("x", "y"))
        to_spots = np.linalg.inv(spots_matrix) @ image_matrix
        xy = painted.xy @ to_spots[:2, :2].T + to_spots[:2, 2]
        index = np.arange(len(xy)) if index is None else index
        if instances is None:
            instances = np.random.default_rng(1).permutation(index)
        image = Image2DModel.parse(
            np.moveaxis(painted.image, 2, 0),
            dims=("c", "y", "x"),
            transformations={system: to_world},
            scale_factors=scale_factors,
            chunks=(3, 200, 200),
        )
        radius = RADIUS * np.sqrt(abs(np.linalg.det(to_spots[:2, :2])))
        spots = circles(xy, index, {system: spots_to_world}, radius)
        return SpatialData(images={"he": image}, shapes={"spots": spots}, tables={"table": table_of(instances)})

    return make


@pytest.fixture
def visium(painted: Painted) -> ad.AnnData:
    """AnnData in Visium's form: coordinates four times as fine as the hires image, rows shuffled, spot in ``obs``."""
    order = np.random.default_rng(2).permutation(len(painted.xy))
    adata = ad.AnnData(
        np.ones((len(order), 3), dtype=np.float32),
        obs=pd.DataFrame({"spot": order}, index=[f"b{i}" for i in order]),
        obsm={"spatial": painted.xy[order] * 4},
    )
    factors = {"tissue_hires_scalef": 0.25, "tissue_lowres_scalef": 0.125, "spot_diameter_fullres": 8.0 * RADIUS}
    images = {"hires": painted.image, "lowres": painted.image[::2, ::2]}
    adata.uns["spatial"] = {"s1": {"images": images, "scalefactors": factors}}
    return adata


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """The functions above, for tests."""
    return SimpleNamespace(affine=affine, circles=circles, table_of=table_of, spot_of=spot_of, radius=RADIUS)
