"""How large a pixel is, and on which lattice spots lie."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import spatialdata as sd
from spatialdata.models import ShapesModel, TableModel

import multist as mt
from multist.access import microns_per_pixel, resolve
from multist.access.lattice import find_lattice


def hexagons(pitch: float, n: int = 20) -> np.ndarray:
    row, column = np.divmod(np.arange(n * n), n)
    return pitch * np.column_stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2])


def squares(pitch: float, n: int = 20) -> np.ndarray:
    return pitch * np.column_stack(np.divmod(np.arange(n * n), n)).astype(float)


def turned(xy: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return xy @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def visium(xy: np.ndarray, diameter: float, **factors: float) -> ad.AnnData:
    adata = ad.AnnData(np.zeros((len(xy), 1)), obsm={"spatial": xy})
    adata.uns["spatial"] = {"s": {"scalefactors": {"spot_diameter_fullres": diameter, **factors}}}
    return adata


@pytest.mark.parametrize("diameter", [70.0, 65.0, 55.0])
def test_spots_of_visium_are_100_um_apart_whatever_their_diameter_is_said_to_be(diameter: float):
    # half a micrometre per pixel
    record = resolve(visium(hexagons(200), 2 * diameter))
    assert microns_per_pixel(record) == pytest.approx(0.5)


def test_pixels_of_a_smaller_image_are_larger():
    adata = visium(hexagons(200) + 300, 130, tissue_hires_scalef=0.1)
    adata.uns["spatial"]["s"]["images"] = {"hires": np.zeros((500, 500, 3), np.uint8)}
    assert microns_per_pixel(resolve(adata)) == pytest.approx(5)
    assert microns_per_pixel(resolve(adata, image=False)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "xy",
    [squares(200), np.random.default_rng(0).uniform(0, 4000, (400, 2)), hexagons(200)[:5]],
    ids=["square", "scattered", "few"],
)
def test_what_is_no_visium_lattice_has_no_scale(xy: np.ndarray):
    assert microns_per_pixel(resolve(visium(xy, 100))) is None


def test_spots_that_touch_are_not_visium():
    assert microns_per_pixel(resolve(visium(hexagons(200), 200))) is None
    assert microns_per_pixel(resolve(visium(hexagons(200), np.nan))) is None


def test_what_the_data_says_comes_first():
    assert microns_per_pixel(resolve(visium(hexagons(200), 110, microns_per_pixel=0.3))) == 0.3
    assert microns_per_pixel(resolve(mt.datasets.layered_tissue(n_spots=100, n_genes=100, image_size=200))) is not None


def test_bins_are_as_large_as_their_region_says():
    frame = ShapesModel.parse(squares(29), geometry=0, radius=14.5)
    table = ad.AnnData(np.zeros((400, 1)))
    table.obs["region"], table.obs["instance"] = "s_square_008um", np.arange(400)
    table.obs["region"] = table.obs["region"].astype("category")
    parsed = TableModel.parse(table, region="s_square_008um", region_key="region", instance_key="instance")
    sdata = sd.SpatialData(shapes={"s_square_008um": frame}, tables={"table": parsed})
    assert microns_per_pixel(resolve(sdata)) == pytest.approx(8 / 29)


def test_each_section_has_its_own():
    both = ad.concat([visium(hexagons(200), 110), visium(hexagons(100), 55)], label="sample", keys=["a", "b"])
    both.obs_names_make_unique()
    factors = {name: {"scalefactors": {"spot_diameter_fullres": d}} for name, d in (("a", 110), ("b", 55))}
    both.uns["spatial"] = factors
    record = resolve(both, library_key="sample")
    assert [microns_per_pixel(record, section) for section in (0, 1)] == pytest.approx([0.5, 1])


@pytest.mark.parametrize("degrees", [0, 7, -20])
@pytest.mark.parametrize(("kind", "turns"), [("hexagonal", 6), ("square", 4)])
def test_a_turned_lattice_is_found_with_its_angle(degrees: float, kind: str, turns: int):
    xy = turned(hexagons(9) if kind == "hexagonal" else squares(9), degrees)
    lattice = find_lattice(xy + np.random.default_rng(0).uniform(-0.1, 0.1, xy.shape))
    assert lattice is not None and lattice.kind == kind
    assert lattice.pitch == pytest.approx(9, rel=0.03)
    off = np.degrees(lattice.angle) - degrees
    assert abs(off - 360 / turns * round(off / (360 / turns))) < 1


def test_scattered_places_are_no_lattice():
    assert find_lattice(np.random.default_rng(0).uniform(0, 100, (3000, 2))) is None
    assert find_lattice(np.zeros((100, 2))) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("breast_hires", 100 / (273 * 0.08250825)), ("ductal/bcdc_ffpe", 100 / (290 * 0.07285444)), ("her2st/A1", None)],
)
def test_real_sections(real_data, name: str, expected: float | None):
    file = real_data / f"{name}.h5ad"
    if not file.is_file():
        pytest.skip(f"no {file}")
    found = microns_per_pixel(resolve(ad.read_h5ad(file)))
    assert found is None if expected is None else found == pytest.approx(expected, rel=0.01)
