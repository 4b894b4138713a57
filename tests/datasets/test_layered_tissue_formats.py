from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from multist.access.tables import copy_data
from multist.datasets import layered_tissue

if TYPE_CHECKING:
    from spatialdata import SpatialData

pytestmark = pytest.mark.slow

SMALL = {"n_spots": 400, "n_genes": 200, "image_size": 400}


@pytest.fixture(scope="module")
def plain() -> ad.AnnData:
    """A section."""
    return layered_tissue(**SMALL, format="anndata")


@pytest.fixture(scope="module")
def single() -> SpatialData:
    """The same section as SpatialData."""
    return layered_tissue(**SMALL)


@pytest.fixture(scope="module")
def pair() -> SpatialData:
    """Two sections."""
    return layered_tissue(**SMALL, n_sections=2)


def test_spatialdata_holds_the_same_as_anndata(plain: ad.AnnData, single: SpatialData) -> None:
    from spatialdata.models import get_table_keys
    from spatialdata.transformations import get_transformation

    adata, sdata, table = plain, single, single.tables["table"]
    assert (table.X != adata.X).nnz == 0
    assert table.obs_names.equals(adata.obs_names) and table.var_names.equals(adata.var_names)
    pd.testing.assert_frame_equal(table.obs.drop(columns="region"), adata.obs)
    region, _, instance = get_table_keys(table)
    assert region in ("spots", ["spots"]) and instance == "spot_id"
    circles = sdata.shapes["spots"]
    assert set(circles["radius"]) == {27.5}
    assert list(table.obs["spot_id"]) != list(circles.index)
    linked = circles.loc[table.obs["spot_id"]]
    um = np.column_stack([linked.geometry.x, linked.geometry.y])
    to_um = get_transformation(sdata.images["he"], "global").to_affine_matrix(("x", "y"), ("x", "y"))
    assert abs(to_um[0, 1]) > 1e-3 and abs(to_um[0, 2]) > 1 and abs(to_um[0, 0] - 1) > 0.1
    pixels = (um - to_um[:2, 2]) @ np.linalg.inv(to_um[:2, :2]).T
    entry = adata.uns["spatial"]["section1"]
    np.testing.assert_allclose(pixels, adata.obsm["spatial"] * entry["scalefactors"]["tissue_hires_scalef"])
    he = sdata.images["he"]["scale0"]["image"]
    assert he.dims == ("c", "y", "x") and list(he.c.values) == ["r", "g", "b"] and len(sdata.images["he"]) == 3
    np.testing.assert_array_equal(np.moveaxis(he.to_numpy(), 0, -1), entry["images"]["hires"])
    lowres = entry["images"]["lowres"].shape[0] / entry["images"]["hires"].shape[0]
    assert entry["scalefactors"]["tissue_lowres_scalef"] == entry["scalefactors"]["tissue_hires_scalef"] * lowres


def test_survives_zarr(tmp_path: Path, pair: SpatialData) -> None:
    import spatialdata as sd

    sdata = copy_data(pair)
    sdata.write(tmp_path / "tissue.zarr")
    back = sd.read_zarr(tmp_path / "tissue.zarr")
    one, two = sdata.tables["table"], back.tables["table"]
    assert (one.X != two.X).nnz == 0
    assert list(two.obs["domain"]) == list(one.obs["domain"])
    assert two.uns["interactions"].astype(str).equals(one.uns["interactions"].astype(str))
    assert set(back.images) == set(sdata.images) and set(back.shapes) == set(sdata.shapes)


def test_survives_h5ad(tmp_path: Path, plain: ad.AnnData) -> None:
    adata = plain.copy()
    adata.write_h5ad(tmp_path / "tissue.h5ad")
    back = ad.read_h5ad(tmp_path / "tissue.h5ad")
    assert (adata.X != back.X).nnz == 0
    pd.testing.assert_frame_equal(back.obs, adata.obs, check_categorical=False)
    hires = [d.uns["spatial"]["section1"]["images"]["hires"] for d in (adata, back)]
    np.testing.assert_array_equal(*hires)
    assert list(back.uns["interactions"]["source"]) == list(adata.uns["interactions"]["source"])


def test_another_seed_gives_another_tissue_and_the_global_random_state_is_left_alone(plain: ad.AnnData) -> None:
    state = np.random.get_state()  # noqa: NPY002
    other = layered_tissue(**SMALL, format="anndata", random_state=5)
    np.testing.assert_equal(np.random.get_state(), state)  # noqa: NPY002
    assert (other.X != plain.X).nnz > 0


def test_image_options_leave_counts_and_places_alone(plain: ad.AnnData) -> None:
    bare = layered_tissue(**SMALL, format="anndata", with_image=False)
    assert "spatial" not in bare.uns
    np.testing.assert_array_equal(plain.obsm["spatial"], bare.obsm["spatial"])
    assert not layered_tissue(**SMALL, with_image=False).images
    larger = layered_tissue(**(SMALL | {"image_size": 600}), format="anndata", stain_shift=1.0)
    for other in (bare, larger):
        assert (plain.X != other.X).nnz == 0
        pd.testing.assert_frame_equal(plain.obs, other.obs)


def test_stain_shift_is_bluer_one_way_and_pinker_the_other(plain: ad.AnnData) -> None:
    pink, blue = (layered_tissue(**SMALL, format="anndata", stain_shift=shift) for shift in (-1.0, 1.0))
    ratio = []
    for section in (pink, plain, blue):
        image = section.uns["spatial"]["section1"]["images"]["hires"]
        tissue = image[image.min(2) < 200].astype(float)
        ratio.append(tissue[:, 2].mean() / tissue[:, 0].mean())
    assert ratio[0] < ratio[1] - 0.05 < ratio[2] - 0.1


def test_sections_of_spatialdata_have_a_system_each(pair: SpatialData) -> None:
    from spatialdata.models import get_table_keys

    sdata = pair
    assert set(sdata.images) == {"he_section1", "he_section2"}
    assert sorted(sdata.coordinate_systems) == ["section1", "section2"]
    table = sdata.tables["table"]
    regions, region_key, instance = get_table_keys(table)
    assert list(regions) == ["spots_section1", "spots_section2"]
    for region, rows in table.obs.groupby(region_key, observed=True):
        assert set(rows[instance]) == set(sdata.shapes[region].index)
        assert region == f"spots_{rows['section'].iloc[0]}"
