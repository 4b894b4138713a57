"""Made sections as the objects that people have: SpatialData, or AnnData in its Visium form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from multist._keys import SPATIAL, TRUE_DEPTH, TRUE_DOMAIN
from multist.datasets._tissue_geometry import DOMAINS

if TYPE_CHECKING:
    from spatialdata import SpatialData

HIRES_SCALE = 0.25
"""Hires pixels per full-resolution pixel in the Visium form; the full-resolution image itself is not kept."""


@dataclass(frozen=True)
class MadeSection:
    """One finished section; rows are in the order of the shapes.

    Attributes
    ----------
    xy, diameter
        (n_obs, 2) and (n_obs,) micrometres.
    affine
        (3, 3) pixels to micrometres.
    array
        (n_obs, 2) row and column on the Visium lattice, or None for cells.
    order
        (n_obs,) rows of the table, as rows of the shapes.
    """

    name: str
    xy: np.ndarray
    diameter: np.ndarray
    affine: np.ndarray
    array: np.ndarray | None
    domain: np.ndarray
    depth: np.ndarray
    order: np.ndarray
    counts: sp.csr_matrix = field(default_factory=lambda: sp.csr_matrix((0, 0), dtype=np.float32))
    image: np.ndarray | None = None


def make_table(sections: list[MadeSection], genes: np.ndarray, uns: dict[str, pd.DataFrame], kind: str) -> AnnData:
    """Table of all sections with truth, without coordinates."""
    frames = []
    for s in sections:
        prefix = f"{s.name}_{kind}" if len(sections) > 1 else kind
        frame = pd.DataFrame(
            {f"{kind}_id": s.order.astype(np.int64), "section": s.name}, index=[f"{prefix}_{i:05d}" for i in s.order]
        )
        if s.array is not None:
            frame["in_tissue"] = 1
            frame["array_row"], frame["array_col"] = s.array[s.order, 0], s.array[s.order, 1]
        frame[TRUE_DOMAIN], frame[TRUE_DEPTH] = s.domain[s.order], s.depth[s.order]
        frames.append(frame)
    obs = pd.concat(frames)
    obs["section"] = pd.Categorical(obs["section"], categories=[s.name for s in sections])
    present = [name for name in DOMAINS if (obs[TRUE_DOMAIN] == name).any()]
    obs[TRUE_DOMAIN] = pd.Categorical(obs[TRUE_DOMAIN], categories=present)
    counts = sp.vstack([s.counts[s.order] for s in sections], format="csr")
    return AnnData(X=counts, obs=obs, var=pd.DataFrame(index=pd.Index(genes)), uns=dict(uns))


def to_spatialdata(sections: list[MadeSection], table: AnnData, kind: str) -> SpatialData:
    """Images ``he``, circles, and the table that annotates them; one coordinate system in micrometres a section."""
    from geopandas import GeoDataFrame
    from shapely import points
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Affine, Identity

    images: dict[str, Any] = {}
    shapes: dict[str, Any] = {}
    regions = []
    for s in sections:
        suffix = f"_{s.name}" if len(sections) > 1 else ""
        system = s.name if len(sections) > 1 else "global"
        circles = GeoDataFrame({"radius": s.diameter / 2}, geometry=points(s.xy))
        shapes[f"{kind}s{suffix}"] = ShapesModel.parse(circles, transformations={system: Identity()})
        regions += [f"{kind}s{suffix}"] * len(s.order)
        if s.image is not None:
            affine = Affine(s.affine, input_axes=("x", "y"), output_axes=("x", "y"))
            images[f"he{suffix}"] = Image2DModel.parse(
                np.moveaxis(s.image, -1, 0),
                dims=("c", "y", "x"),
                c_coords=["r", "g", "b"],
                scale_factors=[2, 2],
                chunks=(3, 512, 512),
                transformations={system: affine},
            )
    table = table.copy()
    table.obs["region"] = pd.Categorical(regions, categories=list(shapes))
    table.obsm[SPATIAL] = np.concatenate([s.xy[s.order] for s in sections])
    linked = TableModel.parse(table, region=list(shapes), region_key="region", instance_key=f"{kind}_id")
    return SpatialData(images=images, shapes=shapes, tables={"table": linked})


def to_anndata(sections: list[MadeSection], table: AnnData) -> AnnData:
    """Coordinates in full-resolution pixels, images and scale factors by section in ``uns["spatial"]``."""
    table = table.copy()
    pixels, libraries = [], {}
    for s in sections:
        inverse = np.linalg.inv(s.affine)
        pixels.append((s.xy[s.order] @ inverse[:2, :2].T + inverse[:2, 2]) / HIRES_SCALE)
        if s.image is not None:
            libraries[s.name] = _visium(s, s.image)
    table.obsm[SPATIAL] = np.concatenate(pixels)
    if libraries:
        table.uns[SPATIAL] = libraries
    return table


def _visium(section: MadeSection, image: np.ndarray) -> dict[str, Any]:
    step = max(1, round(len(image) / 600))
    n = len(image) // step
    low = image[: n * step, : n * step].reshape(n, step, n, step, 3).mean((1, 3)).round().astype(np.uint8)
    micrometres = float(np.hypot(section.affine[0, 0], section.affine[1, 0])) * HIRES_SCALE
    return {
        "images": {"hires": image, "lowres": low},
        "scalefactors": {
            "tissue_hires_scalef": HIRES_SCALE,
            "tissue_lowres_scalef": HIRES_SCALE / step,
            "spot_diameter_fullres": float(section.diameter.mean()) / micrometres,
            "microns_per_pixel": micrometres,
        },
        "metadata": {"source": "multist.datasets.layered_tissue"},
    }
