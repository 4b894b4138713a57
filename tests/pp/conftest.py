"""A grid of spots to draw on, and files of what was drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest


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
